"""Connections to origins are kept and shared: many clients over few of them."""
import threading

from lib.case import NodeCase
from lib.client import request
from lib.wait import wait_until


class Reuse(NodeCase):
    def test_successive_clients_share_one_origin_connection(self):
        origin = self.origin()
        node = self.front(origin, node={"workers": 1})
        for n in range(50):
            self.assertEqual(node.get("/%d" % n).status, 200)
        self.assertEqual(origin.count(), 50)
        self.assertEqual(origin.connections, 1)

    def test_many_connected_clients_need_few_origin_connections(self):
        origin = self.origin()
        node = self.front(origin, node={"workers": 2}, client={"connections_per_client": 0})
        clients = [self.client(node) for _ in range(200)]
        for round_number in range(3):
            for n, client in enumerate(clients):
                self.assertEqual(client.ask(path="/%d/%d" % (round_number, n)).status, 200)
        self.assertEqual(origin.count(), 600)
        self.assertLessEqual(origin.connections, 4, "one at a time needs one connection a worker")

    def test_concurrent_clients_use_no_more_than_the_limit(self):
        most, now, lock = [0], [0], threading.Lock()

        def busy(x):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            threading.Event().wait(0.02)
            with lock:
                now[0] -= 1
            x.reply(200, {"Cache-Control": "no-store"}, b"ok")
        origin = self.origin(busy)
        node = self.front(origin, upstream={"connections": {"max": 4}}, node={"workers": 2})
        clients = [self.client(node) for _ in range(40)]
        for n, client in enumerate(clients):
            client.send(request(path="/%d" % n))
        self.assertEqual([c.response().status for c in clients], [200] * 40)
        self.assertLessEqual(most[0], 4)
        self.assertLessEqual(origin.connections, 8)

    def test_idle_connections_are_closed_in_time(self):
        origin = self.origin()
        node = self.front(origin, upstream={"connections": {"idle_timeout": "200ms"}})
        node.get("/")
        wait_until(lambda: origin.open_connections == 0, what="the idle connection is closed")
        self.assertEqual(node.get("/").status, 200)

    def test_no_more_idle_connections_are_kept_than_asked(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, {"Cache-Control": "no-store"}, b"ok")))
        node = self.front(origin, upstream={"connections": {"idle": 2}}, node={"workers": 1})
        clients = [self.client(node) for _ in range(10)]
        for n, client in enumerate(clients):
            client.send(request(path="/%d" % n))
        origin.wait_count(10)
        go.set()
        for client in clients:
            self.assertEqual(client.response().status, 200)
        wait_until(lambda: origin.open_connections <= 2, what="the surplus is closed")

    def test_a_connection_serves_no_more_requests_than_asked(self):
        origin = self.origin()
        node = self.front(origin, upstream={"connections": {"requests": 5}}, node={"workers": 1})
        for n in range(20):
            self.assertEqual(node.get("/%d" % n).status, 200)
        per_connection = {}
        for r in origin.seen():
            per_connection[r.connection] = per_connection.get(r.connection, 0) + 1
        self.assertLessEqual(max(per_connection.values()), 5)

    def test_a_request_with_a_body_uses_a_kept_connection_safely(self):
        origin = self.origin(lambda x: x.reply(200, {}, x.request.body))
        node = self.front(origin, node={"workers": 1})
        for n in range(10):
            self.assertEqual(node.ask("POST", "/", body=b"body %d" % n).body, b"body %d" % n)
        self.assertEqual(origin.connections, 1)
