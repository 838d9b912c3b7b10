"""Rate limits: who is counted together, what is refused, what clients are told; one node, and a farm."""
import itertools
import json
import time
import unittest

from lib.case import NodeCase
from lib.client import ask, get
from lib.farm import FarmCase
from lib.node import settings, upstream
from lib.wait import wait_until
from test_websocket import handshake

SLOW = {"rate": "1/h", "burst": 5}  # no token comes back while a test runs


def limit(name="slow", **keys):
    return dict(dict(SLOW, name=name), **keys)


class Rates(NodeCase):
    def begin(self, limits, routes=None, answer=None, **top):
        self.site = self.origin(answer or (lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"ok")))
        routes = routes or [{"upstream": "app", "limits": {"rates": [l["name"] for l in limits if not l.get("all_routes")]}}]
        self.front_node = self.front(self.site, routes, limits=limits, **top)
        return self.front_node

    def statuses(self, count, path="/", **kw):
        return [get(self.front_node.address, path, **kw).status for _ in range(count)]

    def seen(self, name="slow"):
        status, out = self.front_node.admin(path="/v1/limits")
        self.assertEqual(status, 200, out)
        return next(l for l in out["limits"] if l["name"] == name)

    def only(self, allowed, count, **kw):
        self.assertEqual(self.statuses(count, **kw), [200] * allowed + [429] * (count - allowed))


