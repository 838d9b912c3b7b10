"""The admin API over TCP: TLS, tokens, roles, the audit log, and clients that mean no good."""
import http.client
import json
import os
import pwd
import socket
import ssl
import tempfile
import time

from lib import ports
from lib.case import NodeCase
from lib.client import Client
from lib.node import Node, settings
from lib.tls_files import TlsFiles
from lib.wait import wait_until

READER, OPERATOR = "reader-0123456789abcdef0123456789abcdef", "operator-fedcba9876543210fedcba9876543210"


class TcpCase(NodeCase):
    def token(self, text):
        folder = self.tls().folder
        path = os.path.join(folder, "token-%d" % len(os.listdir(folder)))
        with open(path, "w") as f:
            f.write(text + "\n")
        return path

    def tls(self):
        if not hasattr(self, "files"):
            folder = tempfile.TemporaryDirectory(prefix="weir-test-tls-")
            self.addCleanup(folder.cleanup)
            self.files = TlsFiles(folder.name)
        return self.files

    def tcp(self, with_tls=False, **more):
        section = {"address": "%s:%d" % (ports.LOOPBACK, ports.free_port()), "tokens": [
            {"name": "grafana", "token_file": self.token(READER)},
            {"name": "deploy", "token_file": self.token(OPERATOR), "role": "operate"}]}
        if with_tls:
            section["tls"] = {"certificate_file": self.tls().cert, "key_file": self.tls().key}
        section.update(more)
        return section

    def start(self, tcp, **admin):
        node = self.front(self.origin(), admin=dict(admin, tcp=tcp))
        host, port = tcp["address"].rsplit(":", 1)
        node.tcp = (host, int(port))
        return node

    def ask(self, node, method, path, token=None, body=None, context=None, fields=None):
        """Status, JSON (or text) and fields of the answer."""
        connection = (http.client.HTTPSConnection(*node.tcp, context=context, timeout=10) if context
                      else http.client.HTTPConnection(*node.tcp, timeout=10))
        fields = dict(fields or {})
        if token:
            fields["Authorization"] = "Bearer " + token
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, fields)
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = answer.headers.get("Content-Type") == "application/json"
            return answer.status, json.loads(text) if is_json and text else text, answer.headers
        finally:
            connection.close()

    def context(self, client=False):
        context = ssl.create_default_context(cafile=self.tls().ca)
        if client:
            context.load_cert_chain(self.tls().client_cert, self.tls().client_key)
        return context


