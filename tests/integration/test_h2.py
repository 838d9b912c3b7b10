"""HTTP/2 with clients, without TLS (prior knowledge): the same exchanges as over HTTP/1, and what only streams can do."""
import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading

from h2.errors import ErrorCodes

from lib import node as nodes
from lib.case import NodeCase
from lib.http2 import Http2Client
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until

FRESH = {"Cache-Control": "max-age=60"}


class Http2Case(NodeCase):
    def h2(self, origin, routes=None, **top):
        """A node with h2c, and a client of it."""
        top.setdefault("listen", [{"address": "%s:%d" % (LOOPBACK, free_port()), "h2c": True}])
        self.weir = self.front(origin, routes, **top)
        return self.connect()

    def connect(self, **kw):
        client = Http2Client(self.weir.address, **kw)
        self.addCleanup(client.close)
        return client

    def url(self, path="/"):
        return "http://%s:%d%s" % (*self.weir.address, path)


class Exchanges(Http2Case):
    def test_get_is_answered_and_then_comes_from_the_cache(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"hello"))
        client = self.h2(origin)
        for _ in range(3):
            answer = client.get("/a")
            self.assertEqual((answer.status, answer.body, answer.ended), (200, b"hello", True), answer)
            self.assertEqual(answer.fields["content-length"], "5")
        self.assertIn("hit", answer.fields["cache-status"])
        self.assertEqual(origin.count(), 1)
        self.assertEqual(origin.last().fields["via"], "2.0 weir")
        self.assertEqual(origin.last().fields["host"], "weir.test")

    def test_no_field_of_a_connection_comes_back(self):
        origin = self.origin(lambda x: x.reply(200, {"Keep-Alive": "timeout=5", "Connection": "X-Hop", "X-Hop": "1",
                                                     "X-End": "2"}, b"x"))
        answer = self.h2(origin).get()
        self.assertFalse({"connection", "keep-alive", "x-hop", "transfer-encoding"} & set(answer.fields), answer)
        self.assertEqual(answer.fields["x-end"], "2")

    def test_head_and_statuses_without_content(self):
        origin = self.origin(lambda x: x.reply(int(x.request.target[1:]), {}, b""))
        client = self.h2(origin)
        for status in (204, 304, 404, 500):
            answer = client.get("/%d" % status)
            self.assertEqual((answer.status, answer.body, answer.ended), (status, b"", True), answer)
        answer = client.answer(client.ask("HEAD", "/200"))
        self.assertEqual((answer.status, answer.ended), (200, True))

    def test_ranges_of_what_is_stored(self):
        client = self.h2(self.origin(lambda x: x.reply(200, FRESH, b"0123456789")))
        client.get()
        answer = client.get(fields={"range": "bytes=2-4"})
        self.assertEqual((answer.status, answer.body), (206, b"234"), answer)
        self.assertEqual(answer.fields["content-range"], "bytes 2-4/10")

    def test_cookies_in_crumbs_are_one_field(self):
        origin = self.origin(lambda x: x.reply(200))
        self.h2(origin).get(fields=[("cookie", "a=1"), ("cookie", "b=2")])
        self.assertEqual(origin.last().fields["cookie"], "a=1; b=2")

    def test_early_hints_and_trailers_are_passed_on(self):
        def reply(x):
            x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
            x.send_head(200, {"Transfer-Encoding": "chunked", "Trailer": "X-Sum"})
            x.chunk(b"content")
            x.send(b"0\r\nX-Sum: 7\r\n\r\n")
        client = self.h2(self.origin(reply), [{"upstream": "app", "trailers": ["X-Sum"]}])
        answer = client.get()
        self.assertEqual(answer.interim, [(103, {"link": "</a.css>; rel=preload"})])
        self.assertEqual((answer.status, answer.body, answer.trailers), (200, b"content", {"x-sum": "7"}), answer)

    def test_trailers_of_a_request_reach_the_origin(self):
        origin = self.origin(lambda x: x.reply(200))
        client = self.h2(origin, [{"upstream": "app", "trailers": ["X-Sum"]}])
        stream = client.ask("POST", "/", {"te": "trailers"}, end=False)
        client.send(stream, b"content")
        client.end(stream, [("x-sum", "7"), ("x-other", "8")])
        self.assertEqual(client.answer(stream).status, 200)
        self.assertEqual([(n.lower(), v) for n, v in origin.last().trailers.lines], [("x-sum", "7")])

    def test_100_continue(self):
        client = self.h2(self.origin(lambda x: x.reply(200, {}, x.request.body)))
        stream = client.ask("POST", "/", {"expect": "100-continue", "content-length": "4"}, end=False)
        self.assertTrue(client.wait(lambda: stream.interim))
        self.assertEqual(stream.interim[0][0], 100)
        client.send(stream, b"body", end=True)
        self.assertEqual(client.answer(stream).body, b"body")

    def test_an_answer_that_breaks_off_is_reset(self):
        def half(x):
            x.send_head(200, {"Content-Length": "100"})
            x.send(b"half")
            x.close()
        client = self.h2(self.origin(half))
        answer = client.get()
        self.assertEqual((answer.ended, answer.reset), (False, ErrorCodes.INTERNAL_ERROR), answer)
        self.assertFalse(client.closed)


