"""SIGTERM ends a node without cutting anybody off; a second one, or the drain time-out, ends it at once."""
import signal
import threading
import time

from lib.case import NodeCase
from lib.client import Truncated, request
from lib.wait import wait_until


def refused(node):
    try:
        client = node.client(timeout=2)
    except OSError:
        return True
    client.close()
    return False


class Drain(NodeCase):
    def slow(self, **top):
        """A node with an exchange half done; go.set() lets the origin finish it."""
        go = threading.Event()
        self.addCleanup(go.set)

        def slowly(x):
            x.send_head(200, {"Content-Length": "8", "Cache-Control": "no-store"})
            x.send(b"half")
            go.wait(40)
            x.send(b"rest")
        origin = self.origin()
        origin.on("/slow", slowly)
        node = self.front(origin, **top)
        client = self.client(node)
        client.send(request(path="/slow"))
        return node, client, client.head(), go

    def test_an_idle_node_ends_at_once_and_cleanly(self):
        node = self.front(self.origin())
        node.get("/")
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)

    def test_sigint_does_the_same(self):
        node = self.front(self.origin())
        node.signal(signal.SIGINT)
        self.assertEqual(node.wait(), 0)

    def test_a_running_exchange_is_finished_and_then_the_node_ends(self):
        node, client, head, go = self.slow()
        node.signal(signal.SIGTERM)
        wait_until(lambda: refused(node), what="new connections are refused")
        self.assertTrue(node.running)
        go.set()
        self.assertEqual(client.content(head).body, b"halfrest")
        self.assertTrue(client.closed())
        self.assertEqual(node.wait(), 0)

    def test_idle_connections_are_closed(self):
        node, busy, head, go = self.slow()
        idle = self.client(node)
        self.assertEqual(idle.ask().status, 200)
        node.signal(signal.SIGTERM)
        self.assertTrue(idle.closed())
        go.set()
        busy.content(head)

    def test_a_head_that_has_begun_is_still_answered(self):
        node, busy, head, go = self.slow()
        client = self.client(node)
        client.send(request()[:10])
        self.assertFalse(client.readable(0.2))
        node.signal(signal.SIGTERM)
        wait_until(lambda: refused(node), what="new connections are refused")
        client.send(request()[10:])
        answer = client.response()
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.closes)
        go.set()
        busy.content(head)

    def test_an_upload_is_finished(self):
        origin = self.origin()
        node = self.front(origin)
        client = self.client(node)
        client.send(request("POST", "/", {"Content-Length": "10"}) + b"hello")
        origin.wait_count(1)
        node.signal(signal.SIGTERM)
        wait_until(lambda: refused(node), what="new connections are refused")
        client.send(b"world")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(origin.last().body, b"helloworld")

    def test_a_second_signal_ends_at_once(self):
        node, client, _, _ = self.slow()
        node.signal(signal.SIGTERM)
        wait_until(lambda: refused(node), what="new connections are refused")
        node.signal(signal.SIGTERM)
        status = node.wait()
        node.expect_exit = status
        self.assertIn(status, (0, 1, 143))
        with self.assertRaises((Truncated, ConnectionResetError)):
            client.source.exactly(8)

    def test_the_drain_time_out_ends_what_does_not_end_itself(self):
        node, client, _, _ = self.slow(node={"drain_timeout": "300ms"})
        begun = time.monotonic()
        node.signal(signal.SIGTERM)
        status = node.wait()
        node.expect_exit = status
        self.assertGreaterEqual(time.monotonic() - begun, 0.2)
        with self.assertRaises((Truncated, ConnectionResetError)):
            client.source.exactly(8)