class Counting(Rates):
    def test_a_burst_passes_and_no_more(self):
        self.begin([limit()])
        self.only(5, 8)
        self.assertEqual(len(self.site.requests), 5)
        seen = self.seen()
        self.assertEqual((seen["allowed"], seen["refused"], seen["local"]), (5, 3, 0))

    def test_what_comes_back_comes_back_evenly(self):
        self.begin([limit(rate="20/s", burst=1)])
        self.assertEqual(self.statuses(1), [200])
        passed, began = 0, time.monotonic()
        while time.monotonic() - began < 1:
            passed += self.statuses(1)[0] == 200
        took = time.monotonic() - began
        self.assertLessEqual(passed, took * 20 + 1)
        self.assertGreaterEqual(passed, 5)  # on a busy machine

    def test_all_workers_of_a_node_count_together(self):
        self.begin([limit(burst=40)], node={"workers": 4})
        got = [s for _ in range(60) for s in self.statuses(1)]  # a connection each
        self.assertEqual(got.count(200), 40)

    def test_clients_are_apart_by_their_network(self):
        self.begin([limit(ipv4_prefix=24)])
        self.only(5, 6)
        self.assertEqual(self.statuses(2, source="127.0.0.77"), [429, 429])
        self.only(5, 6, source="127.0.1.1")

    def test_a_trusted_proxy_speaks_for_its_clients(self):
        self.begin([limit()], forward={"trusted": ["127.0.0.1"]})
        for who in ("192.0.2.1", "192.0.2.2"):
            self.only(5, 6, fields={"X-Forwarded-For": who})

    def test_fields_cookies_and_routes_are_keys_too(self):
        routes = [{"name": n, "match": {"paths": ["/" + n]}, "upstream": "app", "limits": {"rates": [r]}}
                  for n, r in (("f", "by-field"), ("c", "by-cookie"), ("r1", "by-route"), ("r2", "by-route"))]
        self.begin([limit("by-field", key=["field X-Key"]), limit("by-cookie", key=["cookie sid"]),
                    limit("by-route", key=["route"])], routes)
        for n in range(3):
            self.only(5, 6, path="/f", fields={"X-Key": "k%d" % n}, source="127.0.0.%d" % (n + 1))
            self.only(5, 6, path="/c", fields={"Cookie": "a=b; sid=%d" % n})
        self.only(5, 6, path="/f")  # without one they are all the same
        self.assertEqual(self.statuses(1, path="/f", source="127.0.0.9"), [429])
        self.only(5, 6, path="/r1")
        self.only(5, 6, path="/r2", source="127.0.0.5")
        self.assertEqual(self.statuses(1, path="/r1", source="127.0.0.6"), [429])

    def test_whoever_lacks_the_field_may_be_exempt(self):
        self.begin([limit(key=["field X-Key"], missing="exempt")])
        self.assertEqual(self.statuses(10), [200] * 10)
        self.only(5, 6, fields={"X-Key": "a"})

    def test_networks_may_be_exempt(self):
        self.begin([limit(exempt=["127.0.0.2", "10.0.0.0/8"])])
        self.assertEqual(self.statuses(10, source="127.0.0.2"), [200] * 10)
        self.only(5, 6)

    def test_hits_and_heads_count(self):
        self.begin([limit()], answer=lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, b"page"))
        node = self.front_node
        self.assertEqual([get(node.address, "/a").hit for _ in range(3)], [False, True, True])
        self.assertEqual([ask(node.address, "HEAD", "/a").status for _ in range(3)], [200, 200, 429])
        self.assertEqual(len(self.site.requests), 1)
        self.assertEqual(self.statuses(1, "/a"), [429])

    def test_handshakes_of_websockets_count(self):
        self.begin([limit(burst=1)], [{"upstream": "app", "websocket": True, "limits": {"rates": ["slow"]}}])
        self.statuses(1)
        with self.client(self.front_node) as client:
            client.send(handshake())
            self.assertEqual(client.response().status, 429)

    def test_what_the_node_answers_itself_counts(self):
        routes = [{"match": {"paths": ["/gone"]}, "respond": {"status": 410}, "limits": {"rates": ["slow"]}},
                  {"match": {"paths": ["/moved"]}, "redirect": {"to": "/x"}, "limits": {"rates": ["slow"]}},
                  {"upstream": "app"}]
        self.begin([limit()], routes)
        self.assertEqual(self.statuses(3, "/gone"), [410] * 3)
        answer = get(self.front_node.address, "/moved")
        self.assertEqual(answer.fields["ratelimit"], '"slow";r=1;t=14400')
        self.assertEqual(self.statuses(3, "/moved"), [308, 429, 429])
        self.assertEqual(self.statuses(3), [200] * 3)

    def test_a_page_of_fragments_is_one_request(self):
        def answer(x):
            body = b'<p><esi:include src="/f"/><esi:include src="/g"/></p>' if x.request.target == "/" else b"part"
            x.reply(200, {"Cache-Control": "max-age=60", "Content-Type": "text/html"}, body)
        self.begin([limit(all_routes=True)], [{"upstream": "app", "cache": {"esi": {"enabled": True}}}], answer)
        for _ in range(5):
            self.assertEqual(get(self.front_node.address, "/").body, b"<p>partpart</p>")
        self.assertEqual(self.statuses(1), [429])

    def test_all_limits_must_allow_and_nobody_loses_a_token(self):
        self.begin([limit("wide", burst=10, key=["all"]), limit("narrow", burst=2)])
        self.only(2, 8)
        self.assertEqual(self.seen("wide")["refused"], 0)
        for n in range(2, 6):  # the eight that are left
            self.only(2, 3, source="127.0.0.%d" % n)
        self.assertEqual(self.statuses(1, source="127.0.0.9"), [429])
        self.assertEqual(self.seen("wide")["refused"], 2)

    def test_a_limit_for_all_routes_needs_no_naming(self):
        routes = [{"match": {"paths": ["/ready"]}, "health": "ready"}, {"upstream": "app"}]
        self.begin([limit(all_routes=True)], routes)
        self.only(5, 7)
        self.assertEqual(self.statuses(3, "/ready"), [200] * 3)  # balancers may always ask

    def test_a_dry_run_refuses_nothing(self):
        self.begin([limit(dry_run=True)], log={"access": "json", "fields": ["status", "limit"]})
        answers = [get(self.front_node.address, "/") for _ in range(8)]
        self.assertEqual([a.status for a in answers], [200] * 8)
        self.assertNotIn("ratelimit", answers[0].fields)
        seen = self.seen()
        self.assertEqual((seen["allowed"], seen["refused"], seen["would_refuse"]), (5, 0, 3))
        self.front_node.wait_access(8)
        lines = [json.loads(l)["limit"] for l in self.front_node.access_log()]
        self.assertEqual(sorted(lines), [""] * 5 + ["slow"] * 3)

    def test_counts_live_on_over_a_reload(self):
        self.begin([limit()])
        self.statuses(3)
        config = settings([upstream(self.site)], [{"upstream": "app", "limits": {"rates": ["slow", "new"]}}],
                          listen=[{"address": "%s:%d" % self.front_node.address}], limits=[limit("new", burst=100), limit()])
        self.front_node.reload(config)
        self.only(2, 4)
        self.assertEqual(self.seen()["allowed"], 5)

    def test_the_keys_refused_most_are_seen(self):
        self.begin([limit(), limit("by-key", key=["field X-Key"])],
                   [{"upstream": "app", "limits": {"rates": ["slow"]}},
                    {"match": {"paths": ["/k"]}, "upstream": "app", "limits": {"rates": ["by-key"]}}])
        self.statuses(25)
        self.statuses(10, source="127.0.0.2")
        self.statuses(15, "/k", fields={"X-Key": "a-secret"})
        top = self.front_node.admin(path="/v1/limits")[1]["top"]
        self.assertEqual([(t["limit"], t["refused"]) for t in top], [("slow", 20), ("by-key", 10), ("slow", 5)])
        self.assertEqual([top[0]["key"], top[2]["key"]], ["127.0.0.1/32", "127.0.0.2/32"])
        self.assertRegex(top[1]["key"], "^[0-9a-f]{32}$")


