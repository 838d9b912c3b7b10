"""What operators order of origins and upstreams: drain, disable, up, weight, maintenance; on one node without a farm."""
import collections

from lib.case import NodeCase
from lib.node import settings, upstream
from lib.wait import wait_until

UNCACHED = {"Cache-Control": "no-store"}
FAST = {"path": "/healthz", "interval": "1s", "fast_interval": "100ms", "timeout": "1s"}


class Words(NodeCase):
    def origins(self, count):
        return [self.origin(lambda x, n=n: x.reply(200, UNCACHED, b"%d" % n)) for n in range(count)]

    def before(self, origins, **keys):
        return self.node(settings([upstream(origins, **dict({"balance": {"method": "round_robin"}}, **keys))],
                                  node={"workers": 1}))

    def say(self, node, kind, origin=None, **keys):
        word = dict(keys, name="app", kind=kind, target="origin" if origin else "upstream")
        if origin:
            word["url"] = origin.url
        status, answer = node.admin("POST", "/v1/words", word)
        self.assertEqual((status, answer["outcome"]), (200, "said"), answer)

    def seen(self, node, origin):
        _, answer = node.admin(path="/v1/origins")
        return next(o for o in answer["origins"] if o["url"] == origin.url)

    def wait_seen(self, node, origin, **wanted):
        wait_until(lambda: all(self.seen(node, origin)[k] == v for k, v in wanted.items()), what="%r" % wanted)

    def shares(self, node, requests=40):
        return collections.Counter(node.get("/").text for _ in range(requests))

    def test_a_disabled_origin_gets_nobody_until_it_is_taken_back(self):
        origins = self.origins(2)
        node = self.before(origins)
        self.say(node, "disable", origins[0], reason="kernel", author="alice")
        self.wait_seen(node, origins[0], in_force="disabled", why="operator")
        self.assertEqual(set(self.shares(node)), {"1"})
        word = self.seen(node, origins[0])["word"]
        self.assertEqual((word["author"], word["reason"], word["kind"]), ("alice", "kernel", "disable"))
        self.say(node, "disable", origins[1])
        self.wait_seen(node, origins[1], in_force="disabled")
        answer = node.get("/")
        self.assertEqual(answer.status, 503)
        self.assertIn("retry-after", answer.fields)
        self.say(node, "nothing", origins[0])
        self.wait_seen(node, origins[0], in_force="up", word=None)
        self.assertEqual(set(self.shares(node)), {"0"})

    def test_draining_keeps_the_bound_ones(self):
        origins = self.origins(2)
        node = self.before(origins, sticky={"cookie": "home"})
        first = node.get("/")
        home = origins[int(first.text)]
        cookie = ("Cookie", first.fields["set-cookie"].partition(";")[0])
        self.say(node, "drain", home)
        self.wait_seen(node, home, in_force="drained")
        self.assertEqual(set(self.shares(node, 10)), {"%d" % (1 - int(first.text))})
        self.assertEqual([node.get("/", [cookie]).text for _ in range(4)], [first.text] * 4)

    def test_a_weight_is_heeded_and_forgotten(self):
        origins = self.origins(2)
        node = self.before(origins)
        self.say(node, "weight", origins[0], weight=3)
        self.wait_seen(node, origins[0], weight=3, weight_configured=1)
        self.assertEqual(self.shares(node), {"0": 30, "1": 10})
        self.say(node, "nothing", origins[0], weight_only=True)
        self.wait_seen(node, origins[0], weight=1)
        self.assertEqual(self.shares(node), {"0": 20, "1": 20})

    def test_forced_up_whatever_its_check_says(self):
        origins = self.origins(2)
        origins[0].on("/healthz", lambda x: x.reply(500, {}, b""))
        node = self.before(origins, health=FAST)
        self.wait_seen(node, origins[0], in_force="down")
        self.assertEqual(set(self.shares(node)), {"1"})
        self.say(node, "up", origins[0])
        self.wait_seen(node, origins[0], in_force="up", verdict="down")
        wait_until(lambda: "0" in self.shares(node), what="the origin is used")

    def test_maintenance_serves_what_is_stored_stale_where_allowed_and_503_else(self):
        origin = self.origin(lambda x: x.reply(200, UNCACHED, b"anew"))
        origin.on("/stale", lambda x: x.reply(200, {"Cache-Control": "max-age=0, stale-if-error=600"}, b"old"))
        origin.on("/fresh", lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, b"kept"))
        node = self.before([origin])
        for path in ("/stale", "/fresh"):
            self.assertEqual(node.get(path).status, 200)
        asked = origin.count()
        self.say(node, "maintenance", reason="moving house", for_s=3600)
        self.wait_seen(node, origin, in_force="maintenance")
        self.assertEqual(node.get("/fresh").text, "kept")
        self.assertEqual(node.get("/stale").text, "old")
        answer = node.get("/other")
        self.assertEqual(answer.status, 503)
        self.assertIn("retry-after", answer.fields)
        self.assertEqual(origin.count(), asked)
        self.assertFalse(self.seen(node, origin)["panic"])
        self.say(node, "nothing")
        self.wait_seen(node, origin, in_force="up")
        self.assertEqual(node.get("/other").text, "anew")