class Grace(NodeCase):
    def draining(self, grace="20s", **top):
        node = self.front(self.origin(), node=dict({"drain_grace": grace}, **top.pop("node", {})), **top)
        node.signal(signal.SIGTERM)
        node.wait_log("serving on for")
        return node

    def test_it_accepts_and_serves_as_before(self):
        node = self.draining()
        client = self.client(node)
        for _ in range(3):
            answer = client.ask()
            self.assertEqual(answer.status, 200)
            self.assertFalse(answer.closes)
        node.signal(signal.SIGTERM)
        self.assertTrue(client.closed())
        self.assertEqual(node.wait(), 0)

    def test_it_ends_when_the_grace_is_over(self):
        began = time.monotonic()
        node = self.draining("1s")
        self.assertEqual(node.wait(), 0)
        self.assertGreaterEqual(time.monotonic() - began, 0.9)
        self.assertIn("no longer accepting", node.log())

    def test_towards_its_end_clients_are_asked_to_go(self):
        node = self.draining("4s")
        client = self.client(node)
        wait_until(lambda: client.ask().closes, 30, "Connection: close")
        self.assertTrue(node.running)
        self.assertTrue(client.closed())
        fresh = self.client(node).ask()  # who comes nevertheless is served, once
        self.assertEqual(fresh.status, 200)
        self.assertTrue(fresh.closes)
        self.assertEqual(node.wait(), 0)

    def test_clients_that_heed_it_lose_no_request(self):
        node = self.front(self.origin(), node={"drain_grace": "4s"})
        failures, done = [], [0]

        def load():
            client = None
            while True:
                try:
                    client = client or node.client()
                except OSError:
                    return  # it has stopped accepting
                try:
                    answer = client.ask()
                except Exception as e:
                    failures.append(e)
                    return
                done[0] += 1
                if answer.status != 200:
                    failures.append(answer)
                if answer.closes:
                    client.close()
                    client = None
        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: done[0] > 50, what="load")
        node.signal(signal.SIGTERM)
        for thread in threads:
            thread.join(40)
        self.assertEqual(failures, [])
        self.assertEqual(node.wait(), 0)

    def test_a_third_signal_resets_what_is_left(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(40), x.reply(200)))
        node = self.front(origin, node={"drain_grace": "1m", "drain_timeout": "1m"})
        client = self.client(node)
        client.send(request())
        origin.wait_count(1)
        node.signal(signal.SIGTERM)
        node.wait_log("serving on for")
        node.signal(signal.SIGTERM)
        wait_until(lambda: refused(node), what="new connections are refused")
        self.assertTrue(node.running)
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)


class Backlog(NodeCase):
    """What the kernel holds for a node when it stops accepting was not refused: it is served."""

    def test_connections_that_wait_are_served(self):
        origin = self.origin()
        node = self.front(origin)
        node.halt()
        clients = [self.client(node) for _ in range(20)]
        for client in clients:
            client.send(request())
        node.signal(signal.SIGTERM)
        node.go_on()
        for client in clients:
            self.assertEqual(client.response().status, 200)
        self.assertEqual(node.wait(), 0)

    def test_a_request_behind_the_signal_on_a_kept_connection_is_served(self):
        node = self.front(self.origin())
        clients = [self.client(node) for _ in range(10)]
        for client in clients:
            self.assertEqual(client.ask().status, 200)
        node.halt()
        for client in clients:
            client.send(request())
        node.signal(signal.SIGTERM)
        node.go_on()
        for client in clients:
            self.assertEqual(client.response().status, 200)
        self.assertEqual(node.wait(), 0)

    def test_who_has_connected_has_a_moment_to_ask(self):
        node = self.front(self.origin())
        client = self.client(node)
        node.wait_log("ready")
        node.signal(signal.SIGTERM)
        wait_until(lambda: refused(node), what="new connections are refused")
        client.send(request())
        self.assertEqual(client.response().status, 200)
        self.assertEqual(node.wait(), 0)

    def test_who_connected_and_says_nothing_delays_the_end_by_half_a_second(self):
        node = self.front(self.origin())
        client = self.client(node)
        node.halt()  # so that it is surely accepted in the same turn
        began = time.monotonic()
        node.signal(signal.SIGTERM)
        node.go_on()
        self.assertTrue(client.closed())
        self.assertEqual(node.wait(), 0)
        self.assertLess(time.monotonic() - began, 20)
