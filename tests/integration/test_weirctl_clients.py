"""What clients speak and what was refused of them, as weirctl shows it: counted by a running node."""
import socket
import ssl

from hyperframe.frame import PingFrame
from lib import schema
from lib.client import Client
from lib.ctl import weirctl, weirctl_json
from lib.http2 import Http2Client
from lib.node import settings
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until
from test_tls import TlsCase

FINE, DEGRADED = 0, 1


class Clients(TlsCase):
    def clients(self, node):
        farm = weirctl_json("status", node=node, status=DEGRADED)  # by certificates for two days
        schema.check(farm, "farm")
        return farm["totals"]["clients"]

    def lately(self, node):
        return self.clients(node)["lately"]

    def happened(self, node, what, reason, count=1):
        wait_until(lambda: self.lately(node).get(what, {}).get(reason, 0) >= count, what="%s %s" % (what, reason))

    def refuse(self, node):
        """A client that does not trust us; a host that the certificate is not for; a flood; one that may not say PROXY."""
        with self.assertRaises(ssl.SSLError):
            with socket.create_connection(node.address, 10) as plain:
                ssl.create_default_context().wrap_socket(plain, server_hostname="www.example")
        self.assertIn(b" 421 ", self.ask(self.connect(node), host="other.example"))
        with self.connect(node, self.context(protocols=("h2",))) as flooded:
            try:
                client = Http2Client(None, sock=flooded)
                for _ in range(100):
                    client.sock.sendall(PingFrame(opaque_data=b"12345678").serialize() * 1000)
            except (OSError, ssl.SSLError):
                pass
        with Client((LOOPBACK, self.proxied)) as stranger:
            self.assertTrue(stranger.closed())

    def start(self):
        self.server = self.origin()
        config = self.configuration(self.server)
        self.proxied = free_port()
        config["listen"].append({"address": "%s:%d" % (LOOPBACK, self.proxied), "proxy_protocol": ["192.0.2.0/24"]})
        return self.node(config)

    def test_protocols_handshakes_and_what_was_refused(self):
        node = self.start()
        one = self.connect(node)
        self.assertIn(b"200 OK", self.ask(one))
        two = Http2Client(None, sock=self.connect(node, self.context(protocols=("h2",))))
        stream = two.ask(authority="www.example", scheme="https")
        wait_until(lambda: two.more() and stream.over)
        self.assertEqual(stream.status, 200)
        now = self.clients(node)["connections"]
        self.assertEqual((now["http1"], now["http2"], now["tls"]), (1, 1, 2))

        self.refuse(node)
        self.happened(node, "handshakes_failed", "alert")
        self.happened(node, "requests_refused", "misdirected")
        self.happened(node, "floods_cut", "pings")
        self.happened(node, "proxy_refused", "not_listed")
        told = weirctl("status", node=node).stdout
        self.assertRegex(told, r"(?m)^  handshakes failed +\d+  the client refused \d+")
        self.assertRegex(told, r"(?m)^  HTTP/2 floods cut +1  pings 1")
        self.assertRegex(told, r"(?m)^  requests refused +1  421 misdirected 1")
        self.assertRegex(told, r"(?m)^  PROXY refused +1  not listed 1")
        self.assertRegex(weirctl("top", "--once", node=node).stdout, r"HTTP/2 floods cut 1")
        two.close()
        wait_until(lambda: self.clients(node)["connections"]["http2"] == 0)

    def test_handshakes_by_version_group_and_resumption(self):
        node = self.start()
        context = self.context()
        sock = self.connect(node, context)
        self.ask(sock)
        self.assertTrue(self.connect(node, context, session=sock.session).session_reused)
        old = self.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ecdh_curve("prime256v1")
        self.connect(node, old)

        def seen():
            return weirctl_json("tls", node=node, status=DEGRADED)["handshakes"]
        wait_until(lambda: seen()["full"] == 2)
        h = seen()
        self.assertEqual((h["resumed"], h["tls_1_2"], h["tls_1_3"], h["failed"]), (1, 1, 2, 0))
        self.assertEqual((h["groups"]["p256"], h["groups"]["x25519"]), (1, 1))
        told = weirctl("tls", node=node).stdout
        self.assertIn("3 handshakes: 33% resumed, 67% TLS 1.3, 0 with early data; 0 failed", told)

    def test_a_node_in_the_clear_has_nothing_to_tell(self):
        node = self.node(settings(self.origin()))
        with Client(node.address) as client:
            self.assertEqual(client.ask().status, 200)
            done = weirctl("status", node=node)
        self.assertEqual(done.returncode, FINE, done.stderr)
        self.assertNotIn("clients", done.stdout)
        self.assertNotIn("refused in", done.stdout)
