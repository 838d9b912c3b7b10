"""Collapsed fetches with many clients: one request to the origin however many ask, nobody lost, nobody held up."""
import resource
import threading
import time

from lib.case import NodeCase
from lib.client import request
from lib.crowd import Crowd, room_for
from lib.node import sanitizer

FRESH = {"Cache-Control": "max-age=600"}
CLIENTS = 10000
SOURCES = ["127.0.0.%d" % n for n in range(2, 12)]
BODY = b"".join(b"%07d " % n for n in range(2500))  # 20 KB that tell where they come from


class Scale(NodeCase):
    def crowded(self, origin, **cache):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return self.front(origin, files=files, client={"connections": 2 * CLIENTS, "connections_per_client": 0},
                          cache=cache)

    def crowd(self, node, count):
        crowd = Crowd(node.address, count, SOURCES)
        self.addCleanup(crowd.close)
        return crowd

    def test_ten_thousand_clients_on_a_cold_key_make_one_request(self):
        count = room_for(CLIENTS // 5 if sanitizer() else CLIENTS)
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, FRESH, BODY)))
        node = self.crowded(origin, collapse_timeout="1m")
        crowd = self.crowd(node, count)
        begun = time.monotonic()
        crowd.send(request(path="/cold"))
        origin.wait_count(1)
        go.set()
        answers = crowd.answers(40)
        self.assertEqual(sum(a is None for a in answers), 0, "without a whole answer, of %d" % count)
        self.assertEqual({(status, body) for status, _, body in answers}, {(200, BODY)})
        self.assertEqual(origin.count(), 1)
        collapsed = sum(b"collapsed" in head for _, head, _ in answers)
        self.assertGreater(collapsed, count // 10)
        self.assertLess(time.monotonic() - begun, 20)

    def test_they_stream_while_it_grows(self):
        """The first part goes out to all of them before the origin has sent the second."""
        count = room_for(1000)
        go = threading.Event()
        self.addCleanup(go.set)

        def halves(x):
            x.send_head(200, dict(FRESH, **{"Content-Length": str(len(BODY))}))
            x.send(BODY[:10000])
            go.wait(30)
            x.send(BODY[10000:])
        origin = self.origin(halves)
        node = self.crowded(origin)
        crowd = self.crowd(node, count)
        crowd.send(request(path="/grows"))
        for sock in crowd.socks:
            sock.settimeout(20)
            got = b""
            while len(got.partition(b"\r\n\r\n")[2]) < 10000:
                got += sock.recv(65536)
        go.set()
        for sock in crowd.socks:
            left = len(BODY) - 10000
            while left > 0:
                data = sock.recv(left)
                self.assertNotEqual(data, b"")
                left -= len(data)
        self.assertEqual(origin.count(), 1)

    def test_a_leader_that_hangs_holds_nobody_beyond_the_deadline(self):
        first = threading.Event()
        stop = threading.Event()
        self.addCleanup(stop.set)

        def hang_once(x):
            if not first.is_set():
                first.set()
                stop.wait(30)
            x.reply(200, FRESH, BODY)
        origin = self.origin(hang_once)
        node = self.crowded(origin, collapse_timeout="500ms")
        leader = self.client(node)
        leader.send(request(path="/hangs"))
        self.assertTrue(first.wait(30))
        crowd = self.crowd(node, 300)
        crowd.send(request(path="/hangs"))
        answers = crowd.answers(40)
        self.assertEqual(sum(a is None for a in answers), 0)
        self.assertEqual({(status, body) for status, _, body in answers}, {(200, BODY)})

    def test_what_cannot_be_shared_is_not_fetched_one_after_the_other(self):
        """600 clients, each answer takes 50 ms: one after the other it would be half a minute."""
        lock = threading.Lock()
        busy = [0, 0]  # now, most
        done = threading.Event()

        def slow(x):
            with lock:
                busy[0] += 1
                busy[1] = max(busy)
            done.wait(0.05)
            with lock:
                busy[0] -= 1
            x.reply(200, {"Cache-Control": "private"}, x.request.fields["x-me"].encode())
        origin = self.origin(slow)
        node = self.crowded(origin)
        crowd = self.crowd(node, 600)
        begun = time.monotonic()
        crowd.send(lambda n: request(path="/own", fields={"X-Me": "client %d" % n}))
        answers = crowd.answers(40)
        self.assertLess(time.monotonic() - begun, 15)
        self.assertEqual([a and a[2] for a in answers], [b"client %d" % n for n in range(600)])
        self.assertEqual(origin.count(), 600)
        self.assertGreater(busy[1], 20, "they were fetched one after the other")

    def test_variants_of_one_cold_key_make_a_request_each(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, Vary="X-Kind"), x.request.fields["x-kind"].encode() * 100))
        node = self.crowded(origin)
        crowd = self.crowd(node, 1000)
        crowd.send(lambda n: request(path="/kinds", fields={"X-Kind": "kind%d" % (n % 4)}))
        answers = crowd.answers(40)
        self.assertEqual([a and a[2] for a in answers], [b"kind%d" % (n % 4) * 100 for n in range(1000)])
        self.assertLessEqual(origin.count(), 40)
