"""Several requests sent at once on one connection are answered in their order."""
import threading

from lib.case import NodeCase
from lib.client import request


class Pipelining(NodeCase):
    def test_answers_come_in_order_however_slow_the_first(self):
        second_seen = threading.Event()
        origin = self.origin()
        origin.on("/slow", lambda x: (second_seen.wait(0.3), x.reply(200, {}, b"slow")))
        origin.on("/fast", lambda x: (second_seen.set(), x.reply(200, {}, b"fast")))
        client = self.client(self.front(origin))
        client.send(request(path="/slow") + request(path="/fast"))
        self.assertEqual([client.response().body, client.response().body], [b"slow", b"fast"])

    def test_a_hundred_requests_in_one_write(self):
        origin = self.origin(lambda x: x.reply(200, {}, x.request.target.encode()))
        client = self.client(self.front(origin))
        client.send(b"".join(request(path="/%d" % n) for n in range(100)))
        self.assertEqual([client.response().body for _ in range(100)], [b"/%d" % n for n in range(100)])

    def test_bodies_and_requests_in_one_write(self):
        origin = self.origin(lambda x: x.reply(200, {}, x.request.body))
        client = self.client(self.front(origin))
        chunked = request("POST", "/", {"Transfer-Encoding": "chunked"}) + b"5\r\nthree\r\n0\r\n\r\n"
        client.send(request("POST", "/", body=b"one") + request("GET") + chunked + request("POST", "/", body=b"four"))
        self.assertEqual([client.response().body for _ in range(4)], [b"one", b"", b"three", b"four"])

    def test_hits_and_misses_in_one_write(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, x.request.target.encode()))
        node = self.front(origin)
        node.get("/a")
        client = self.client(node)
        client.send(b"".join(request(path=p) for p in ("/a", "/b", "/a", "/c", "/b")))
        self.assertEqual([client.response().body for _ in range(5)], [b"/a", b"/b", b"/a", b"/c", b"/b"])
        self.assertEqual(origin.count(), 3)

    def test_a_request_split_across_the_end_of_another(self):
        client = self.client(self.front(self.origin(lambda x: x.reply(200, {}, x.request.target.encode()))))
        second = request(path="/b")
        client.send(request(path="/a") + second[:7])
        self.assertEqual(client.response().body, b"/a")
        client.send(second[7:])
        self.assertEqual(client.response().body, b"/b")

    def test_a_malformed_request_behind_good_ones_ends_the_connection_after_their_answers(self):
        origin = self.origin()
        client = self.client(self.front(origin))
        client.send(request(path="/a") + request(path="/b") + b"BAD\r\n\r\n" + request(path="/c"))
        self.assertEqual([client.response().status for _ in range(3)], [200, 200, 400])
        self.assertTrue(client.closed())
        self.assertEqual(origin.count("/c"), 0)

    def test_nothing_behind_connection_close_is_answered(self):
        origin = self.origin()
        client = self.client(self.front(origin))
        client.send(request(path="/a", fields={"Connection": "close"}) + request(path="/b"))
        answer = client.response()
        self.assertTrue(answer.closes)
        self.assertTrue(client.closed())
        self.assertEqual(origin.count("/b"), 0)

    def test_a_client_that_never_reads_its_answers_is_held(self):
        """Requests beyond what the answers' buffers take must not pile up in the node."""
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, b"x" * 100000))
        node = self.front(origin)
        node.get("/")
        client = self.client(node, receive_buffer=65536)
        before = node.rss()
        client.sock.settimeout(1)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += client.sock.send(request() * 100)
        except TimeoutError:
            pass
        self.assertLess(sent, 64 << 20)
        self.skip_under_sanitizers()
        self.assertLess(node.rss() - before, 8 << 20)


class KeepAlive(NodeCase):
    def test_http_1_1_stays_open_and_1_0_does_not(self):
        node = self.front(self.origin())
        client = self.client(node)
        self.assertEqual(client.ask().status, 200)
        self.assertEqual(client.ask().status, 200)
        old = self.client(node)
        self.assertEqual(old.ask(version="1.0").status, 200)
        self.assertTrue(old.closed())

    def test_http_1_0_with_keep_alive_may_stay_open_if_it_says_so(self):
        client = self.client(self.front(self.origin()))
        answer = client.ask(version="1.0", fields={"Connection": "keep-alive"})
        if "keep-alive" in answer.fields.get("connection", "").lower():
            self.assertEqual(client.ask(version="1.0", fields={"Connection": "keep-alive"}).status, 200)
        else:
            self.assertTrue(client.closed())

    def test_requests_on_a_connection_are_limited(self):
        client = self.client(self.front(self.origin(), client={"requests_per_connection": 3}))
        answers = [client.ask() for _ in range(3)]
        self.assertEqual([a.closes for a in answers], [False, False, True])
        self.assertTrue(client.closed())

    def test_an_idle_connection_is_closed_silently(self):
        client = self.client(self.front(self.origin(), client={"idle_timeout": "200ms"}))
        self.assertEqual(client.ask().status, 200)
        self.assertTrue(client.closed())
