"""Bodies go through as they come, in bounded memory, and who stops on one side is felt on the other."""
import hashlib
import socket
import threading
import time

from lib import http1
from lib.case import NodeCase
from lib.client import Truncated, request
from lib.node import sanitizer
from lib.wait import NotInTime, wait_until

MIB = 1 << 20
BLOCK = bytes(range(256)) * 256  # 64 KiB


class Pace(NodeCase):
    def test_response_bytes_come_before_the_response_is_whole(self):
        step = threading.Semaphore(0)

        def drip(x):
            x.send_head(200, {"Transfer-Encoding": "chunked"})
            for n in range(5):
                self.assertTrue(step.acquire(timeout=10))
                x.chunk(b"piece %d" % n)
            x.last_chunk()
        client = self.client(self.front(self.origin(drip)))
        client.send(request())
        head = client.head()
        self.assertEqual(head.framing, "chunked")
        for n in range(5):
            step.release()
            self.assertEqual(http1.read_chunk(client.source), b"piece %d" % n)
        self.assertEqual(http1.read_chunk(client.source), b"")

    def test_request_bytes_come_before_the_request_is_whole(self):
        got = []
        heard = threading.Semaphore(0)

        def listen(x):
            while True:
                data = x.read_chunk()
                if not data:
                    break
                got.append(data)
                heard.release()
            http1.read_trailers(x.source)
            x.reply(200, {}, b"thanks")
        origin = self.origin()
        origin.on("/", listen, read_body=False)
        client = self.client(self.front(origin))
        client.send(request("POST", "/", {"Transfer-Encoding": "chunked"}))
        for n in range(5):
            client.send(http1.chunk(b"piece %d" % n))
            self.assertTrue(heard.acquire(timeout=10), "piece %d did not reach the origin" % n)
        client.send(http1.LAST_CHUNK)
        self.assertEqual(client.response().body, b"thanks")
        self.assertEqual(b"".join(got), b"".join(b"piece %d" % n for n in range(5)))

    def test_both_directions_flow_at_once(self):
        def echo(x):
            x.send_head(200, {"Transfer-Encoding": "chunked"})
            while True:
                data = x.read_chunk()
                if not data:
                    break
                x.chunk(data)
            http1.read_trailers(x.source)
            x.last_chunk()
        origin = self.origin()
        origin.on("/", echo, read_body=False)
        client = self.client(self.front(origin))
        client.send(request("POST", "/", {"Transfer-Encoding": "chunked"}))
        client.send(http1.chunk(b"first"))
        self.assertEqual(client.head().status, 200)
        self.assertEqual(http1.read_chunk(client.source), b"first")
        client.send(http1.chunk(b"second"))
        self.assertEqual(http1.read_chunk(client.source), b"second")
        client.send(http1.LAST_CHUNK)
        self.assertEqual(http1.read_chunk(client.source), b"")