class Roles(TcpCase):
    def test_a_token_decides_what_may_be_done(self):
        node = self.start(self.tcp())
        self.assertEqual(self.ask(node, "GET", "/v1/cache/stats")[0], 401)
        self.assertEqual(self.ask(node, "GET", "/v1/cache/stats", READER)[0], 200)
        self.assertEqual(self.ask(node, "GET", "/v1/cache/stats", OPERATOR)[0], 200)
        everything = {"scope": "all"}
        self.assertEqual(self.ask(node, "POST", "/v1/cache/purge", None, everything)[0], 401)
        self.assertEqual(self.ask(node, "POST", "/v1/cache/purge", READER, everything)[0], 403)
        self.assertEqual(node.admin()[1]["purges"]["sequence"], 0)
        self.assertEqual(self.ask(node, "POST", "/v1/cache/purge", OPERATOR, everything)[0], 200)
        self.assertGreater(node.admin()[1]["purges"]["sequence"], 0)

    def test_who_is_nobody_does_not_learn_what_there_is(self):
        node = self.start(self.tcp())
        status, answer, fields = self.ask(node, "GET", "/v1/nothing")
        self.assertEqual((status, fields["WWW-Authenticate"]), (401, "Bearer"))
        self.assertEqual(self.ask(node, "GET", "/v1/nothing", READER)[0], 404)
        self.assertEqual(self.ask(node, "DELETE", "/v1/words", READER)[2]["Allow"], "GET, POST")

    def test_some_things_may_be_open(self):
        node = self.start(self.tcp(without_token=["metrics", "live", "ready"]))
        self.assertIn("weir_requests_total", self.ask(node, "GET", "/metrics")[1])
        self.assertEqual(self.ask(node, "GET", "/v1/live")[0], 200)
        wait_until(lambda: self.ask(node, "GET", "/v1/ready")[0] == 200, what="it is ready")
        self.assertEqual(self.ask(node, "HEAD", "/v1/ready")[:2], (200, ""))
        self.assertEqual(self.ask(node, "GET", "/v1/node")[0], 401)

    def test_a_wrong_token_is_worse_than_none(self):
        node = self.start(self.tcp(without_token=["live"]))
        self.assertEqual(self.ask(node, "GET", "/v1/live")[0], 200)
        self.assertEqual(self.ask(node, "GET", "/v1/live", "x" * 40)[0], 401)

    def test_who_guesses_has_to_wait_and_others_do_not(self):
        node = self.start(self.tcp())
        began = time.monotonic()
        status, _, fields = self.ask(node, "GET", "/v1/node", "x" * 40)
        self.assertEqual(status, 401)
        self.assertIn("invalid_token", fields["WWW-Authenticate"])
        self.assertGreater(time.monotonic() - began, 0.4)
        waiting = [Client(node.tcp) for _ in range(9)]
        for client in waiting:
            client.send(b"GET /v1/node HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n\r\n")
        for client in waiting:
            self.assertEqual(client.response().status, 401)
            client.close()
        status, _, fields = self.ask(node, "GET", "/v1/node", READER)
        self.assertEqual(status, 429)
        self.assertIn(int(fields["Retry-After"]), range(1, 8))
        with Client(node.tcp, source="127.0.0.7") as other:
            other.send(b"GET /v1/node HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % READER.encode())
            self.assertEqual(other.response().status, 200)
        self.assertEqual(node.admin()[0], 200)
        metrics = node.admin(path="/metrics")[1]
        self.assertRegex(metrics, r"(?m)^weir_admin_token_failures_total 10$")
        self.assertRegex(metrics, r"(?m)^weir_admin_throttled_total [1-9]")


class Tls(TcpCase):
    def test_it_is_spoken(self):
        node = self.start(self.tcp(with_tls=True))
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER, context=self.context())[0], 200)

    def test_old_versions_and_plain_text_are_not(self):
        node = self.start(self.tcp(with_tls=True))
        old = self.context()
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, OSError)):
            self.ask(node, "GET", "/v1/node", READER, context=old)
        with Client(node.tcp) as client:
            client.send(b"GET /v1/node HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                self.assertNotIn(b"HTTP/1.1", client.source.rest())
            except ConnectionError:
                pass
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER, context=self.context())[0], 200)
        self.assertRegex(node.admin(path="/metrics")[1], r"(?m)^weir_admin_handshakes_failed_total [1-9]")

    def test_clients_may_need_a_certificate(self):
        tcp = self.tcp(with_tls=True)
        tcp["tls"]["client_ca_file"] = self.tls().ca
        node = self.start(tcp)
        with self.assertRaises((ssl.SSLError, OSError, http.client.HTTPException)):
            self.ask(node, "GET", "/v1/node", READER, context=self.context())
        with_certificate = self.context(client=True)
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER, context=with_certificate)[0], 200)
        self.assertEqual(self.ask(node, "GET", "/v1/node", context=with_certificate)[0], 401)

    def test_many_requests_go_over_one_connection(self):
        node = self.start(self.tcp(with_tls=True))
        connection = http.client.HTTPSConnection(*node.tcp, context=self.context(), timeout=10)
        self.addCleanup(connection.close)
        for i in range(20):
            body = json.dumps({"scope": "tag", "tag": ["t%d" % k for k in range(i * 50 + 1)]})
            connection.request("POST", "/v1/cache/purge", body, {"Authorization": "Bearer " + OPERATOR})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200, answer.read())
            answer.read()


