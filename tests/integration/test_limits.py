"""What a client may ask for is bounded, and what it may take its time for."""
import signal
import threading
import time

from lib.case import NodeCase
from lib.client import request
from lib.ports import LOOPBACK
from lib.wait import wait_until


class Sizes(NodeCase):
    def status(self, data, **top):
        client = self.client(self.front(self.origin(), **top))
        client.send(data)
        answer = client.response()
        if answer.status >= 400:
            self.assertTrue(client.closed())
        return answer.status

    def test_head_bytes(self):
        fields = [("A%d" % n, "b" * 400) for n in range(5)]
        self.assertEqual(self.status(request(fields=fields)), 200)
        self.assertEqual(self.status(request(fields=fields), head={"bytes": "2KiB"}), 431)

    def test_number_of_fields(self):
        fields = [("A%d" % n, "b") for n in range(20)]
        self.assertEqual(self.status(request(fields=fields), head={"fields": 21}), 200)
        self.assertEqual(self.status(request(fields=fields), head={"fields": 20}), 431)

    def test_bytes_of_one_field(self):
        self.assertEqual(self.status(request(fields={"A": "b" * 300}), head={"field_bytes": 256}), 431)

    def test_bytes_of_the_target(self):
        self.assertEqual(self.status(request(path="/" + "a" * 300), head={"target_bytes": 256}), 414)
        self.assertEqual(self.status(request(path="/" + "a" * 300), head={"target_bytes": 512}), 200)

    def test_names_with_underscores_can_be_kept(self):
        origin = self.origin()
        self.front(origin, head={"underscores": True}).get("/", {"X_Own": "1"})
        self.assertEqual(origin.last().fields["x_own"], "1")

    def test_a_body_beyond_the_limit_by_length(self):
        routes = [{"upstream": "app", "limits": {"body": "10"}}]
        node = self.front(self.origin(), routes)
        self.assertEqual(node.ask("POST", "/", body=b"x" * 10).status, 200)
        self.assertEqual(node.ask("POST", "/", body=b"x" * 11).status, 413)

    def test_a_body_beyond_the_limit_in_chunks(self):
        origin = self.origin()
        node = self.front(origin, [{"upstream": "app", "limits": {"body": "10"}}])
        chunked = {"Transfer-Encoding": "chunked"}
        self.assertEqual(node.ask("POST", "/", chunked, b"a\r\n0123456789\r\n0\r\n\r\n").status, 200)
        self.assertEqual(node.ask("POST", "/", chunked, b"a\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n").status, 413)
        self.assertEqual([r.body for r in origin.seen()][1:] or [None], [None])


class Times(NodeCase):
    def test_a_head_that_does_not_end(self):
        client = self.client(self.front(self.origin(), client={"head_timeout": "300ms"}))
        client.send(request()[:20])
        self.assertEqual(client.response().status, 408)
        self.assertTrue(client.closed())

    def test_a_head_that_trickles_is_judged_as_a_whole(self):
        client = self.client(self.front(self.origin(), client={"head_timeout": "500ms"}))
        client.send(b"GET / HTTP/1.1\r\nHost: test.example\r\n")
        begun = time.monotonic()
        while not client.readable(0.1):
            self.assertLess(time.monotonic() - begun, 20)
            client.send(b"A: b\r\n")
        self.assertEqual(client.response().status, 408)

    def test_a_connection_without_a_first_byte_is_closed_silently(self):
        client = self.client(self.front(self.origin(), client={"first_timeout": "200ms"}))
        self.assertTrue(client.closed())

    def test_a_body_that_stops(self):
        client = self.client(self.front(self.origin(), client={"body_timeout": "300ms"}))
        client.send(request("POST", "/", {"Content-Length": "10"}) + b"hello")
        self.assertEqual(client.response().status, 408)
        self.assertTrue(client.closed())

    def test_a_client_that_takes_nothing_is_reset(self):
        def send(x):
            x.send_head(200, {"Content-Length": str(1 << 28), "Cache-Control": "no-store"})
            x.sock.settimeout(30)
            try:
                while True:
                    x.send(b"x" * 65536)
            except ConnectionError:
                ended.append(True)
                raise
        ended = []
        node = self.front(self.origin(send), client={"send_timeout": "500ms"})
        client = self.client(node, receive_buffer=65536)
        client.send(request())
        client.head()
        wait_until(lambda: ended, what="the origin is let go")
        self.assertTrue(client.was_reset())

    def test_an_exchange_in_all(self):
        def drip(x):
            x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "no-store"})
            while True:
                x.chunk(b"x")
                time.sleep(0.05)
        client = self.client(self.front(self.origin(drip), client={"total_timeout": "500ms"}))
        client.send(request())
        client.head()
        begun = time.monotonic()
        try:
            client.source.rest()
        except ConnectionError:
            pass
        self.assertLess(time.monotonic() - begun, 20)


    def test_a_route_has_its_own_time_for_an_exchange_and_answers_504(self):
        go = threading.Event()
        self.addCleanup(go.set)
        routes = [{"upstream": "app", "limits": {"total_timeout": "300ms"}, "cache": {"enabled": False}}]
        node = self.front(self.origin(lambda x: go.wait(30)), routes, client={"total_timeout": "60s"})
        begun = time.monotonic()
        self.assertEqual(node.get("/").status, 504)
        self.assertLess(time.monotonic() - begun, 20)


