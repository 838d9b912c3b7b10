"""Clients of HTTP/2 that attack: each ends its own connection with a reason, and nobody else notices.

While one floods, another client asks and is answered; the node's memory stays where it is, and the origin is not asked
for more at a time than one connection may ask for.
"""
import threading
import unittest

from hyperframe.frame import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame,
                              SettingsFrame, WindowUpdateFrame)
from lib import node as nodes
from lib.case import NodeCase, SharedNodeCase, table
from lib.client import Client
from lib.frames import Http2
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until

CALM = 11
GROWTH_LIMIT = 24 << 20
USUAL = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "test.example")]


def h2c(origin, **top):
    listen = [{"address": "%s:%d" % (LOOPBACK, free_port()), "h2c": True}]
    return nodes.settings(origin, listen=listen, **top)


class Peak:
    """How many requests the origin works on at a time."""
    def __init__(self):
        self.lock, self.now, self.most, self.all = threading.Lock(), 0, 0, 0

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc):
        with self.lock:
            self.now -= 1


class Floods(NodeCase):
    def setUp(self):
        self.peak = Peak()
        self.origin_ = self.origin(self.answer)
        # The account of an address has its own test: here all attackers share one.
        self.node_ = self.node(h2c(self.origin_, http2={"abuse": {"client_points": 0}}))
        self.rss = self.node_.rss()

    def answer(self, x):
        if x.request.target.startswith("/slow"):
            with self.peak:
                x.peer_left()
            return
        x.reply(200, [("Cache-Control", "no-store")], b"fine")

    def flood(self, client, frames, reason, batch=10):
        """Sends until the node has enough of it; another client is served meanwhile."""
        with Client(self.node_.address) as other:
            for i in range(20000 // batch):
                if client.goaway is not None or client.over:
                    break
                client.send(b"".join(frames() for _ in range(batch)))
                client.hear(0.001)
                if i % 20 == 0:
                    other.send(b"GET /other HTTP/1.1\r\nHost: test.example\r\n\r\n")
                    self.assertEqual(other.response().status, 200)
            self.assertEqual(client.ended(), (CALM, reason))
            other.send(b"GET /other HTTP/1.1\r\nHost: test.example\r\n\r\n")
            self.assertEqual(other.response().status, 200)
        if not nodes.sanitizer():
            self.assertLess(self.node_.rss() - self.rss, GROWTH_LIMIT)
        self.node_.wait_log("HTTP/2 connection ended: " + reason)

    def connect(self, **kw):
        client = Http2(self.node_.address, **kw)
        self.addCleanup(client.close)
        return client

    def test_rapid_reset(self):
        client = self.connect()

        def one():
            data, stream = client.head([(":path", "/slow") if f[0] == ":path" else f for f in USUAL])
            return data + b"\0\0\4\3\0" + stream.to_bytes(4, "big") + b"\0\0\0\x08"

        self.flood(client, one, "too many streams reset")
        self.assertLessEqual(self.peak.most, 100)
        self.assertLessEqual(self.peak.all, 400)

    def test_requests_for_the_cache_that_are_reset(self):
        """Each is fetched on: no more at a time than one connection may ask for, however many come."""
        go = threading.Event()
        self.addCleanup(go.set)

        def slow(x):
            with self.peak:
                go.wait(30)
                x.reply(200, [("Cache-Control", "max-age=60")], b"slow")
        origin = self.origin(slow)
        node = self.node(h2c(origin, http2={"max_streams": 50, "abuse": {"points": 0, "client_points": 0}}))
        client = Http2(node.address)
        self.addCleanup(client.close)
        for n in range(100):
            batch = b""
            for i in range(100):
                data, stream = client.head([(name, "/slow/%d.%d" % (n, i) if name == ":path" else value)
                                            for name, value in USUAL])
                batch += data + b"\0\0\4\3\0" + stream.to_bytes(4, "big") + b"\0\0\0\x08"
            self.assertTrue(client.send(batch))
            client.hear(0.001)
        self.assertEqual(client.get("/late").reset, 7, "REFUSED_STREAM: fifty are being fetched")
        wait_until(lambda: self.peak.now == 50)
        self.assertEqual(self.peak.all, 50)
        go.set()
        wait_until(lambda: client.get("/late").status == 200)

    def test_made_you_reset(self):
        client = self.connect()

        def one():
            data, stream = client.head([(":path", "/slow") if f[0] == ":path" else f for f in USUAL])
            return data + WindowUpdateFrame(stream, 0x7fffffff).serialize()

        self.flood(client, one, "too many faulty frames")
        self.assertLessEqual(self.peak.most, 100)

    def test_malformed_requests(self):
        client = self.connect()
        self.flood(client, lambda: client.head(USUAL + [("connection", "close")])[0], "too many faulty frames")
        self.assertEqual(self.origin_.count("/x"), 0)

    def test_settings(self):
        self.flood(self.connect(), SettingsFrame(settings={4: 65535}).serialize, "too many SETTINGS frames")

    def test_pings(self):
        self.flood(self.connect(), PingFrame(opaque_data=b"12345678").serialize, "too many PING frames")

    def test_pings_that_nobody_reads(self):
        """Answers that are not taken do not pile up either."""
        client = self.connect()
        ping = PingFrame(opaque_data=b"12345678").serialize() * 1000
        client.sock.settimeout(1)
        for _ in range(100):
            if not client.send(ping):
                break
        self.assertEqual(client.ended()[0], CALM)

    def test_empty_data(self):
        client = self.connect()
        stream = client.ask("/upload", "POST", end=False)
        self.flood(client, DataFrame(stream).serialize, "too many empty DATA frames")

    def test_padding_alone(self):
        client = self.connect()
        stream = client.ask("/upload", "POST", end=False)
        padded = DataFrame(stream, pad_length=5, flags=["PADDED"]).serialize()
        self.flood(client, lambda: padded, "too many empty DATA frames")

    def test_priorities(self):
        self.flood(self.connect(), PriorityFrame(3, depends_on=1).serialize, "too many priority frames")

    def test_window_updates(self):
        self.flood(self.connect(), WindowUpdateFrame(0, 1).serialize, "too many WINDOW_UPDATE frames")

    def test_unknown_frames(self):
        self.flood(self.connect(), lambda: b"\0\0\1\xbb\0\0\0\0\0x", "too many frames of unknown types")

    def test_continuations(self):
        client = self.connect()
        client.get("/x")  # nothing may come between the frames of a block, no answer to SETTINGS either
        block, stream = client.encoder.encode(USUAL, huffman=False), client.stream()
        client.frame(HeadersFrame(stream, block))
        self.flood(client, ContinuationFrame(stream, b"\x00\x01a\x01b").serialize, "too many CONTINUATION frames", 1)

    def test_empty_continuations(self):
        client = self.connect()

        def one():
            stream = client.stream()
            block = client.encoder.encode(USUAL, huffman=False)
            head = HeadersFrame(stream, block, flags=["END_STREAM"]).serialize()
            return head + ContinuationFrame(stream, b"", flags=["END_HEADERS"]).serialize()

        self.flood(client, one, "too many CONTINUATION frames", 1)

    def test_growth_by_compression(self):
        client = self.connect()
        client.get("/x", fields=[("bomb", "z" * 3000)])  # the newest entry of the table now

        def one():
            return HeadersFrame(client.stream(), b"\x82\x86\x84\x01\x04test" + b"\xbe" * 30,
                                flags=["END_HEADERS", "END_STREAM"]).serialize()

        self.flood(client, one, "field sections grow too much", 1)

    def test_windows_of_one_byte(self):
        """A response handed out byte by byte."""
        client = self.connect(settings={4: 1})
        stream = client.ask("/x")
        for _ in range(3000):
            if client.goaway is not None or not client.hear(5):
                break
            if client.answers[stream].ended:
                stream = client.ask("/x")
            else:
                client.frame(WindowUpdateFrame(stream, 1))
        self.assertEqual(client.ended(), (CALM, "windows too small"))


class Addresses(NodeCase):
    def test_many_connections_that_do_no_harm_leave_no_trace(self):
        """What each of them owes (SETTINGS, windows for all it will get) is no abuse, however many come."""
        origin = self.origin(lambda x: x.reply(200, [], b"fine"))
        node = self.node(h2c(origin, http2={"abuse": {"client_points": 30, "client_forgiven": 1}}))
        for _ in range(20):
            with Http2(node.address) as client:
                client.frame(WindowUpdateFrame(0, 1 << 20))
                self.assertEqual(client.get("/").status, 200)

    def test_many_connections_of_one_address_share_an_account(self):
        origin = self.origin(lambda x: x.reply(200, [], b"fine"))
        node = self.node(h2c(origin, http2={"abuse": {"client_points": 1500, "client_forgiven": 1}}))
        ended = None
        for _ in range(20):
            with Http2(node.address) as client:  # each well below what one connection may have
                client.send(PingFrame(opaque_data=b"12345678").serialize() * 200)
                client.until(lambda: len(client.pings) >= 200 or client.goaway is not None)
                if client.goaway is not None:
                    ended = client.ended()
                    break
        self.assertEqual(ended, (CALM, "too much abuse from this address"))
        with Http2(node.address) as client:
            self.assertEqual(client.ended(), (CALM, "too much abuse from this address"))
        with Http2(node.address, source=("127.0.0.9", 0)) as client:
            self.assertEqual(client.get("/").status, 200)


@table
class Smuggling(SharedNodeCase):
    """What would be another message once it is written as HTTP/1.1 never reaches the origin."""
    @classmethod
    def configure(cls, origin):
        return h2c(origin, http2={"abuse": {"points": 0, "client_points": 0}})

    def row(self, *change, body=None):
        before = self.shared_origin.count()
        fields = [f for f in USUAL if f[0] not in {c[0] for c in change if c[0].startswith(":")}]
        fields = [c for c in change if c[0].startswith(":")] + fields + [c for c in change if not c[0].startswith(":")]
        with Http2(self.shared_node.address) as client:
            data, stream = client.head([f for f in fields if f[1] is not None], end=body is None)
            client.send(data)
            if body is not None:
                client.data(stream, body, end=True)
            answer = client.wait(stream)
            self.assertTrue(answer.reset == 1 or (answer.status or 0) in (400, 405, 502), answer)
            self.assertIsNone(client.goaway)
            good = client.get("/good%d" % before)  # the connection goes on
            self.assertEqual(good.status, 200)
        seen = [r for r in self.shared_origin.requests[before:] if not r.target.startswith("/good")]
        self.assertEqual([r for r in seen if b"smuggled" in r.raw or body is None], [], seen)

    rows = {
        "CRLF in a value": (("x", "a\r\nsmuggled: y"),),
        "LF in a value": (("x", "a\nsmuggled: y"),),
        "CR in a value": (("x", "a\rsmuggled"),),
        "NUL in a value": (("x", "a\0b"),),
        "space before a value": (("x", " a"),),
        "CRLF in a name": (("x\r\nsmuggled", "a"),),
        "colon in a name": (("x: smuggled", "a"),),
        "space in a name": (("x ", "a"),),
        "upper case in a name": (("X-Smuggled", "a"),),
        "empty name": (("", "a"),),
        "Transfer-Encoding": (("transfer-encoding", "chunked"),),
        "Connection": (("connection", "keep-alive"),),
        "Upgrade": (("upgrade", "websocket"),),
        "TE": (("te", "chunked"),),
        "a request line in the method": ((":method", "GET /smuggled HTTP/1.1\r\nx:"),),
        "space in the method": ((":method", "GET /smuggled"),),
        "a request in the path": ((":path", "/ HTTP/1.1\r\nHost: smuggled\r\n\r\n"),),
        "space in the path": ((":path", "/a smuggled"),),
        "fragment in the path": ((":path", "/a#smuggled"),),
        "absolute form in the path": ((":path", "http://smuggled/"),),
        "empty path": ((":path", ""),),
        "asterisk with GET": ((":path", "*"),),
        "no path": ((":path", None),),
        "userinfo in the authority": ((":authority", "user@smuggled"),),
        "path in the authority": ((":authority", "a/smuggled"),),
        "CRLF in the authority": ((":authority", "a\r\nsmuggled: b"),),
        "another Host": (("host", "smuggled.example"),),
        "two Hosts": (("host", "test.example"), ("host", "test.example")),
        "unknown pseudo field": ((":smuggled", "a"),),
        "status in a request": ((":status", "200"),),
        "scheme that is none": ((":scheme", "smuggled"),),
        "CONNECT": ((":method", "CONNECT"), (":path", None), (":scheme", None)),
        "TRACE": ((":method", "TRACE"),),
        "two lengths": (("content-length", "1"), ("content-length", "2")),
        "length that is no number": (("content-length", "0x1"),),
        "length without content": (("content-length", "8"),),
    }

    def test_content_longer_than_its_length(self):
        self.row((":method", "POST"), ("content-length", "4"), body=b"fourGET /smuggled HTTP/1.1\r\n\r\n")

    def test_content_shorter_than_its_length(self):
        self.row((":method", "POST"), ("content-length", "40"), body=b"four")


class Mapping(NodeCase):
    def test_what_the_origin_gets(self):
        origin = self.origin(lambda x: x.reply(200, [], b"fine"))
        node = self.node(h2c(origin))
        with Http2(node.address) as client:
            answer = client.get("/a?b", fields=[("cookie", "a=1"), ("x_y", "dropped"), ("cookie", "b=2"),
                                                ("te", "trailers"), ("x-own", "v")])
            self.assertEqual(answer.status, 200)
        raw = origin.last("/a").raw
        self.assertIn(b"GET /a?b HTTP/1.1\r\nHost: test.example\r\n", raw)
        self.assertIn(b"Cookie: a=1; b=2\r\n", raw)
        self.assertIn(b"x-own: v\r\n", raw)
        self.assertIn(b"Via: 2.0 ", raw)
        for absent in (b"x_y", b"TE:", b"te:", b"Transfer-Encoding", b"Connection"):
            self.assertNotIn(absent, raw)


if __name__ == "__main__":
    unittest.main()
