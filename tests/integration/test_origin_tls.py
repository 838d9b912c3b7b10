"""TLS to origins: who is trusted, what is said when somebody is not, and how few handshakes many clients need."""
import os
import shutil
import socket
import ssl
import tempfile
import threading
import time
import unittest

from lib.case import NodeCase
from lib.client import request
from lib.islands import origin_of, wait_force
from lib.node import run_weir, settings, upstream
from lib.origin import raw
from lib.tls_files import TlsFiles
from lib.tls_origin import TlsOrigin, farewell
from lib.wait import wait_until

from test_websocket import accept, handshake

NO_STORE = {"Cache-Control": "no-store"}
FAST = {"interval": "1s", "fast_interval": "100ms", "timeout": "1s"}


class TlsCase(NodeCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weir-tls-")
        cls.files = TlsFiles(os.path.join(cls.folder, "ours"))
        cls.others = TlsFiles(os.path.join(cls.folder, "others"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def tls_origin(self, cert=None, key=None, handler=None, **kw):
        cert, key = (cert, key) if cert else (self.files.cert, self.files.key)
        origin = TlsOrigin(cert, key, handler or (lambda x: x.reply(200, NO_STORE, b"origin")), **kw)
        self.addCleanup(self._end_origin, origin)
        return origin

    def before(self, origin, tls=None, top=None, **keys):
        """A node before it that trusts our CA."""
        keys.setdefault("retries", {"attempts": 0})
        return self.node(settings([upstream(origin, tls=dict({"ca": self.files.ca}, **(tls or {})), **keys)],
                                  **(top or {})))

    def refused(self, node, error, pattern):
        answer = node.get("/x")
        self.assertEqual(answer.status, 502)
        self.assertIn("error=" + error, answer.fields["proxy-status"])
        node.wait_log(pattern)


class Trust(TlsCase):
    def test_a_certificate_of_a_known_authority_is_trusted(self):
        origin = self.tls_origin()
        node = self.before(origin)
        answer = node.get("/")
        self.assertEqual((answer.status, answer.body), (200, b"origin"))
        self.assertEqual(origin.names, [None], "an address is no name for SNI")

    def test_the_host_of_the_url_is_asked_for_and_verified(self):
        origin = self.tls_origin(address="127.0.0.1")
        node = self.before(origin.named("localhost"), host="other.example")
        self.assertEqual(node.get("/").status, 200)
        self.assertEqual(origin.names, ["localhost"])
        self.assertEqual(origin.last().fields["host"], "other.example")

    def test_a_name_of_its_own_is_asked_for_and_verified(self):
        cert, key = self.files.issue("named", ["DNS:app.internal"])
        origin = self.tls_origin(cert, key)
        node = self.before(origin, tls={"name": "app.internal"})
        self.assertEqual(node.get("/").status, 200)
        self.assertEqual(origin.names, ["app.internal"])

    def test_an_unknown_authority_is_refused(self):
        origin = self.tls_origin(self.others.cert, self.others.key)
        node = self.before(origin)
        self.refused(node, "tls_certificate_error", r"127\.\S+: .*(issuer|self.signed)")
        self.assertEqual(origin.count(), 0)

    def test_the_system_does_not_know_our_authority(self):
        origin = self.tls_origin()
        node = self.node(settings([upstream(origin)]))
        self.refused(node, "tls_certificate_error", r"issuer")

    def test_an_expired_certificate_is_refused(self):
        cert, key = self.files.issue("expired", ["IP:127.0.0.1"], days=-1)
        self.refused(self.before(self.tls_origin(cert, key, address="127.0.0.1")), "tls_certificate_error", r"expired")

    def test_a_certificate_for_another_name_is_refused(self):
        cert, key = self.files.issue("wrong", ["DNS:wrong.example"])
        origin = self.tls_origin(cert, key, address="127.0.0.1")
        self.refused(self.before(origin), "tls_certificate_error", r"mismatch")
        self.refused(self.before(origin.named("localhost")), "tls_certificate_error", r"mismatch")

    def test_who_turns_verification_off_gets_what_there_is(self):
        cert, key = self.others.issue("expired", ["DNS:wrong.example"], days=-1)
        node = self.node(settings([upstream(self.tls_origin(cert, key), tls={"verify": False})]))
        self.assertEqual(node.get("/").status, 200)

    def test_an_origin_that_asks_for_a_certificate_gets_ours(self):
        def ask(context):
            context.load_verify_locations(self.files.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        origin = self.tls_origin(context=ask)
        node = self.before(origin, tls={"certificate": self.files.client_cert, "key": self.files.client_key})
        self.assertEqual(node.get("/").status, 200)
        self.assertEqual(origin.client_subjects, ["weir test client"])
        for limit in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            strict = self.tls_origin(context=lambda c: (ask(c), setattr(c, "maximum_version", limit)))
            self.assertEqual(self.before(strict).get("/").status, 502)
            self.assertEqual(strict.count(), 0)


class Faults(TlsCase):
    def test_an_old_version_is_refused(self):
        def old(context):
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        origin = self.tls_origin(context=old)
        self.refused(self.before(origin), "tls_protocol_error", r"127\.\S+: .*(version|protocol|alert)")

    def test_a_least_version_holds(self):
        origin = self.tls_origin(context=lambda c: setattr(c, "maximum_version", ssl.TLSVersion.TLSv1_2))
        self.assertEqual(self.before(origin).get("/").status, 200)
        self.refused(self.before(origin, tls={"min_version": "1.3"}), "tls_protocol_error", r"version|protocol|alert")

    def test_what_is_no_tls_is_refused_and_never_answered_plain(self):
        seen = []

        def plain(sock):
            seen.append(sock.recv(65536))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
        listener = self.raw_listener(plain)
        node = self.before(listener.url.replace("http:", "https:"))
        self.refused(node, "tls_protocol_error", r"127\.\S+: ")
        self.assertEqual(seen[0][:1], b"\x16", "a handshake record, and nothing else")

    def test_who_ends_inside_the_handshake_is_told_apart(self):
        listener = self.raw_listener(lambda sock: sock.recv(100))
        self.refused(self.before(listener.url.replace("http:", "https:")), "tls_protocol_error", r"127\.\S+: ")

    def test_a_handshake_has_the_time_of_a_connection(self):
        go = threading.Event()
        self.addCleanup(go.set)
        listener = self.raw_listener(lambda sock: go.wait(40))
        node = self.before(listener.url.replace("http:", "https:"), timeouts={"connect": "300ms"})
        answer = node.get("/")
        self.assertEqual(answer.status, 504)
        self.assertIn("error=connection_timeout", answer.fields["proxy-status"])

    def test_it_counts_against_the_origin(self):
        bad = self.tls_origin(self.others.cert, self.others.key)
        good = self.tls_origin()
        node = self.before([bad, good], retries={"attempts": 1, "budget": "100%"}, eject={"fails": 2})
        for _ in range(20):
            self.assertEqual(node.get("/").status, 200)
        node.wait_log(r"origin %s ejected" % bad.url)
        self.assertEqual(bad.count(), 0)

    def test_content_that_ends_with_the_connection_needs_a_farewell(self):
        head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n"
        origin = self.tls_origin()
        origin.on("/whole", lambda x: (x.send(head + b"whole"), farewell(x)))
        origin.on("/cut", raw(head + b"part", then="close"))
        node = self.before(origin)
        self.assertEqual(node.get("/whole").body, b"whole")
        self.assertTrue(node.get("/whole").hit)
        for _ in range(2):
            client = self.client(node)
            client.send(request(path="/cut"))
            answer = client.head()
            self.assertEqual(answer.status, 200)
            self.assertRaises(Exception, client.content, answer)
        self.assertEqual(origin.count("/cut"), 2, "it was not stored")

    def test_large_bodies_pass_both_ways(self):
        body = os.urandom(3 << 20)
        origin = self.tls_origin(handler=lambda x: x.reply(200, NO_STORE, x.request.body))
        node = self.before(origin, top={"node": {"workers": 1}})
        for _ in range(3):
            self.assertEqual(node.ask("POST", "/", {}, body).body, body)
        self.assertEqual(origin.handshakes, 1)


class Connections(TlsCase):
    def test_many_clients_share_few_connections(self):
        origin = self.tls_origin()
        node = self.before(origin, top={"node": {"workers": 2}, "client": {"connections_per_client": 0}})
        clients = [self.client(node) for _ in range(100)]
        for n in range(10):
            for client in clients:
                client.send(request(path="/%d" % n))
            self.assertEqual({c.response().status for c in clients}, {200})
        self.assertEqual(origin.count(), 1000)
        self.assertLessEqual(origin.handshakes, 200)
        before = origin.handshakes
        for n in range(300):
            self.assertEqual(clients[n % 100].ask(path="/").status, 200)
        self.assertEqual(origin.handshakes, before, "connections are kept")

    def test_further_handshakes_resume(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            origin = self.tls_origin(context=lambda c: setattr(c, "maximum_version", version),
                                     handler=lambda x: (x.reply(200, dict(NO_STORE, Connection="close"), b"x"),
                                                        farewell(x)))
            node = self.before(origin, top={"node": {"workers": 1}})
            for _ in range(20):
                self.assertEqual(node.get("/").status, 200)
            self.assertEqual(origin.handshakes, 20)
            self.assertGreaterEqual(origin.resumed, 18, version)
            counted = node.admin(path="/metrics")
            self.assertIn("origin_tls_resumed", str(counted))

    def test_a_reload_reads_the_files_again(self):
        ca = os.path.join(self.folder, "swapped.pem")
        shutil.copy(self.others.ca, ca)
        origin = self.tls_origin()
        config = settings([upstream(origin, tls={"ca": ca}, retries={"attempts": 0})])
        node = self.node(config)
        self.assertEqual(node.get("/").status, 502)
        shutil.copy(self.files.ca, ca)
        self.assertTrue(node.reload())
        self.assertEqual(node.get("/").status, 200)
        with open(ca, "w") as f:
            f.write("-----BEGIN CERTIFICATE-----\nnonsense\n")
        mark = node.mark()
        checked = run_weir("check", node.config_file)
        self.assertNotEqual(checked.returncode, 0)
        self.assertIn("swapped.pem", checked.stderr + checked.stdout)
        self.assertFalse(node.reload())
        node.wait_log(r"swapped\.pem", mark)
        self.assertEqual(node.get("/").status, 200)
        shutil.copy(self.others.ca, ca)
        self.assertTrue(node.reload())
        wait_until(lambda: node.get("/").status == 502, what="connections of the old trust are gone")

    def test_a_websocket_is_a_tunnel_over_tls(self):
        def echo(x):
            x.send_head(101, {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": accept()})
            while x.source.buffer or x.source.more():
                x.send(x.source.take())
            farewell(x)
        origin = self.tls_origin(handler=echo)
        node = self.node(settings([upstream(origin, tls={"ca": self.files.ca})],
                                  [{"upstream": "app", "websocket": True}]))
        client = self.client(node)
        client.send(handshake())
        self.assertEqual(client.response().status, 101)
        for n in range(20):
            frame = os.urandom(1 + n * 4000)
            client.send(frame)
            self.assertEqual(client.source.exactly(len(frame)), frame)
        client.half_close()
        self.assertTrue(client.closed())
        self.assertNotIn("h2", origin.alpn)


class Health(TlsCase):
    def test_origins_under_tls_are_asked_under_tls(self):
        for check in ({"type": "http", "path": "/healthz"}, {"type": "tcp"}):
            good, bad = self.tls_origin(), self.tls_origin(self.others.cert, self.others.key)
            node = self.before([good, bad], health=dict(FAST, **check))
            wait_force("down", node, bad)
            wait_force("up", node, good)
            self.assertEqual(origin_of(node, bad)["own_reason"], "the certificate is not trusted")
            self.assertEqual(bad.count(), 0)

    def test_what_is_no_tls_is_down(self):
        listener = self.raw_listener(lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        listener.url_tls = listener.url.replace("http:", "https:")
        node = self.before([listener.url_tls, self.tls_origin()], health=dict(FAST, type="http"))
        node.wait_log(r"origin %s is down" % listener.url_tls)


class Proxied(TlsCase):
    def check(self, version, tls):
        origin = self.tls_origin(proxy=True) if tls else TlsOrigin(
            handler=lambda x: x.reply(200, NO_STORE, b"x"), proxy=True)
        if not tls:
            self.addCleanup(self._end_origin, origin)
        node = self.before(origin, proxy_protocol=version)
        for n in range(3):
            client = self.client(node)
            for _ in range(2):
                self.assertEqual(client.ask(path="/").status, 200)
        self.assertEqual(origin.failures, [])
        self.assertEqual(len(origin.proxied), 6, "no connection is shared")
        return origin, node, origin.proxied

    def test_version_1_says_whose_connection_it_is(self):
        for tls in (False, True):
            _, node, headers = self.check("v1", tls)
            for version, line in headers:
                words = line.split()
                self.assertEqual((version, words[0], words[1]), ("v1", "PROXY", "TCP4"), line)
                self.assertEqual((words[2], words[3], words[5]),
                                 ("127.0.0.1", node.address[0], str(node.address[1])))
            self.assertEqual(len(set(headers)), 3, "one for each client")

    def test_version_2_says_whose_connection_it_is(self):
        for tls in (False, True):
            _, node, headers = self.check("v2", tls)
            for version, command, source, target in headers:
                self.assertEqual((version, command, source[0], target), ("v2", 0x21, "127.0.0.1", node.address))

    def test_probes_speak_for_nobody(self):
        origin = TlsOrigin(handler=lambda x: x.reply(200, NO_STORE, b"x"), proxy=True)
        self.addCleanup(self._end_origin, origin)
        self.node(settings([upstream(origin, proxy_protocol="v2", health=dict(FAST, type="http"))]))
        wait_until(lambda: origin.count() >= 2, what="probes come")
        self.assertEqual({h[1] for h in origin.proxied}, {0x20})


if __name__ == "__main__":
    unittest.main()
