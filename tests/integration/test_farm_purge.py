"""Purges of a farm: through one node, in force in all; with the log away, flushed, come back empty."""
import json
import statistics
import time

from lib.client import ask, get
from lib.ctl import weirctl
from lib.farm import FarmCase
from lib.node import sanitizer
from lib.wait import wait_until

HOST = "test.example"
LATER = 15  # seconds until a node trusts a Redis that has come back


class Purges(FarmCase):
    def begin(self, count=2, **keys):
        """A farm before an origin whose pages say how often they were changed."""
        self.version = 1

        def answer(x):
            x.reply(200, {"Cache-Control": "max-age=3600", "Cache-Tag": "news"}, b"%d" % self.version)
        self.site = self.origin(answer)
        self.cache = self.redis()
        self.state = self.redis()
        self.keys = dict(keys)
        self.keys.setdefault("cache", {"purge_clients": ["127.0.0.1"]})
        self.keys["farm"] = dict(self.farm_of(self.cache), state_redis={"addresses": [self.state.endpoint]})
        self.nodes = self.farm(self.cache, self.site, count, **self.keys)
        for node in self.nodes:
            self.wait_known(node)

    def another(self):
        node = self.node(self.farm_settings(self.cache, self.site, **self.keys))
        self.wait_known(node)
        return node

    def log_of(self, node):
        return node.admin()[1]["purge_log"]

    def wait_known(self, node):
        wait_until(lambda: self.log_of(node)["known"], LATER, "the log is read")

    def wait_landed(self):
        wait_until(lambda: all(self.log_of(n)["pending"] == 0 and self.log_of(n)["reachable"] for n in self.nodes),
                   LATER, "all purges are in the log")

    def ask(self, node, path="/a"):
        return int(get(node.address, path, host=HOST).body)

    def warm(self, path="/a"):
        for node in self.nodes:
            self.assertEqual(self.ask(node, path), self.version)
            self.assertEqual(self.ask(node, path), self.version)

    def wait_new(self, node, path="/a", deadline=LATER):
        began = time.monotonic()
        wait_until(lambda: self.ask(node, path) == self.version, deadline, "the new page")
        return time.monotonic() - began

    def purge(self, node, scope, what=None, status=200):
        body = {"scope": scope, "mode": "hard"}
        if what is not None:
            body[scope] = what
        got, answer = node.admin("POST", "/v1/cache/purge", body)
        self.assertEqual(got, status, answer)
        return answer

    def log_length(self):
        keys = [k for k in self.state.keys("w1:{P*}:log")]
        return self.state.call("XLEN", keys[0]) if keys else 0


class Everywhere(Purges):
    def test_every_scope_is_in_force_in_the_other_node(self):
        self.begin()
        a, b = self.nodes
        for scope, what in (("url", "http://%s/a" % HOST), ("prefix", "/"), ("tag", "news"), ("host", HOST),
                            ("all", None)):
            with self.subTest(scope=scope):
                self.warm()
                self.version += 1
                answer = self.purge(a, scope, what)
                self.assertEqual(answer["state"], "applied")
                self.assertEqual(self.ask(a), self.version)
                self.wait_new(b)
                self.assertEqual(self.log_of(a)["applied"], answer["sequence"])
                self.assertEqual(self.log_of(b)["applied"], answer["sequence"])

    def test_it_takes_milliseconds(self):
        self.begin()
        a, b = self.nodes
        took = []
        for _ in range(11):
            self.warm()
            self.version += 1
            self.purge(a, "url", "http://%s/a" % HOST)
            took.append(self.wait_new(b))
        if not sanitizer():
            self.assertLess(statistics.median(took), 0.1, took)

    def test_the_method_too(self):
        self.begin()
        a, b = self.nodes
        self.warm()
        self.version += 1
        answer = ask(a.address, "PURGE", "/a", {"Purge-Mode": "hard"}, host=HOST)
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.body)["state"], "applied")
        self.assertEqual(self.ask(a), self.version)
        self.wait_new(b)

    def test_what_another_node_has_fetched_anew_is_used(self):
        self.begin()
        a, b = self.nodes
        self.warm()
        self.version += 1
        self.purge(a, "url", "http://%s/a" % HOST)
        self.wait_new(b)
        fetched = self.site.count("/a")
        wait_until(lambda: self.ask(a) == self.version and self.ask(b) == self.version, LATER, "both are new")
        self.assertLessEqual(self.site.count("/a") - fetched, 1)

    def test_a_node_that_starts_serves_nothing_that_was_purged_before(self):
        self.begin(1)
        self.warm()
        wait_until(lambda: self.cache.keys("w1:*:m"), LATER, "it is shared")
        self.version += 1
        self.purge(self.nodes[0], "tag", "news")
        self.assertEqual(self.ask(self.another()), self.version)