class Content(Http2Case):
    SIZE = 8 << 20

    def test_large_answers_and_uploads_arrive_whole(self):
        content = os.urandom(self.SIZE)
        seen = []

        def reply(x):
            seen.append(hashlib.sha256(x.request.body).digest())
            x.reply(200, {}, content)
        client = self.h2(self.origin(reply))
        answer = client.post("/", content)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(content).digest())
        self.assertEqual(seen, [hashlib.sha256(content).digest()])

    def test_an_upload_goes_no_faster_than_the_origin_takes_it(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin()

        def slow(x):
            go.wait(40)
            x.read_body()
            x.reply(200, {}, b"%d" % len(x.request.body))
        origin.on("/slow", slow, read_body=False)
        client = self.h2(origin)
        stream = client.ask("POST", "/slow", end=False)
        sent = 0
        client.sock.settimeout(1)
        try:
            while sent < 64 << 20:
                client.send(stream, b"x" * 65536)
                sent += 65536
        except TimeoutError:
            pass
        self.assertLess(sent, 32 << 20, "the node took all of it, and the origin nothing")
        client.sock.settimeout(20)
        go.set()
        client.wait(lambda: client.h2.local_flow_control_window(stream.number) >= 16384)
        client.end(stream)
        answer = client.answer(stream)
        self.assertEqual(answer.status, 200, answer)
        self.assertGreaterEqual(int(answer.body), sent)

    def test_a_client_without_window_stops_the_answer_and_not_its_neighbours(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x" * (4 << 20)))
        origin.on("/small", lambda x: x.reply(200, {}, b"small"))
        client = self.h2(origin, cache={"object_max": "8MiB"})
        client.get("/large")
        before = self.weir.rss()
        slow = self.connect(consume=False)
        slow.h2.increment_flow_control_window(16 << 20)
        slow.flush()
        large = [slow.ask("GET", "/large") for _ in range(20)]
        slow.wait(lambda: all(len(s.body) >= 65535 for s in large))
        small = slow.get("/small")
        self.assertEqual(small.body, b"small")
        self.assertTrue(all(len(s.body) == 65535 for s in large))
        if not nodes.sanitizer():
            self.assertLess(self.weir.rss() - before, 16 << 20)
        slow.consume = True
        for s in large:
            slow.h2.increment_flow_control_window(5 << 20, s.number)
        slow.h2.increment_flow_control_window(100 << 20)
        slow.flush()
        for s in large:
            self.assertEqual(len(slow.answer(s).body), 4 << 20)

    def test_bidirectional_streaming(self):
        def echo(x):
            x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "no-store"})
            while True:
                data = x.read_chunk()
                if not data:
                    break
                x.chunk(data.upper())
            x.last_chunk()
        origin = self.origin()
        origin.on("/echo", echo, read_body=False)
        client = self.h2(origin)
        stream = client.ask("POST", "/echo", end=False)
        for n in range(10):
            client.send(stream, b"ping")
            self.assertTrue(client.wait(lambda: len(stream.body) >= 4 * (n + 1)), stream)
        client.end(stream)
        answer = client.answer(stream)
        self.assertEqual((answer.body, answer.ended), (b"PING" * 10, True))


