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
            go.wait(20)
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
        self.assertEqual(node.wait(5), 0)

    def test_sigint_does_the_same(self):
        node = self.front(self.origin())
        node.signal(signal.SIGINT)
        self.assertEqual(node.wait(5), 0)

    def test_a_running_exchange_is_finished_and_then_the_node_ends(self):
        node, client, head, go = self.slow()
        node.signal(signal.SIGTERM)
        wait_until(lambda: refused(node), what="new connections are refused")
        self.assertTrue(node.running)
        go.set()
        self.assertEqual(client.content(head).body, b"halfrest")
        self.assertTrue(client.closed())
        self.assertEqual(node.wait(5), 0)

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
        status = node.wait(5)
        node.expect_exit = status
        self.assertIn(status, (0, 1, 143))
        with self.assertRaises((Truncated, ConnectionResetError)):
            client.source.exactly(8)

    def test_the_drain_time_out_ends_what_does_not_end_itself(self):
        node, client, _, _ = self.slow(node={"drain_timeout": "300ms"})
        begun = time.monotonic()
        node.signal(signal.SIGTERM)
        status = node.wait(10)
        node.expect_exit = status
        self.assertGreaterEqual(time.monotonic() - begun, 0.2)
        with self.assertRaises((Truncated, ConnectionResetError)):
            client.source.exactly(8)
