"""Whether a node wants traffic: its health endpoints, what makes it unready, and that Redis has no say in it."""
import signal
import threading
import time

from lib.case import NodeCase
from lib.farm import FarmCase
from lib.node import Node, run_weir, settings, upstream
from lib.wait import wait_until

ENDPOINTS = [{"match": {"paths": ["= /live"]}, "health": "live"},
             {"match": {"paths": ["= /ready"]}, "health": "ready"}]


class Readiness(NodeCase):
    def endpoints(self, origins, **top):
        return self.node(settings(origins, routes=ENDPOINTS + [{"upstream": "app"}], **top))

    def test_a_node_that_serves_is_live_and_ready(self):
        origin = self.origin()
        node = self.endpoints(origin)
        for path, body in (("/live", "live\n"), ("/ready", "ready\n")):
            answer = node.get(path)
            self.assertEqual((answer.status, answer.text), (200, body))
            self.assertEqual(answer.fields.get("cache-control"), "no-store")
            self.assertEqual(answer.fields.get("content-type"), "text/plain; charset=utf-8")
        self.assertEqual(origin.count(), 0)

    def test_head_is_answered_like_get(self):
        node = self.endpoints(self.origin())
        answer = node.ask("HEAD", "/ready")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.fields.get("content-length"), "6")

    def test_it_keeps_the_connection(self):
        node = self.endpoints(self.origin())
        client = self.client(node)
        for _ in range(3):
            self.assertEqual(client.ask("GET", "/ready").status, 200)

    def test_a_node_that_drains_is_live_but_not_ready(self):
        node = self.endpoints(self.origin(), node={"drain_grace": "20s"})
        node.signal(signal.SIGTERM)
        node.wait_log("serving on for")
        answer = node.get("/ready")
        self.assertEqual((answer.status, answer.text), (503, "not ready\n"))
        self.assertEqual(answer.fields.get("cache-control"), "no-store")
        self.assertEqual(node.get("/live").status, 200)
        self.assertEqual(node.get("/").status, 200)
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)

    def test_dead_origins_leave_it_ready_by_default(self):
        origins = [self.origin(lambda x: x.reply(500)) for _ in range(2)]
        node = self.endpoints(upstreams(origins, fails=2), readiness={"delay": "0"})
        for _ in range(8):
            node.get("/x")
        time.sleep(1.2)  # it looks once a second
        self.assertEqual(node.get("/ready").status, 200)

    def test_dead_origins_make_it_unready_where_that_is_asked_for(self):
        down = threading.Event()
        origins = [self.origin(lambda x: x.reply(500 if down.is_set() else 200)) for _ in range(2)]
        node = self.endpoints(upstreams(origins, base="2s", fails=2),
                              readiness={"origins": True, "delay": "100ms"})
        self.assertEqual(node.get("/ready").status, 200)
        down.set()

        def unready():
            node.get("/x")
            return node.get("/ready").status == 503
        wait_until(unready, what="not ready without an origin")
        node.wait_log("not ready for traffic: origins")
        down.clear()
        wait_until(lambda: node.get("/ready").status == 200, 30, "ready again")
        node.wait_log("ready for traffic again")

    def test_a_route_has_one_action(self):
        node = Node(settings(self.origin(), routes=[{"upstream": "app", "health": "live"}]))
        self.addCleanup(node.stop)
        done = run_weir("check", node.config_file)
        self.assertEqual(done.returncode, 2)
        self.assertIn('a route does one thing: there is "upstream" already', done.stderr)


class WithoutRedis(FarmCase):
    """Redis has no say in it: all nodes would leave at once."""

    def test_a_node_whose_redis_goes_stays_ready_and_one_that_starts_without_is(self):
        redis = self.redis()
        origin = self.origin()
        farm = self.farm_of(redis)
        node = self.node(self.farm_settings(redis, origin, ENDPOINTS + [{"upstream": "app"}], farm=farm))
        self.assertEqual(node.get("/ready").status, 200)
        redis.kill()
        self.assertEqual(node.get("/x").status, 200)
        late = self.node(self.farm_settings(redis, origin, ENDPOINTS + [{"upstream": "app"}], farm=farm))
        time.sleep(1.2)  # it looks once a second
        for n in (node, late):
            self.assertEqual(n.get("/ready").status, 200)
            self.assertNotIn("not ready", n.log())


def upstreams(origins, **eject):
    eject = dict({"percent": "100%"}, **eject)
    return [upstream(origins, eject=eject, retries={"attempts": 0})]