class Streams(Http2Case):
    def test_many_streams_share_one_fetch(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def slowly(x):
            go.wait(40)
            x.reply(200, FRESH, b"x" * 1000)
        origin = self.origin(slowly)
        client = self.h2(origin)
        streams = [client.ask("GET", "/same") for _ in range(90)]
        go.set()
        for s in streams:
            self.assertEqual(len(client.answer(s).body), 1000)
        self.assertEqual(origin.count(), 1)

    def test_a_slow_answer_does_not_hold_up_the_others(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: x.reply(200, {}, b"fast"))
        origin.on("/slow", lambda x: (go.wait(40), x.reply(200, {}, b"slow")))
        client = self.h2(origin)
        slow = client.ask("GET", "/slow")
        self.assertEqual(client.get("/fast").body, b"fast")
        self.assertIsNone(slow.status)
        go.set()
        self.assertEqual(client.answer(slow).body, b"slow")

    def test_a_cancelled_request_is_logged_499_and_ends_at_the_origin(self):
        left = threading.Event()

        def wait(x):
            if x.peer_left(20):
                left.set()
        origin = self.origin(wait)
        client = self.h2(origin, [{"upstream": "app", "cache": {"enabled": False}}], log={"access": "json"})
        stream = client.ask("GET", "/wait")
        origin.wait_count(1)
        client.cancel(stream)
        self.assertTrue(left.wait(30), "the origin's connection was kept")
        line = json.loads(self.weir.wait_access(1)[0])
        self.assertEqual((line["status"], line["complete"], line["protocol"]), (499, False, "HTTP/2"), line)

    def test_an_urgent_answer_comes_first(self):
        body = b"x" * 1000000
        client = self.h2(self.origin(lambda x: x.reply(200, FRESH, body)))
        client.get("/a")
        client.h2.increment_flow_control_window(50 << 20)
        client.flush()
        later = client.ask("GET", "/a", {"priority": "u=6"}, end=True)
        urgent = client.ask("GET", "/a", {"priority": "u=1"}, end=True)
        for s in (later, urgent):
            client.h2.increment_flow_control_window(2 << 20, s.number)
        client.flush()
        client.answer(urgent)
        self.assertLess(len(later.body), len(body), "the later one was through first")
        client.answer(later)


class Refusals(Http2Case):
    def test_what_would_smuggle_is_no_request(self):
        origin = self.origin(lambda x: x.reply(200))
        client = self.h2(origin)
        for fields in ([("transfer-encoding", "chunked")], [("connection", "close")], [("te", "gzip")],
                       [("X-Upper", "1")], [("x", "a\r\nHost: other")], [("x y", "1")], [("", "1")],
                       [("host", "other.test")], [("x", " space")]):
            with self.subTest(fields=fields):
                answer = client.get("/", fields)
                self.assertTrue(answer.reset == ErrorCodes.PROTOCOL_ERROR or answer.status == 400, answer)
        self.assertEqual(origin.count(), 0)
        self.assertEqual(client.get("/").status, 200)

    def test_content_of_another_length_than_announced(self):
        origin = self.origin(lambda x: x.reply(200))
        client = self.h2(origin)
        for length in ("3", "10"):
            stream = client.ask("POST", "/", {"content-length": length}, end=False)
            client.send(stream, b"content", end=True)
            self.assertEqual(client.answer(stream).reset, ErrorCodes.PROTOCOL_ERROR)
        self.assertEqual([r for r in origin.seen() if r.body], [])

    def test_too_much_is_answered(self):
        origin = self.origin(lambda x: x.reply(200))
        client = self.h2(origin, [{"upstream": "app", "limits": {"body": "1KiB"}}])
        self.assertEqual(client.get("/" + "x" * 9000).status, 414)
        self.assertEqual(client.get("/", [("x-%d" % n, "1") for n in range(150)]).status, 431)
        self.assertEqual(client.get("/", {"x": "y" * 9000}).status, 431)
        stream = client.ask("POST", "/", {"content-length": "5000"}, end=False)
        self.assertEqual(client.answer(stream).status, 413)
        self.assertEqual(client.answer(client.ask("TRACE", "/")).status, 405)
        self.assertEqual(origin.count(), 0)


class Ends(Http2Case):
    def slow(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin()

        def slowly(x):
            x.send_head(200, {"Content-Length": "8", "Cache-Control": "no-store"})
            x.send(b"half")
            go.wait(40)
            x.send(b"rest")
        origin.on("/slow", slowly)
        client = self.h2(origin)
        stream = client.ask("GET", "/slow")
        client.wait(lambda: stream.body == b"half")
        return client, stream, go

    def test_a_node_that_drains_finishes_what_it_began(self):
        client, stream, go = self.slow()
        self.weir.signal(signal.SIGTERM)
        self.assertTrue(client.wait(lambda: len(client.goaways) == 2))
        self.assertEqual([g[0] for g in client.goaways], [2**31 - 1, stream.number])
        self.assertEqual({g[1] for g in client.goaways}, {ErrorCodes.NO_ERROR})
        go.set()
        self.assertEqual(client.answer(stream).body, b"halfrest")
        client.read_to_end()
        client.close()
        self.assertEqual(self.weir.wait(), 0)

    def test_a_reload_leaves_streams_alone(self):
        client, stream, go = self.slow()
        self.weir.reload()
        go.set()
        self.assertEqual(client.answer(stream).body, b"halfrest")
        self.assertEqual(client.goaways, [])

    def test_an_idle_connection_is_told_before_it_is_closed(self):
        client = self.h2(self.origin(lambda x: x.reply(200)), client={"idle_timeout": "1s"})
        client.get()
        client.read_to_end()
        self.assertEqual([(g[0], g[1]) for g in client.goaways], [(1, ErrorCodes.NO_ERROR)])

    def test_after_so_many_requests_a_connection_goes_elsewhere(self):
        client = self.h2(self.origin(lambda x: x.reply(200)), client={"requests_per_connection": 5})
        for _ in range(5):
            self.assertEqual(client.get().status, 200)
        client.read_to_end()
        self.assertEqual(client.goaways[-1][:2], (9, ErrorCodes.NO_ERROR))


class WebSocket(Http2Case):
    def open(self, after):
        """A client and its tunnel, which leads to after(exchange) at the origin."""
        def upgrade(x):
            key = x.request.fields["sec-websocket-key"]
            digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            x.send_head(101, {"Connection": "Upgrade", "Upgrade": "websocket",
                              "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
                              "Sec-WebSocket-Protocol": "chat"})
            after(x)
        client = self.h2(self.origin(upgrade), [{"upstream": "app", "websocket": True}])
        stream = client.ask("CONNECT", "/ws", {"sec-websocket-version": "13", "sec-websocket-protocol": "chat"},
                            end=False, protocol="websocket")
        client.wait(lambda: stream.status)
        self.assertEqual((stream.status, stream.fields.get("sec-websocket-protocol")), (200, "chat"), stream)
        self.assertNotIn("sec-websocket-accept", stream.fields)
        return client, stream

    def test_extended_connect_becomes_a_tunnel_that_ends_both_ways(self):
        def echo(x):
            while x.source.buffer or x.source.more():
                x.send(x.source.take())
            x.close()
        client, stream = self.open(echo)
        sent = b""
        for n in range(50):
            piece = b"%d " % n * 1000
            client.send(stream, piece)
            sent += piece
            self.assertTrue(client.wait(lambda: len(stream.body) >= len(sent)), stream)
        client.end(stream)
        answer = client.answer(stream)
        self.assertEqual((answer.body, answer.ended, answer.reset), (sent, True, None))

    def test_a_client_goes_on_when_the_origin_has_ended(self):
        first, then = os.urandom(1 << 20), os.urandom(1 << 20)
        heard = []

        def speak_first(x):
            x.send(first)
            x.sock.shutdown(socket.SHUT_WR)
            heard.append(x.source.rest())
            x.close()
        client, stream = self.open(speak_first)
        self.assertTrue(client.wait(lambda: stream.ended), stream)
        self.assertEqual(stream.body, first)
        self.assertTrue(client.send(stream, then, end=True))
        wait_until(lambda: heard)
        self.assertEqual(heard, [then])
        self.assertIsNone(stream.reset)

    def test_an_origin_goes_on_when_the_client_has_ended(self):
        first, then = os.urandom(1 << 20), os.urandom(1 << 20)
        heard = []

        def speak_last(x):
            heard.append(x.source.rest())
            x.send(then)
            x.close()
        client, stream = self.open(speak_last)
        self.assertTrue(client.send(stream, first, end=True))
        answer = client.answer(stream)
        self.assertEqual((answer.body, answer.ended, answer.reset), (then, True, None))
        self.assertEqual(heard, [first])

    def test_a_reset_of_the_origin_is_one_of_the_stream(self):
        client, stream = self.open(lambda x: x.reset())
        self.assertEqual(client.answer(stream).reset, ErrorCodes.CANCEL)
        self.assertFalse(stream.ended)

    def test_where_it_is_not_allowed_it_is_refused(self):
        origin = self.origin(lambda x: x.reply(200))
        client = self.h2(origin)
        stream = client.ask("CONNECT", "/ws", {"sec-websocket-version": "13"}, end=False, protocol="websocket")
        answer = client.answer(stream)
        self.assertTrue(answer.reset is not None or answer.status, answer)
        self.assertEqual(client.get("/").status, 200)


class Programs(Http2Case):
    def run_program(self, *args):
        if not shutil.which(args[0]):
            self.skipTest(args[0] + " is not installed")
        return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True)

    def test_curl(self):
        self.h2(self.origin(lambda x: x.reply(200, FRESH, b"hello")))
        done = self.run_program("curl", "-sS", "--http2-prior-knowledge", "-w", " %{http_version} %{http_code}",
                                self.url())
        self.assertEqual(done.stdout, "hello 2 200")

    def test_nghttp(self):
        self.h2(self.origin(lambda x: x.reply(200, FRESH, b"hello")))
        done = self.run_program("nghttp", "-nv", self.url(), self.url("/b"))
        self.assertIn("SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1", done.stdout)
        self.assertIn("SETTINGS_NO_RFC7540_PRIORITIES(0x09):1", done.stdout)
        self.assertEqual(done.stdout.count(":status: 200"), 2, done.stdout)

    def test_h2load(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x" * 20000))
        self.h2(origin)
        done = self.run_program("h2load", "-n", "20000", "-c", "8", "-m", "32", self.url())
        self.assertIn("20000 succeeded, 0 failed, 0 errored", done.stdout, done.stdout)
        self.assertEqual(origin.count(), 1)


class Logs(Http2Case):
    def test_both_formats_name_the_protocol(self):
        client = self.h2(self.origin(lambda x: x.reply(200, {}, b"hello")), log={"access": "combined"})
        client.get("/a")
        self.assertIn('"GET /a HTTP/2.0" 200 5', self.weir.wait_access(1)[0])