class Connections(NodeCase):
    def refused(self, node, **kw):
        """A connection beyond the limit is closed without service, or told 503."""
        client = self.client(node, **kw)
        try:
            client.send(request())
            answer = client.response()
            return answer.status == 503
        except (AssertionError, ConnectionError):
            return True

    def test_an_address_has_a_limit_and_another_address_its_own(self):
        node = self.front(self.origin(), client={"connections_per_client": 3})
        clients = [self.client(node) for _ in range(3)]
        for client in clients:
            self.assertEqual(client.ask().status, 200)
        self.assertTrue(self.refused(node))
        other = self.client(node, source="127.0.0.2")
        self.assertEqual(other.ask().status, 200)
        clients.pop().close()
        wait_until(lambda: not self.refused(node), what="a place is free again")

    def test_all_together_have_a_limit_and_the_oldest_idle_goes_first(self):
        node = self.front(self.origin(), client={"connections": 4, "connections_per_client": 0}, node={"workers": 1})
        clients = [self.client(node) for _ in range(4)]
        for client in clients:
            self.assertEqual(client.ask().status, 200)
        try:
            served = self.client(node).ask().status == 200
        except (AssertionError, ConnectionError):
            served = False
        if served:
            self.assertTrue(clients[0].closed())
        self.assertEqual(clients[3].ask().status, 200)

    def test_descriptor_exhaustion_pauses_accepting_and_recovers(self):
        node = self.front(self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, b"stored")),
                          client={"connections_per_client": 0}, files=64)
        self.assertEqual(node.get("/").status, 200)
        clients = []
        for _ in range(120):
            clients.append(self.client(node))
        served = 0
        for client in clients:
            client.sock.settimeout(0.05)
            try:
                client.send(request())
                served += client.response().status == 200
            except (AssertionError, ConnectionError, TimeoutError):
                pass
        self.assertGreater(served, 10)
        before = node.cpu_seconds()
        time.sleep(0.5)  # a node that spins on accept() burns all of this
        self.assertLess(node.cpu_seconds() - before, 0.3)
        self.assertTrue(node.running)
        for client in clients:
            client.close()
        wait_until(lambda: self.answers(node), what="the node serves again")

    def answers(self, node):
        try:
            return node.get("/", timeout=2).status == 200
        except (AssertionError, OSError):
            return False

    def test_an_idle_connection_costs_little_memory(self):
        self.skip_under_sanitizers()
        node = self.front(self.origin(), client={"connections_per_client": 0})
        warm = [self.client(node, source=LOOPBACK) for _ in range(100)]
        for client in warm:
            self.assertEqual(client.ask().status, 200)
        before = node.rss()
        clients = [self.client(node) for _ in range(1000)]
        for client in clients:
            self.assertEqual(client.ask().status, 200)
        self.assertLess((node.rss() - before) / 1000, 4096)

    def test_a_thousand_connections_leave_no_descriptor_behind(self):
        node = self.front(self.origin())
        node.get("/")
        before = node.open_files()
        for _ in range(1000):
            self.client(node).close()
        wait_until(lambda: node.open_files() <= before + 2, what="descriptors are closed")


class Memory(NodeCase):
    def test_a_node_over_its_budget_answers_503_and_closes_what_is_idle(self):
        node = self.front(self.origin(), node={"memory": "1MiB"})  # no process is that small
        idle = self.client(node)
        idle.send(request())
        idle.response()
        wait_until(lambda: "answering 503" in node.log())
        self.assertTrue(idle.closed())
        answer = node.get("/")
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.fields["connection"], "close")

    def test_idle_connections_stay_less_long_when_most_places_are_taken(self):
        node = self.front(self.origin(), client={"connections": 100, "idle_timeout": "10s"}, node={"workers": 1})
        clients = [self.client(node) for _ in range(85)]
        for client in clients:
            client.send(request())
            client.response()
        begun = time.monotonic()
        self.assertTrue(clients[-1].closed())
        self.assertLess(time.monotonic() - begun, 8)


class Signals(NodeCase):
    def test_a_client_that_vanishes_while_written_to_does_not_kill_the_node(self):
        node = self.front(self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, b"x" * 1000000)))
        node.get("/")
        for _ in range(50):
            client = self.client(node)
            client.send(request() * 3)
            client.reset()
        self.assertEqual(node.get("/").status, 200)

    def test_sighup_and_sigusr1_before_any_request_do_no_harm(self):
        node = self.front(self.origin())
        node.signal(signal.SIGUSR1)
        self.assertTrue(node.reload())
        self.assertEqual(node.get("/").status, 200)
