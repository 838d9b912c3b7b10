"""Connections that begin with a PROXY header: who is behind them is the client, for limits, logs and forwarded fields."""
import re
import socket
import struct

from lib.case import NodeCase
from lib.client import Client, request
from lib.node import settings
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, to=None, port=40000):
    to = to or ("2001:db8::1" if ":" in source else "203.0.113.1")
    return b"PROXY TCP%d %s %s %d 443\r\n" % (6 if ":" in source else 4, source.encode(), to.encode(), port)


def v2(source, to="203.0.113.1", port=40000, tlvs=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    to = "2001:db8::1" if ":" in source else to
    body = (socket.inet_pton(family, source) + socket.inet_pton(family, to) + struct.pack("!HH", port, 443) + tlvs)
    return V2 + b"\x21" + (b"\x21" if ":" in source else b"\x11") + struct.pack("!H", len(body)) + body


LOCAL = V2 + b"\x20\0\0\0"


class Proxy(NodeCase):
    def proxied(self, networks=("127.0.0.0/8",), **top):
        self.o = self.origin()
        listen = [{"address": "%s:%d" % (LOOPBACK, free_port()), "proxy_protocol": list(networks)}]
        return self.node(settings(self.o, listen=listen, log={"level": "info"}, **top))

    def metric(self, node, name):
        return int(re.search(r"(?m)^weir_%s (\d+)$" % name, node.admin(path="/metrics")[1]).group(1))

    def ask(self, node, header, path="/"):
        client = self.client(node)
        client.send(header + request(path=path))
        return client, client.response()

    def client_seen(self):
        return self.o.last().fields["x-forwarded-for"]


class Taken(Proxy):
    def test_each_form_names_the_client(self):
        node = self.proxied()
        for header, client in ((v1("192.0.2.7"), "192.0.2.7"), (v2("192.0.2.8"), "192.0.2.8"),
                               (v1("2001:db8::7"), "2001:db8::7"), (v2("2001:db8::8"), "2001:db8::8"),
                               (b"PROXY UNKNOWN\r\n", LOOPBACK), (LOCAL, LOOPBACK),
                               (v1("::ffff:192.0.2.9", "::1"), "192.0.2.9")):
            with self.subTest(header=header):
                _, response = self.ask(node, header, "/%d" % self.o.count())
                self.assert_status(response, 200)
                self.assertTrue(self.client_seen().startswith(client.split("/")[0][:4]), self.client_seen())
                if client != LOOPBACK:
                    self.assertEqual(self.client_seen(), client)
        self.assertEqual(self.metric(node, "proxy_headers_total"), 7)
        self.assertEqual(self.metric(node, "proxy_errors_total"), 0)

    def test_the_log_has_the_client(self):
        node = self.proxied()
        self.ask(node, v1("192.0.2.7"))
        self.assertIn("192.0.2.7", node.wait_access(1)[0])

    def test_the_connection_is_kept_and_stays_the_clients(self):
        node = self.proxied()
        client, _ = self.ask(node, v2("192.0.2.7"))
        self.assert_status(client.ask(path="/again"), 200)
        self.assertEqual(self.client_seen(), "192.0.2.7")

    def test_a_header_in_single_bytes(self):
        node = self.proxied()
        for header in (v1("192.0.2.7"), v2("192.0.2.7", tlvs=b"\x04\0\x03abc")):
            client = self.client(node)
            for i in range(len(header)):
                client.send(header[i:i + 1])
            client.send(request(path="/%d" % len(header)))
            self.assert_status(client.response(), 200)
            self.assertEqual(self.client_seen(), "192.0.2.7")

    def test_what_stands_behind_the_addresses_is_skipped(self):
        node = self.proxied()
        _, response = self.ask(node, v2("192.0.2.7", tlvs=b"\xee" + struct.pack("!H", 60000) + b"GET " * 15000))
        self.assert_status(response, 200)
        self.assertEqual(self.client_seen(), "192.0.2.7")


class Refused(Proxy):
    def test_a_listed_peer_must_send_one(self):
        node = self.proxied()
        client = self.client(node)
        client.send(request())
        self.assertTrue(client.closed())
        node.wait_log(r"info client 127\S+ at \S+: PROXY header: malformed request: there is none")
        self.assertEqual(self.metric(node, "proxy_errors_total"), 1)
        self.assertEqual(self.o.count(), 0)

    def test_who_is_not_listed_is_refused(self):
        node = self.proxied(networks=["192.0.2.0/24"])
        client = self.client(node)
        self.assertTrue(client.closed())
        node.wait_log(r"warn client 127\S+ at \S+: not in proxy_protocol of this address")
        self.assertEqual(self.metric(node, "proxy_refused_total"), 1)

    def test_malformed_headers(self):
        node = self.proxied()
        bad = [v1("192.0.2.7").replace(b"TCP4", b"TCP5"), v1("192.0.2.7").replace(b"\r\n", b"\n"),
               v2("192.0.2.7").replace(b"\x21\x11", b"\x21\x12"), b"PROXY UNKNOWN " + b"x" * 200]
        for header in bad:
            with self.subTest(header=header):
                client = self.client(node)
                client.send(header + request())
                self.assertTrue(client.closed())
        wait_until(lambda: self.metric(node, "proxy_errors_total") == len(bad))
        self.assertEqual(self.o.count(), 0)

    def test_a_plain_address_takes_none(self):
        self.o = self.origin()
        node = self.front(self.o)
        client, response = self.ask(node, v1("192.0.2.7"))
        self.assert_status(response, 400)

    def test_many_failures_are_not_as_many_lines(self):
        node = self.proxied()
        for _ in range(100):
            client = self.client(node)
            client.send(b"nonsense")
            self.assertTrue(client.closed())
        wait_until(lambda: self.metric(node, "proxy_errors_total") == 100)
        self.assertLess(len(re.findall("there is none", node.log())), 80)

    def test_who_only_looks_whether_the_port_is_open_is_no_news(self):
        node = self.proxied()
        self.client(node).close()
        self.ask(node, v1("192.0.2.7"))
        self.assertNotIn(" at %s" % LOOPBACK, node.log())
        self.assertEqual(self.metric(node, "proxy_errors_total"), 0)


class Limits(Proxy):
    def test_a_header_that_does_not_come_is_not_awaited_for_long(self):
        node = self.proxied()
        silent, slow = self.client(node), self.client(node)
        slow.send(b"PROXY TCP4 192.")
        self.assertTrue(silent.closed())
        self.assertTrue(slow.closed())
        node.wait_log(r"info client 127\S+ at \S+: PROXY header: client too slow")
        self.assertEqual(self.metric(node, "proxy_errors_total"), 1)

    def test_connections_are_counted_by_the_client_behind(self):
        node = self.proxied(client={"connections_per_client": 2})
        for _ in range(2):
            self.assert_status(self.ask(node, v1("192.0.2.7"))[1], 200)
        third = self.client(node)
        third.send(v1("192.0.2.7") + request())
        self.assertTrue(third.closed())
        node.wait_log("client 127.* at .*: too many of this client")
        for n in range(5):
            self.assert_status(self.ask(node, v1("192.0.2.%d" % (100 + n)))[1], 200)
        self.assertEqual(self.metric(node, "connections_refused_total"), 1)

    def test_the_node_drains_with_headers_awaited(self):
        node = self.proxied()
        silent = self.client(node)
        wait_until(lambda: self.metric(node, "connections_open") == 1)
        node.signal(15)
        self.assertTrue(silent.closed())
        self.assertEqual(node.wait(), 0)


class Reload(Proxy):
    def test_the_same_address_gets_another_list(self):
        node = self.proxied()
        kept, _ = self.ask(node, v1("192.0.2.7"))
        plain = settings(self.o, listen=[{"address": "%s:%d" % node.address}])
        self.assertTrue(node.reload(plain))
        with Client(node.address) as client:
            self.assert_status(client.ask(), 200)
        self.assert_status(kept.ask(path="/kept"), 200)
        self.assertEqual(self.client_seen(), "192.0.2.7")
        plain["listen"][0]["proxy_protocol"] = ["127.0.0.0/8"]
        self.assertTrue(node.reload(plain))
        self.assert_status(self.ask(node, v1("192.0.2.7"))[1], 200)

    def test_a_network_that_is_none(self):
        node = self.proxied()
        mark = node.mark()
        wrong = settings(self.o, listen=[{"address": "%s:%d" % node.address, "proxy_protocol": ["nonsense"]}])
        self.assertFalse(node.reload(wrong))
        self.assertIn("listen[0].proxy_protocol[0]", node.log()[mark:])
