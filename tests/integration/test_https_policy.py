"""What routes and addresses ask of a connection: https, the right host, early data, client certificates; and what they
tell clients and origins of it."""
import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

from lib import node as nodes
from lib.case import NodeCase
from lib.client import Client, request
from lib.http1 import Source
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles
from lib.wait import wait_until

FRESH = {"Cache-Control": "max-age=60"}
NAMES = ["DNS:a.example", "DNS:*.wild.example", "IP:127.0.0.1"]


class PolicyCase(NodeCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weir-policy-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.files = TlsFiles(os.path.join(cls.folder, "tls"), NAMES)

    def start(self, origin, routes=None, listen=None, tls=None, **top):
        """A node with a plain address and, behind it, one under TLS."""
        self.plain, self.secure = free_port(), free_port()
        top.setdefault("tls", {"certificates": [{"certificate": self.files.cert, "key": self.files.key}]})
        self.weir = self.node(nodes.settings(
            [origin], routes, [dict({"address": "%s:%d" % (LOOPBACK, self.plain)}, **(listen or {})),
                               dict({"address": "%s:%d" % (LOOPBACK, self.secure), "tls": tls or {}},
                                    **({"misdirected": True} if top.pop("misdirected", False) else {}))], **top))
        return self.weir

    def refused(self, config, why):
        path = os.path.join(self.folder, "refused.yaml")
        with open(path, "w") as f:
            json.dump(config, f)
        done = nodes.run_weir("check", path)
        self.assertEqual(done.returncode, 2)
        self.assertIn(why, done.stdout + done.stderr)

    def context(self, client=False):
        context = ssl.create_default_context(cafile=self.files.ca)
        context.check_hostname = False
        if client:
            context.load_cert_chain(self.files.client_cert, self.files.client_key)
        return context

    def ask(self, host="a.example", path="/", name="a.example", fields=(), client=False, method="GET"):
        """One request under TLS."""
        sock = socket.create_connection((LOOPBACK, self.secure))
        sock = self.context(client).wrap_socket(sock, server_hostname=name)
        c = Client.__new__(Client)
        c.sock, c.source = sock, Source(sock)
        try:
            c.send(request(method, path, fields, host=host))
            return c.response()
        finally:
            c.close()


class Hosts(PolicyCase):
    def test_a_host_that_the_certificate_does_not_cover_is_misdirected(self):
        self.start(self.origin())
        self.assertEqual(self.ask().status, 200)
        self.assertEqual(self.ask(host="x.wild.example").status, 200)
        self.assertEqual(self.ask(host="127.0.0.1:%d" % self.secure).status, 200)
        for host in ("b.example", "y.x.wild.example", "wild.example", "127.0.0.2"):
            self.assertEqual(self.ask(host=host).status, 421, host)

    def test_unless_the_address_allows_it(self):
        self.start(self.origin(), misdirected=True)
        self.assertEqual(self.ask(host="b.example").status, 200)

    def test_where_identity_counts_the_host_must_be_the_one_the_handshake_was_for(self):
        self.start(self.origin(), routes=[
            {"match": {"hosts": ["x.wild.example"]}, "upstream": "app", "client_certificate": "required"},
            {"upstream": "app"}], tls={"client_auth": "optional", "client_ca": self.files.ca})
        self.assertEqual(self.ask(host="x.wild.example", client=True).status, 421)
        self.assertEqual(self.ask(host="x.wild.example", name="x.wild.example", client=True).status, 200)


class Redirects(PolicyCase):
    def test_what_comes_in_the_clear_is_sent_to_https(self):
        origin = self.origin()
        self.start(origin, routes=[{"match": {"paths": ["= /live"]}, "health": "live"}, {"upstream": "app"}],
                   listen={"redirect_https": True, "https_port": 8443})
        answer = self.weir.get("/a%20b?c=d", host="a.example:%d" % self.plain)
        self.assertEqual(answer.status, 308)
        self.assertEqual(answer.fields["location"], "https://a.example:8443/a%20b?c=d")
        self.assertEqual(self.weir.get("/live").status, 200)
        self.assertEqual(self.ask().status, 200)
        self.assertEqual(origin.count(), 1)

    def test_an_address_with_tls_redirects_nobody(self):
        self.refused(nodes.settings([self.origin()], listen=[{"address": "127.0.0.1:8080", "redirect_https": True,
                                                              "tls": {}}]), "redirect_https: means nothing")


class Fields(PolicyCase):
    def test_hsts_and_alt_svc_take_the_place_of_the_origins(self):
        theirs = dict(FRESH, **{"Strict-Transport-Security": "max-age=1", "Alt-Svc": 'h3=":1"'})
        self.start(self.origin(lambda x: x.reply(200, theirs, b"x")), listen={"alt_svc": 'h2="a:443"'},
                   routes=[{"upstream": "app", "hsts": {"max_age": "365d", "include_subdomains": True}}])
        for _ in range(2):  # fetched, and stored
            secure, plain = self.ask(), self.weir.get("/")
            self.assertEqual([v for n, v in secure.fields.lines if n.lower() == "strict-transport-security"],
                             ["max-age=31536000; includeSubDomains"])
            self.assertEqual(secure.fields["alt-svc"], 'h3=":1"')  # of another address: the origin's, not ours
            self.assertNotIn("strict-transport-security", plain.fields)
            self.assertEqual([v for n, v in plain.fields.lines if n.lower() == "alt-svc"], ['h2="a:443"'])
        error = self.ask(method="POST", fields={"Content-Length": "99999999999"})
        self.assertEqual(error.status, 413)
        self.assertIn("max-age=31536000", error.fields["strict-transport-security"])

    def test_the_log_tells_of_the_connection(self):
        self.start(self.origin(), log={"access": "json", "access_file": os.path.join(self.folder, "log"), "fields": [
            "tls_version", "tls_cipher", "tls_name", "tls_resumed", "tls_early", "client_cert", "protocol"]},
            tls={"client_auth": "optional", "client_ca": self.files.ca})
        self.ask(client=True)
        wait_until(lambda: os.path.exists(os.path.join(self.folder, "log")) and
                   os.path.getsize(os.path.join(self.folder, "log")) > 0)
        with open(os.path.join(self.folder, "log")) as f:
            line = json.loads(f.readline())
        self.assertEqual(line["tls_version"], "TLSv1.3")
        self.assertEqual((line["tls_name"], line["protocol"]), ("a.example", "HTTP/1.1"))
        self.assertIn("CN=weir test client", line["client_cert"])
        self.assertIs(line["tls_early"], False)


class Clients(PolicyCase):
    ROUTES = [{"match": {"paths": ["/must/"]}, "upstream": "app", "client_certificate": "required"},
              {"match": {"paths": ["/may/"]}, "upstream": "app", "client_certificate": "optional",
               "request_fields": {"set": [{"name": "X-Who", "value": "$client_cert_subject"}]}},
              {"upstream": "app"}]

    def begin(self, handler=None):
        origin = self.origin(handler or (lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"x")))
        self.start(origin, routes=self.ROUTES, tls={"client_auth": "optional", "client_ca": self.files.ca})
        return origin

    def test_a_certificate_is_required_where_the_route_says_so(self):
        origin = self.begin()
        self.assertEqual(self.ask(path="/must/x").status, 403)
        self.assertEqual(self.weir.get("/must/x").status, 403)  # in the clear there is none
        self.assertEqual(origin.count(), 0)
        self.assertEqual(self.ask(path="/must/x", client=True).status, 200)
        cert = origin.last().fields["client-cert"]
        with open(self.files.client_cert) as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        self.assertEqual(cert, ":%s:" % base64.b64encode(der).decode())

    def test_who_is_asked_may_say_nothing(self):
        origin = self.begin()
        self.assertEqual(self.ask(path="/may/x").status, 200)
        self.assertNotIn("client-cert", origin.last().fields)
        self.assertEqual(origin.last().fields["x-who"], "")
        self.assertEqual(self.ask(path="/may/x", client=True).status, 200)
        self.assertIn("CN=weir test client", origin.last().fields["x-who"])
        self.ask(path="/x", client=True)
        self.assertNotIn("client-cert", origin.last().fields)

    def test_nobody_can_say_it_himself(self):
        origin = self.begin()
        spoofed = {"Client-Cert": ":AAAA:", "X-SSL-Client-Verify": "SUCCESS", "X-Forwarded-Client-Cert": "x",
                   "Client-Cert-Chain": ":AAAA:"}
        self.assertEqual(self.ask(path="/must/x", fields=spoofed).status, 403)
        for path in ("/may/x", "/x"):
            self.assertEqual(self.ask(path=path, fields=spoofed).status, 200)
            self.assertFalse({n.lower() for n in spoofed} & {n.lower() for n, _ in origin.last().fields.lines})

    def test_what_one_client_got_is_not_stored_for_others(self):
        origin = self.begin(lambda x: x.reply(200, FRESH, b"%d" % origin_count[0]))
        origin_count = [0]

        def ask(client):
            origin_count[0] += 1
            return self.ask(path="/may/page", client=client).body
        self.assertEqual(ask(True), b"1")
        self.assertEqual(ask(True), b"2")  # not stored: as with Authorization (RFC 9111 3.5)
        self.assertEqual(ask(False), b"3")
        self.assertEqual(ask(False), b"3")
        self.assertEqual(origin.count(), 3)

    def test_unless_the_response_says_so_and_then_by_vary(self):
        fields = {"Cache-Control": "public, max-age=60", "Vary": "Client-Cert"}
        count = [0]

        def reply(x):
            count[0] += 1
            x.reply(200, fields, b"%d" % count[0])
        self.begin(reply)
        first = self.ask(path="/may/p", client=True).body
        self.assertEqual(self.ask(path="/may/p", client=True).body, first)
        self.assertNotEqual(self.ask(path="/may/p").body, first)

    def test_a_route_cannot_ask_where_no_address_does(self):
        self.refused(nodes.settings([self.origin()], [{"upstream": "app", "client_certificate": "required"}]),
                     "no address asks for client certificates")