class Large(NodeCase):
    SIZE = 64 * MIB

    def test_a_large_download_is_whole_and_needs_little_memory(self):
        def send(x):
            x.send_head(200, {"Content-Length": str(self.SIZE), "Cache-Control": "no-store"})
            for _ in range(self.SIZE // len(BLOCK)):
                x.send(BLOCK)
        node = self.front(self.origin(send))
        node.get("/")  # what the first exchange allocates is not of the body
        before = node.rss()
        client = self.client(node)
        client.send(request())
        head = client.head()
        left, digest = head.length, hashlib.sha256()
        while left:
            data = client.source.exactly(min(left, MIB))
            digest.update(data)
            left -= len(data)
        expected = hashlib.sha256(BLOCK * (self.SIZE // len(BLOCK)))
        self.assertEqual(digest.digest(), expected.digest())
        self.skip_under_sanitizers()
        self.assertLess(node.rss() - before, 8 * MIB)

    def test_a_large_upload_is_whole_and_needs_little_memory(self):
        digest = hashlib.sha256()

        def take(x):
            left = http1.content_length(x.request.fields)
            while left:
                data = x.source.exactly(min(left, MIB))
                digest.update(data)
                left -= len(data)
            x.reply(200, {}, b"thanks")
        origin = self.origin()
        origin.on("/", take, read_body=False)
        node = self.front(origin, routes=[{"upstream": "app", "limits": {"body": 0}}])
        node.get("/other")
        before = node.rss()
        client = self.client(node)
        client.send(request("POST", "/", {"Content-Length": str(self.SIZE)}))
        for _ in range(self.SIZE // len(BLOCK)):
            client.send(BLOCK)
        self.assertEqual(client.response().body, b"thanks")
        self.assertEqual(digest.digest(), hashlib.sha256(BLOCK * (self.SIZE // len(BLOCK))).digest())
        self.skip_under_sanitizers()
        self.assertLess(node.rss() - before, 8 * MIB)

    def test_a_storable_download_beyond_the_object_limit_needs_little_memory(self):
        def send(x):
            x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "max-age=600"})
            for _ in range(self.SIZE // len(BLOCK)):
                x.chunk(BLOCK)
            x.last_chunk()
        origin = self.origin(send)
        node = self.front(origin)
        before = node.rss()
        self.assertEqual(len(node.get("/").body), self.SIZE)
        self.assertEqual(len(node.get("/").body), self.SIZE)
        self.assertEqual(origin.count(), 2)
        self.skip_under_sanitizers()
        self.assertLess(node.rss() - before, 24 * MIB)


class BackPressure(NodeCase):
    def test_the_origin_is_held_while_the_client_does_not_read(self):
        sent = [0]
        total = 256 * MIB

        def send(x):
            x.sock.settimeout(None)
            x.send_head(200, {"Content-Length": str(total), "Cache-Control": "no-store"})
            while sent[0] < total:
                x.send(BLOCK)
                sent[0] += len(BLOCK)
        origin = self.origin(send)
        node = self.front(origin)
        client = self.client(node, receive_buffer=65536)
        client.send(request())
        client.head()
        self.stalls(lambda: sent[0], 64 * MIB)
        self.assertLess(node.rss(), 128 * MIB * (8 if self.under_sanitizer() else 1))
        held = sent[0]
        client.source.exactly(16 * MIB)
        wait_until(lambda: sent[0] > held, what="the origin may send again")

    def test_the_client_is_held_while_the_origin_does_not_read(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def ignore(x):
            release.wait(30)
            x.close()
        origin = self.origin()
        origin.on("/", ignore, read_body=False)
        node = self.front(origin, routes=[{"upstream": "app", "limits": {"body": 0}}],
                          node={"drain_timeout": "100ms"})  # the client's end stands behind what nobody reads
        client = self.client(node)
        client.send(request("POST", "/", {"Content-Length": str(256 * MIB)}))
        sent = [0]
        client.sock.settimeout(1)
        try:
            while sent[0] < 256 * MIB:
                sent[0] += client.sock.send(BLOCK)
        except TimeoutError:
            pass
        self.assertLess(sent[0], 64 * MIB)

    def under_sanitizer(self):
        return sanitizer() is not None

    def stalls(self, value, below):
        """Waits until value() has not changed for a second; it must then be below that."""
        last, since = value(), time.monotonic()
        end = since + 30
        while time.monotonic() < end:
            time.sleep(0.02)
            if value() != last:
                last, since = value(), time.monotonic()
                self.assertLess(last, below, "the sender is not held")
            elif last and time.monotonic() - since > 1:
                return
        raise NotInTime("the sender neither stalls nor passes the limit")


class Aborts(NodeCase):
    def test_a_client_that_leaves_ends_a_response_that_cannot_be_stored(self):
        left = threading.Event()

        def endless(x):
            x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "no-store"})
            x.chunk(b"hello")
            x.peer_left()
            left.set()
            x.close()
        client = self.client(self.front(self.origin(endless)))
        client.send(request())
        client.head()
        client.close()
        self.assertTrue(left.wait(30), "the origin was not told")

    def test_a_client_that_leaves_before_the_head_ends_the_request(self):
        asked, left = threading.Event(), threading.Event()

        def silent(x):
            asked.set()
            x.peer_left()
            left.set()
            x.close()
        origin = self.origin()
        origin.on("/", silent, read_body=True)
        client = self.client(self.front(origin))
        client.send(request("POST", "/", body=b"x"))
        self.assertTrue(asked.wait(30))
        client.reset()
        self.assertTrue(left.wait(30), "the origin was not told")

    def test_a_fill_that_can_be_stored_goes_on_without_its_client(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def storable(x):
            x.send_head(200, {"Content-Length": "10", "Cache-Control": "max-age=600"})
            x.send(b"hello")
            go.wait(30)
            x.send(b"world")
        origin = self.origin(storable)
        node = self.front(origin)
        client = self.client(node)
        client.send(request())
        client.head()
        client.close()
        go.set()
        wait_until(lambda: node.get("/").hit, what="the response was stored")
        self.assertEqual(node.get("/").body, b"helloworld")
        self.assertEqual(origin.count(), 1)

    def test_an_upload_that_the_client_aborts_is_never_completed(self):
        failed = threading.Event()

        def take(x):
            try:
                x.read_body()
            except (Truncated, ConnectionError):
                failed.set()
                raise
        for fields, sent in (({"Content-Length": "10"}, b"hello"),
                             ({"Transfer-Encoding": "chunked"}, http1.chunk(b"hello"))):
            failed.clear()
            origin = self.origin()
            origin.on("/", take, read_body=False)
            client = self.client(self.front(origin))
            client.send(request("POST", "/", fields) + sent)
            origin.wait_count(1)
            client.close()
            self.assertTrue(failed.wait(30), "the origin was not told")
            self.assertIsNone(origin.last().body)

    def test_an_origin_reset_in_the_middle_is_seen_by_the_client(self):
        def cut(x):
            x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "no-store"})
            x.chunk(b"hello")
            x.reset()
        client = self.client(self.front(self.origin(cut)))
        client.send(request())
        with self.assertRaises((Truncated, ConnectionResetError)):
            answer = client.response()
            self.assertEqual(answer.status, 502)
            raise Truncated("a 502 is as good")

    def test_an_http_1_0_client_sees_a_reset_where_the_end_would_look_whole(self):
        def cut(x):
            x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "no-store"})
            x.chunk(b"hello")
            self.assertTrue(go.wait(30))
            x.reset()
        go = threading.Event()
        client = self.client(self.front(self.origin(cut)))
        client.send(request(version="1.0"))
        self.assertEqual(client.head().framing, "close")
        go.set()
        self.assertTrue(client.was_reset(), "the end of a cut response looks like a good one")


class Early(NodeCase):
    def test_a_response_before_the_request_is_whole_reaches_the_client(self):
        def refuse(x):
            x.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
            x.close()
        origin = self.origin()
        origin.on("/", refuse, read_body=False)
        client = self.client(self.front(origin))
        client.send(request("POST", "/", {"Content-Length": "100000"}) + b"x" * 1000)
        answer = client.response()
        self.assertEqual((answer.status, answer.body), (413, b"no"))

    def test_the_rest_of_such_a_request_is_never_read_as_another(self):
        def refuse(x):
            x.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
            x.close()
        origin = self.origin()
        origin.on("/", refuse, read_body=False)
        client = self.client(self.front(origin))
        behind = request("GET", "/behind")
        client.send(request("POST", "/", {"Content-Length": str(len(behind) + 5)}) + b"hello")
        self.assertEqual(client.response().status, 403)
        try:
            client.send(behind)
            while not client.closed():
                client.source.take()
        except (ConnectionError, socket.timeout):
            pass
        self.assertEqual(origin.count("/behind"), 0)