class UnsafeMethods(Purges):
    def change(self, node, path="/a"):
        self.version += 1
        self.assertEqual(ask(node.address, "POST", path, host=HOST).status, 200)

    def test_they_invalidate_in_all_nodes(self):
        self.begin()
        a, b = self.nodes
        self.warm()
        self.change(a)
        self.assertEqual(self.ask(a), self.version)
        self.wait_new(b)

    def test_also_what_only_others_hold(self):
        self.begin()
        a, b = self.nodes
        self.assertEqual(self.ask(b), self.version)
        wait_until(lambda: self.cache.keys("w1:*:m"), LATER, "it is shared")
        self.change(a)
        self.wait_new(b)

    def test_what_nobody_holds_does_not_fill_the_log(self):
        self.begin()
        before = self.log_length()
        for i in range(50):
            self.change(self.nodes[0], "/form/%d" % i)
        answer = self.purge(self.nodes[0], "tag", "x")  # comes after all of them
        self.assertEqual(answer["state"], "applied")
        self.assertLess(self.log_length() - before, 10)


class WithoutTheLog(Purges):
    def test_purges_are_in_force_here_and_come_to_the_others_later(self):
        self.begin()
        a, b = self.nodes
        self.warm()
        self.state.kill()
        wait_until(lambda: not self.log_of(a)["reachable"], LATER, "it is noticed")
        self.version += 1
        answer = self.purge(a, "url", "http://%s/a" % HOST, status=202)
        self.assertEqual(answer["state"], "pending")
        self.assertNotIn("sequence", answer)
        self.assertEqual(self.ask(a), self.version)
        self.assertEqual(self.ask(a), self.version)
        self.assertEqual(self.log_of(a)["pending"], 1)
        method = ask(a.address, "PURGE", "/b", host=HOST)
        self.assertEqual((method.status, json.loads(method.body)), (202, {"state": "pending"}))
        self.state.restart()  # empty
        self.wait_landed()
        self.wait_new(b)
        self.assertEqual(self.ask(a), self.version)

    def test_weirctl_says_so(self):
        self.begin(1)
        node, = self.nodes
        done = weirctl("cache", "purge", "--tag", "news", node=node)
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r"sequence \d+, took")
        done = weirctl("cache", "stats", node=node)
        self.assertRegex(done.stdout, r"purge log of the farm\n +state +read\n +applied here +\d+\n")
        self.state.kill()
        wait_until(lambda: not self.log_of(node)["reachable"], LATER, "it is noticed")
        done = weirctl("cache", "purge", "--tag", "news", "--url", "http://a.example/", node=node)
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(done.stdout.count("pending for the farm"), 2)
        done = weirctl("cache", "stats", node=node)
        self.assertRegex(done.stdout, r"state +cannot be reached\n")
        self.assertRegex(done.stdout, r"purges not in it yet +2\n")

    def test_a_redis_that_stands_still_makes_nobody_wait_long(self):
        self.begin()
        a, b = self.nodes
        self.warm()
        self.state.halt()
        self.addCleanup(self.state.go_on)
        self.version += 1
        began = time.monotonic()
        answer = self.purge(a, "url", "http://%s/a" % HOST, status=202)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(answer["state"], "pending")
        self.assertEqual(self.ask(a), self.version)
        self.state.go_on()
        self.wait_landed()
        self.wait_new(b)

    def test_a_node_that_cannot_read_the_log_serves_and_shares_nothing(self):
        self.begin(1)
        self.warm()
        wait_until(lambda: self.cache.keys("w1:*:m"), LATER, "it is shared")
        self.state.kill()
        self.version += 1
        node = self.node(self.farm_settings(self.cache, self.site, **self.keys))
        self.assertEqual(self.ask(node), self.version)
        self.assertEqual(self.ask(node), self.version)
        self.assertEqual(self.site.count("/a"), 2)
        self.assertFalse(self.log_of(node)["known"])


class Flushed(Purges):
    def test_an_emptied_log_loses_no_purge_of_nodes_that_run(self):
        self.begin()
        a, b = self.nodes
        self.warm()
        self.version += 1
        self.purge(a, "tag", "news")
        self.state.call("FLUSHALL")
        self.wait_new(b)
        self.assertEqual(self.ask(a), self.version)
        wait_until(lambda: self.log_length() > 1, LATER, "the log has it again")
        self.warm()
        self.version += 1
        self.assertEqual(self.purge(b, "tag", "news")["state"], "applied")
        self.wait_new(a)

    def test_who_starts_then_uses_nothing_from_before(self):
        self.begin(1)
        self.warm()
        wait_until(lambda: self.cache.keys("w1:*:m"), LATER, "it is shared")
        self.version += 1
        self.purge(self.nodes[0], "tag", "news")  # what was purged is still in the store
        self.nodes[0].stop()
        self.nodes = []
        self.state.call("FLUSHALL")
        self.assertEqual(self.ask(self.another()), self.version)
