"""A farm that is reloaded, or started anew, one node after the other under load: no request fails."""
import signal
import threading

from lib.client import Client
from lib.farm import FarmCase
from lib.ports import lasting_port, LOOPBACK
from lib.wait import wait_until

PATHS = ["/%d" % n for n in range(20)]


class Clients:
    """As a balancer with health checks sends them: each takes a node that is ready, keeps its connection, leaves when
    it is asked to, and never tries a request twice."""

    def __init__(self, nodes, count=4):
        self.nodes, self.stopping, self.failures, self.answers = nodes, False, [], 0
        self.out = set()  # nodes no new connection is made to
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(count)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.go_on()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for t in self.threads:
            t.join(30)

    def go_on(self, count=60):
        goal = self.answers + count
        wait_until(lambda: self.answers >= goal or self.failures, 30, "%d more answers" % count)

    def choose(self, turn):
        left = [n for n in self.nodes if n not in self.out]
        return left[turn % len(left)]

    def run(self, number):
        turn, client = number, None
        while not self.stopping:
            turn += 1
            path = PATHS[turn % len(PATHS)]
            try:
                client = client or Client(self.choose(turn).address, timeout=20)
                answer = client.ask("GET", path)
            except Exception as e:
                self.failures.append("%s: %r" % (path, e))
                client = None
                continue
            if answer.status != 200 or answer.body != path.encode():
                self.failures.append("%s: %r" % (path, answer))
            self.answers += 1
            if answer.closes or turn % 50 == 0:
                client.close()
                client = None
        if client:
            client.close()


class Rolling(FarmCase):
    def setUp(self):
        origin = self.origin(lambda x: x.reply(
            200, {"Cache-Control": "max-age=60" if int(x.request.path[1:]) % 2 else "no-store"},
            x.request.path.encode()))
        redis = self.redis()
        routes = [{"match": {"paths": ["= /healthz"]}, "health": "ready"}, {"upstream": "app"}]
        farm = self.farm_of(redis)
        self.configs = [self.farm_settings(redis, origin, routes, farm=farm,
                                           listen=[{"address": "%s:%d" % (LOOPBACK, lasting_port())}],
                                           node={"workers": 2, "drain_grace": "2s"}) for _ in range(3)]
        self.nodes = [self.node(config) for config in self.configs]

    def test_reloads_one_after_the_other_fail_no_request(self):
        with Clients(self.nodes) as clients:
            for turn in range(3):
                for node, config in zip(self.nodes, self.configs):
                    config["client"] = {"idle_timeout": "%ds" % (30 + turn)}
                    self.assertTrue(node.reload(config))
                    self.assertEqual(node.get("/healthz").status, 200)  # a reload is nothing the world need know
                    clients.go_on(20)
            self.assertEqual(clients.failures, [])
        for node in self.nodes:
            self.assertNotIn("not ready", node.log())

    def test_a_reload_that_fails_is_no_interruption(self):
        with Clients(self.nodes) as clients:
            for node, config in zip(self.nodes, self.configs):
                self.assertFalse(node.reload(dict(config, client={"idle_timeout": "soon"})))
                clients.go_on(20)
            self.assertEqual(clients.failures, [])

    def test_restarts_one_after_the_other_fail_no_request(self):
        with Clients(self.nodes) as clients:
            for node in list(self.nodes):
                node.signal(signal.SIGTERM)
                wait_until(lambda: node.get("/healthz").status == 503, what="it says that it drains")
                clients.out.add(node)  # as a health check would see
                self.assertEqual(node.wait(), 0)
                clients.go_on()
                node.spawn()
                wait_until(lambda: self.ready(node), 30, "it is back")
                clients.out.remove(node)
                clients.go_on()
            self.assertEqual(clients.failures, [])

    def ready(self, node):
        try:
            return node.get("/healthz").status == 200
        except OSError:
            return False