class Early(PolicyCase):
    def begin(self, handler=None):
        """A node, and a session to come back with."""
        origin = self.origin(handler or (lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"fine")))
        self.start(origin, routes=[{"match": {"paths": ["/early/"]}, "upstream": "app", "early_data": True},
                                   {"upstream": "app"}], tls={"early_data": True})
        return origin

    def s_client(self, *args, **kw):
        done = subprocess.run(("openssl", "s_client", "-connect", "%s:%d" % (LOOPBACK, self.secure), "-tls1_3",
                               "-servername", "a.example", "-CAfile", self.files.ca, "-alpn", "http/1.1",
                               "-ign_eof") + args, capture_output=True, timeout=20, **kw)
        return done.stdout.decode("latin-1")

    def early(self, path):
        """A request as early data on a resumed connection: what openssl shows of the answer."""
        session, data = os.path.join(self.folder, "session"), os.path.join(self.folder, "request")
        with open(data, "w") as f:
            f.write("GET %s HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n" % path)
        with open(data) as f:
            self.s_client("-sess_out", session, stdin=f)
        text = self.s_client("-sess_in", session, "-early_data", data, stdin=subprocess.DEVNULL)
        self.assertIn("Early data was accepted", text)
        return text

    def test_early_data_is_425_unless_the_route_takes_it(self):
        origin = self.begin()
        self.assertIn("HTTP/1.1 425", self.early("/x"))
        self.assertEqual(origin.count(), 1)  # the one that came after a handshake

    def test_the_origin_is_told(self):
        origin = self.begin()
        self.assertIn("HTTP/1.1 200", self.early("/early/x"))
        self.assertEqual(origin.count(), 2)
        self.assertEqual(origin.last().fields["early-data"], "1")

    def test_an_origin_that_wants_none_is_asked_again(self):
        def wants_none(x):
            if x.request.fields.get("early-data"):
                x.reply(425, {}, b"")
            else:
                x.reply(200, {"Cache-Control": "no-store"}, b"late")
        self.begin(wants_none)
        seen = set()

        def asked_again():  # the origin's answer and the end of the handshake race: else the 425 is the client's
            text = self.early("/early/x")
            seen.add("200" if "HTTP/1.1 200" in text else "425" if "HTTP/1.1 425" in text else text)
            return "200" in seen
        wait_until(asked_again, 30)
        self.assertLessEqual(seen, {"200", "425"})