class Answers(Rates):
    def test_clients_are_told_what_is_left_and_when_to_come_again(self):
        self.begin([limit(rate="6/m", burst=3), limit("wide", rate="100/s", fields=False)])
        for left in (2, 1, 0):
            answer = get(self.front_node.address, "/")
            self.assertEqual(answer.fields["ratelimit-policy"], '"slow";q=3;w=30')
            self.assertRegex(answer.fields["ratelimit"], '^"slow";r=%d;t=(10|20|30)$' % left)
            self.assertNotIn("retry-after", answer.fields)
        answer = get(self.front_node.address, "/")
        self.assert_status(answer, 429)
        self.assertIn(int(answer.fields["retry-after"]), range(8, 11))
        self.assertRegex(answer.fields["ratelimit"], '^"slow";r=0;t=30$')
        self.assertEqual(answer.fields["cache-control"], "no-store")
        self.assertIn("Too Many Requests", answer.text)
        self.assertFalse(answer.closes)

    def test_machines_get_a_problem(self):
        self.begin([limit(burst=1)])
        self.statuses(1)
        answer = get(self.front_node.address, "/", fields={"Accept": "application/json"})
        self.assertEqual(json.loads(answer.body)["status"], 429)
        self.assertEqual(answer.fields["content-type"], "application/problem+json")

    def test_the_status_is_the_operators(self):
        self.begin([limit(burst=1, status=503)], log={"access": "json"})
        self.statuses(1)
        answer = get(self.front_node.address, "/")
        self.assert_status(answer, 503)
        self.assertGreater(int(answer.fields["retry-after"]), 3000)
        self.front_node.wait_access(2)
        self.assertIn("rate_limit", [json.loads(l)["error"].lower() for l in self.front_node.access_log()])

    def test_fields_are_not_stored_and_an_origins_own_stand_beside_them(self):
        self.begin([limit()], answer=lambda x: x.reply(
            200, {"Cache-Control": "max-age=600", "RateLimit": '"origin";r=7', "ETag": '"a"'}, b"page"))
        for left in (4, 3, 2):
            answer = get(self.front_node.address, "/a")
            self.assertEqual(sorted(v.strip() for v in answer.fields["ratelimit"].split(",")),
                             ['"origin";r=7', '"slow";r=%d;t=%d' % (left, 3600 * (5 - left))])
        answer = get(self.front_node.address, "/a", fields={"If-None-Match": '"a"'})
        self.assert_status(answer, 304)
        self.assertIn('"slow";r=1', answer.fields["ratelimit"])

    def test_a_connection_outlives_a_refusal_and_content_is_not_forwarded(self):
        self.begin([limit(burst=1)])
        with self.client(self.front_node) as client:
            self.assertEqual([client.ask("GET", "/").status for _ in range(3)], [200, 429, 429])
            self.assertEqual(client.ask("POST", "/", body=b"x" * 100).status, 429)
        self.assertEqual(len(self.site.requests), 1)

    def test_metrics_count(self):
        self.begin([limit(), limit("dry", dry_run=True, burst=1)])
        self.statuses(7)
        text = self.front_node.admin(path="/metrics")[1]
        for name, count in (("allowed", 6), ("refused", 2), ("would_refuse", 4)):
            self.assertIn("weir_limit_%s_total %d\n" % (name, count), text)