class Settings(TcpCase):
    def refused(self, tcp, why):
        node = Node(settings(self.origin(), admin={"tcp": tcp}))
        self.addCleanup(node.stop)
        node.expect_exit = 2
        node.spawn()
        self.assertEqual(node.wait(), 2)
        self.assertIn(why, node.log())

    def test_what_is_not_safe_is_refused(self):
        self.refused(self.tcp(address="0.0.0.0:%d" % ports.free_port()), "only a loopback address may do without TLS")
        self.refused(self.tcp(address="unix:/tmp/x"), "expected an address")
        self.refused(self.tcp(tokens=[{"name": "a", "token_file": self.token("short")}]), "at least 32")
        self.refused(self.tcp(tokens=[{"name": "a", "token_file": "/nonexistent"}]), "/nonexistent")
        self.refused(self.tcp(tls={"certificate_file": self.tls().cert}), "needs both")
        token = self.token(READER)
        self.refused(self.tcp(tokens=[{"name": "a", "token_file": token}, {"name": "a", "token_file": token}]),
                     "is there already")

    def test_a_key_that_does_not_fit_keeps_the_node_from_starting(self):
        tcp = dict(self.tcp(), tls={"certificate_file": self.tls().cert, "key_file": self.tls().client_key})
        node = Node(settings(self.origin(), admin={"tcp": tcp}))
        self.addCleanup(node.stop)
        node.expect_exit = 1
        node.spawn()
        self.assertEqual(node.wait(), 1)
        self.assertIn(self.tls().client_key, node.log())

    def test_a_reload_changes_tokens_and_certificates_and_moves(self):
        tcp = self.tcp(with_tls=True)
        origin = self.origin()
        node = self.front(origin, admin={"tcp": tcp})
        node.tcp = (ports.LOOPBACK, int(tcp["address"].rsplit(":", 1)[1]))
        listen = [{"address": "%s:%d" % node.address}]
        context = self.context()
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER, context=context)[0], 200)
        with open(tcp["tokens"][0]["token_file"], "w") as f:
            f.write("another-" + READER)
        self.tls().issue("server", ["IP:" + ports.LOOPBACK, "DNS:renewed"])
        self.assertTrue(node.reload(settings(origin, listen=listen, admin={"tcp": tcp})))
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER, context=context)[0], 401)
        self.assertEqual(self.ask(node, "GET", "/v1/node", "another-" + READER, context=context)[0], 200)
        with context.wrap_socket(socket.create_connection(node.tcp), server_hostname="renewed") as s:
            self.assertIn(("DNS", "renewed"), s.getpeercert()["subjectAltName"])
        with open(tcp["tokens"][0]["token_file"], "w") as f:
            f.write("short")
        self.assertFalse(node.reload(settings(origin, listen=listen, admin={"tcp": tcp})))
        self.assertEqual(self.ask(node, "GET", "/v1/node", "another-" + READER, context=context)[0], 200)
        old, node.tcp = node.tcp, (ports.LOOPBACK, ports.free_port())
        moved = self.tcp(address="%s:%d" % node.tcp)
        self.assertTrue(node.reload(settings(origin, listen=listen, admin={"tcp": moved})))
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER)[0], 200)
        with self.assertRaises(OSError):
            socket.create_connection(old, timeout=5).close()
        self.assertEqual(node.admin(path="/v1/node")[1]["admin"], [node.admin_socket, moved["address"]])
        self.assertTrue(node.reload(settings(origin, listen=listen)))
        with self.assertRaises(OSError):
            socket.create_connection(node.tcp, timeout=5).close()


class Audit(TcpCase):
    def test_changes_and_refusals_are_lines_of_one_form(self):
        node = self.start(self.tcp(), audit_file=os.path.join(self.tls().folder, "audit.json"))
        self.ask(node, "POST", "/v1/cache/purge", OPERATOR, {"scope": "tag", "tag": 'a"b'.replace('"', "'")})
        self.ask(node, "POST", "/v1/cache/purge", READER, {"scope": "all"})
        self.ask(node, "POST", "/v1/cache/purge", "x" * 40, {"scope": "all"})
        node.admin("POST", "/v1/cache/purge", {"scope": "host", "host": "example.org"})
        me = pwd.getpwuid(os.getuid()).pw_name
        for line in (r'audit: who=deploy from=127\.0\.0\.1 did=purge target="soft tag \\"a\'b\\"" outcome="sequence \d+"',
                     r'audit: who=grafana from=127\.0\.0\.1 did=refused target="POST /v1/cache/purge" '
                     r'outcome="the role does not reach"',
                     r'audit: who=- from=127\.0\.0\.1 did=refused target="POST /v1/cache/purge" '
                     r'outcome="the token is not known"',
                     r'audit: who=%s from=unix:%d did=purge target="soft host \\"example.org\\"" outcome="sequence \d+"'
                     % (me, os.getpid())):
            node.wait_log(line)

        def lines():
            with open(os.path.join(self.tls().folder, "audit.json")) as f:
                found = [json.loads(line) for line in f]
            return found if len(found) == 4 else None
        found = wait_until(lines, what="four lines are written")
        self.assertEqual([l["who"] for l in found], ["deploy", "grafana", "-", me])
        self.assertEqual([l["did"] for l in found], ["purge", "refused", "refused", "purge"])
        self.assertEqual(found[3]["from"], "unix:%d" % os.getpid())
        self.assertLess(abs(found[0]["at"] - time.time()), 60)

    def test_it_is_logged_whatever_the_level_is(self):
        node = Node(settings(self.origin(), log={"level": "error"}))
        self.addCleanup(node.stop)
        node.spawn()
        wait_until(lambda: os.path.exists(node.admin_socket), what="it listens")
        self.assertEqual(node.admin("POST", "/v1/cache/purge", {"scope": "all"})[0], 200)
        node.wait_log(r"audit: who=\S+ from=unix:\d+ did=purge")


