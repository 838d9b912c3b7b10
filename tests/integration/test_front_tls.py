"""Before the first request under TLS: handshakes that are slow, many or none, and PROXY headers in front of them."""
import re
import ssl
import tempfile
import time

from lib.case import NodeCase
from lib.client import Client, request
from lib.node import settings
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles
from lib.wait import wait_until

PROXY = b"PROXY TCP4 %s 203.0.113.1 40000 443\r\n"


class FrontTls(NodeCase):
    def secured(self, listen=None, tls=None, **top):
        folder = tempfile.TemporaryDirectory(prefix="weir-test-")
        self.addCleanup(folder.cleanup)
        self.files = TlsFiles(folder.name)
        self.o = self.origin()
        listen = dict({"address": "%s:%d" % (LOOPBACK, free_port()), "tls": {}}, **(listen or {}))
        tls = dict({"certificates": [{"certificate": self.files.cert, "key": self.files.key}]}, **(tls or {}))
        return self.node(settings(self.o, listen=[listen], tls=tls, log={"level": "info"}, **top))

    def metric(self, node, name):
        return int(re.search(r"(?m)^weir_%s (\d+)$" % name, node.admin(path="/metrics")[1]).group(1))

    def tls_client(self, node, proxy=b""):
        """A Client whose socket is under TLS, after a PROXY header if one is given."""
        context = ssl.create_default_context(cafile=self.files.ca)
        client = self.client(node)
        client.send(proxy)
        client.sock = context.wrap_socket(client.sock, server_hostname=LOOPBACK, suppress_ragged_eofs=False)
        client.source.sock = client.sock
        self.addCleanup(client.sock.close)
        return client

    def hello(self):
        """The first flight of a client."""
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        shake = ssl.create_default_context(cafile=self.files.ca).wrap_bio(into, out, server_hostname=LOOPBACK)
        try:
            shake.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return out.read()

    def test_requests_of_a_kept_connection(self):
        node = self.secured()
        client = self.tls_client(node)
        for n in range(3):
            self.assert_status(client.ask(path="/%d" % n, host=LOOPBACK), 200)
        self.assertEqual(self.metric(node, "handshakes_open"), 0)

    def test_a_slow_handshake_ends_in_time(self):
        node = self.secured(tls={"handshake_timeout": "1s"})
        silent, slow = self.client(node), self.client(node)
        began = time.monotonic()
        hello = self.hello()
        for at in range(0, len(hello) - 1):  # never whole: the time is for all of it, not for a byte
            try:
                slow.send(hello[at:at + 1])
            except OSError:
                break
            time.sleep(0.01)
        self.assertTrue(silent.closed())
        self.assertTrue(slow.closed())
        self.assertLess(time.monotonic() - began, 8)
        node.wait_log(r"info client 127\S+ at \S+: TLS handshake: client too slow")
        self.assertEqual(self.metric(node, "handshakes_late_total"), 1)  # who says nothing is idle, and not late
        self.assert_status(self.tls_client(node).ask(host=LOOPBACK), 200)

    def test_others_wait_for_their_turn(self):
        node = self.secured(tls={"handshakes": 1, "handshake_timeout": "5s"}, node={"workers": 1})
        holder, waits = self.client(node), self.client(node)
        holder.send(self.hello()[:100])
        wait_until(lambda: self.metric(node, "handshakes_open") == 1)
        waits.send(self.hello())
        wait_until(lambda: self.metric(node, "handshakes_delayed_total") == 1)
        holder.close()
        self.assertEqual(waits.sock.recv(1), b"\x16")  # it is answered
        waits.close()
        self.assert_status(self.tls_client(node).ask(host=LOOPBACK), 200)

    def test_silence_keeps_nobody_waiting(self):
        node = self.secured(tls={"handshakes": 1}, node={"workers": 1})
        for _ in range(3):
            self.client(node)
        self.assert_status(self.tls_client(node).ask(host=LOOPBACK), 200)
        self.assertEqual(self.metric(node, "handshakes_delayed_total"), 0)

    def test_the_proxy_header_comes_first(self):
        node = self.secured(listen={"proxy_protocol": ["127.0.0.0/8"]})
        client = self.tls_client(node, PROXY % b"192.0.2.7")
        self.assert_status(client.ask(host=LOOPBACK), 200)
        self.assertEqual(self.o.last().fields["x-forwarded-for"], "192.0.2.7")
        self.assertEqual(self.o.last().fields["x-forwarded-proto"], "https")

    def test_clients_behind_it_are_counted_by_themselves(self):
        node = self.secured(listen={"proxy_protocol": ["127.0.0.0/8"]}, client={"connections_per_client": 1})
        first = self.tls_client(node, PROXY % b"192.0.2.7")
        self.assert_status(first.ask(host=LOOPBACK), 200)
        with self.assertRaises(OSError):
            self.tls_client(node, PROXY % b"192.0.2.7")
        self.assert_status(self.tls_client(node, PROXY % b"192.0.2.8").ask(host=LOOPBACK), 200)

    def test_a_large_upload_and_a_large_answer(self):
        node = self.secured()
        size = 3 << 20
        self.o.on("/large", lambda x: x.reply(200, {}, b"r" * size))
        client = self.tls_client(node)
        client.send(request("POST", "/large", {}, b"u" * size, LOOPBACK))
        self.assertEqual(client.response().body, b"r" * size)
        self.assertEqual(len(self.o.last("/large").body), size)

    def test_a_drain_waits_for_who_is_served_and_not_for_who_is_silent(self):
        node = self.secured()
        silent = self.client(node)
        kept = self.tls_client(node)
        self.assert_status(kept.ask(host=LOOPBACK), 200)
        node.signal(15)
        self.assertTrue(silent.closed())
        self.assertEqual(node.wait(), 0)

    def test_the_end_of_an_answer_is_told_from_an_attack(self):
        node = self.secured()
        client = self.tls_client(node)
        client.send(request("GET", "/", {"Connection": "close"}, b"", LOOPBACK))
        self.assert_status(client.response(), 200)
        self.assertEqual(client.sock.recv(1), b"")  # close_notify; else SSLEOFError

    def test_a_reload_turns_it_on_and_off(self):
        node = self.secured()
        address = {"address": "%s:%d" % node.address}
        kept = self.tls_client(node)
        self.assert_status(kept.ask(host=LOOPBACK), 200)
        self.assertTrue(node.reload(settings(self.o, listen=[address])))
        with Client(node.address) as client:
            self.assert_status(client.ask(path="/plain"), 200)
        self.assert_status(kept.ask(path="/kept", host=LOOPBACK), 200)