class Farm(FarmCase):
    def begin(self, redis, limits, count=3, **top):
        self.site = self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"ok"))
        self.nodes = self.farm(redis, self.site, count, limits=limits,
                               routes=[{"upstream": "app", "limits": {"rates": [l["name"] for l in limits]}}], **top)

    def passed(self, count, nodes=None, **kw):
        """How many of `count` requests passed, node by node in turn."""
        nodes = nodes or self.nodes
        return sum(get(nodes[n % len(nodes)].address, "/", **kw).status == 200 for n in range(count))

    def seen(self, node):
        return node.admin(path="/v1/limits")[1]["limits"][0]

    def metric(self, name):
        return sum(int(line.split()[1]) for node in self.nodes for line in node.admin(path="/metrics")[1].splitlines()
                   if line.startswith("weir_limit_%s_total " % name))

    def test_a_burst_is_the_farms(self):
        self.begin(self.redis(), [limit(burst=30)])
        self.assertEqual(self.passed(60), 30)
        self.assertEqual([self.seen(n)["local"] for n in self.nodes], [0] * 3)
        self.assertEqual(self.passed(6, source="127.0.0.2"), 6)

    def test_redis_is_not_told_who_it_is(self):
        server = self.redis()
        self.begin(server, [limit(key=["client", "field X-Key"])])
        self.passed(3, fields={"X-Key": "a-secret"})
        keys = [k for k in server.keys("*") if "{r" in k]
        self.assertEqual(len(keys), 1, keys)
        self.assertRegex(keys[0], r"^w1:\{rslow:[0-9a-f]{32}\}")

    def test_a_refusal_is_remembered_and_a_flood_of_a_fast_key_asks_rarely(self):
        self.begin(self.redis(), [limit(burst=3)])
        self.passed(30)
        asked = self.metric("questions")
        self.assertLessEqual(asked, 9)
        self.passed(60)
        self.assertEqual(self.metric("questions"), asked)

    def test_without_redis_each_node_has_its_share_and_with_it_again_the_farms_counts(self):
        server = self.redis()
        self.begin(server, [limit(burst=30)])
        self.assertEqual(self.passed(3), 3)
        wait_until(lambda: all(n.admin(path="/v1/limits")[1]["members"] == 3 for n in self.nodes), what="three members")
        server.kill()
        answers = self.passed(120)
        self.assertGreaterEqual(answers, 30)
        self.assertLessEqual(answers, 36 + 9)  # three shares of 12, and what was leased
        self.assertTrue(all(self.seen(n)["local"] > 0 for n in self.nodes))
        self.assertTrue(any(self.seen(n)["local_share"] for n in self.nodes))
        server.start()

        clients = itertools.count(10)

        def back():  # in all workers of all nodes: nobody decided alone
            before = [self.seen(n)["local"] for n in self.nodes]
            self.allowed = self.passed(120, source="127.0.0.%d" % next(clients))
            return [self.seen(n)["local"] for n in self.nodes] == before
        wait_until(back, 30, "the farm's tokens count again")
        self.assertLessEqual(self.allowed, 30)

    def test_a_redis_that_hangs_holds_nobody_up_for_long(self):
        server = self.redis()
        self.begin(server, [limit(burst=30)], 1)
        self.assertEqual(self.passed(1), 1)
        server.halt()
        try:
            began = time.monotonic()
            self.assertEqual(self.passed(20), 20)
            self.assertLess(time.monotonic() - began, 20)
        finally:
            server.go_on()


if __name__ == "__main__":
    unittest.main()