class Hostile(TcpCase):
    def test_a_flood_of_silent_connections_leaves_room(self):
        node = self.start(self.tcp(connections=20, connections_per_address=8))
        silent = []
        for i in range(60):
            silent.append(socket.create_connection(node.tcp, timeout=10, source_address=("127.0.1.%d" % (i // 10 + 1), 0)))
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER)[0], 200)
        self.assertEqual(node.admin()[0], 200)
        metrics = node.admin(path="/metrics")[1]
        self.assertRegex(metrics, r"(?m)^weir_admin_connections_refused_total [1-9]")
        for s in silent:
            s.close()

    def test_slow_heads_are_cut_off(self):
        node = self.start(self.tcp(without_token=["live"]))
        with Client(node.tcp, timeout=30) as client:
            client.send(b"GET /v1/live HTTP/1.1\r\n")
            began = time.monotonic()
            while True:
                try:
                    client.sock.settimeout(0.5)
                    data = client.sock.recv(4096)
                    break
                except socket.timeout:
                    client.send(b"A: b\r\n")
            self.assertTrue(data.startswith(b"HTTP/1.1 408"), data)
            self.assertLess(time.monotonic() - began, 15)

    def test_content_is_not_taken_from_strangers(self):
        node = self.start(self.tcp())
        with Client(node.tcp) as client:
            client.send(b"POST /v1/cache/purge HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.response().status, 401)
        with Client(node.tcp) as client:
            client.send(b"POST /v1/cache/purge HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60000)
            self.assertEqual(client.response().status, 401)
            self.assertEqual(client.source.rest(), b"")

    def test_who_may_is_asked_to_go_on(self):
        node = self.start(self.tcp())
        with Client(node.tcp) as client:
            client.send(b"POST /v1/cache/purge HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\nExpect: 100-continue\r\n"
                        b"Authorization: Bearer %s\r\n\r\n" % OPERATOR.encode())
            self.assertEqual(client.sock.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.send(b'{"scope":"all"}')
            self.assertEqual(client.response().status, 200)

    def test_requests_in_one_go_are_answered_in_order(self):
        node = self.start(self.tcp(without_token=["live", "metrics"]))
        with Client(node.tcp) as client:
            client.send(b"GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
                        b"GET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(client.response().body, b'{\n "live": true\n}\n')
            self.assertIn(b"weir_requests", client.response().body)
            self.assertEqual(client.response().fields["connection"], "close")
            self.assertEqual(client.source.rest(), b"")

    def test_nonsense_ends_its_connection_alone(self):
        for tls in (False, True):
            node = self.start(self.tcp(with_tls=tls))
            for junk in (b"\x00" * 50, b"\r\n" * 50, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 300,
                         b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"x" * 40000):
                with Client(node.tcp) as client:
                    try:
                        client.send(junk)
                        client.sock.shutdown(socket.SHUT_WR)
                        client.source.rest()
                    except OSError:
                        pass
            self.assertEqual(self.ask(node, "GET", "/v1/node", READER, context=self.context() if tls else None)[0], 200)

    def test_who_goes_before_the_answer_harms_nobody(self):
        node = self.start(self.tcp(with_tls=True, connections_per_address=0))
        context = self.context()
        for _ in range(40):
            s = context.wrap_socket(socket.create_connection(node.tcp), server_hostname="localhost")
            s.sendall(b"GET /v1/farm HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % READER.encode())
            s.close()
            s = socket.create_connection(node.tcp)
            s.sendall(b"\x16\x03\x01")
            s.close()
        self.assertEqual(self.ask(node, "GET", "/v1/node", READER, context=context)[0], 200)
        wait_until(lambda: "weir_admin_connections_open 1\n" in node.admin(path="/metrics")[1], 30,
                   "the connections of those who went are closed")
