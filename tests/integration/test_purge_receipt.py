"""Purges with a receipt: every live node has applied them when they are answered, who has not is named; and no purge is
lost while nodes are cut off and masters fail."""
import json
import signal
import threading
import time
import unittest

from lib import node as nodes
from lib.client import get
from lib.ctl import weirctl, weirctl_json
from lib.farm import FarmCase
from lib.load import Load, origin_handler
from lib.netns import Namespace, own_network
from lib.node import sanitizer
from lib.ports import free_port
from lib.resp import RedisError
from lib.wait import wait_until

setUpModule = own_network

TAKES = 40  # seconds, most of them waits: the runner begins with it

HOST = "test.example"
LATER = 20  # seconds until a node trusts a Redis that has come back
LIVE = 6    # seconds a member that is silent counts as live


class Site:
    """Pages that say how often each was changed."""

    def __init__(self):
        self.versions = {}

    def __call__(self, x):
        path = x.request.path
        if path.startswith("/load/"):
            origin_handler()(x)
            return
        x.reply(200, {"Cache-Control": "max-age=3600", "Cache-Tag": "news"}, b"%d" % self.versions.get(path, 1))


class Receipts(FarmCase):
    def begin(self, count, redis, state=None, **keys):
        self.pages = Site()
        self.site = self.origin(self.pages)
        farm = self.farm_of(redis)
        if state is not None:
            farm["state_redis"] = {"addresses": [state.endpoint]}
        self.nodes = [self.node(self.farm_settings(redis, self.site, farm=farm, node={"id": "n%d" % i}, **keys))
                      for i in range(count)]
        self.names = ["n%d" % i for i in range(count)]
        self.wait_members(count)

    def receipt(self, node, wait_ms=5000, **what):
        status, answer = node.admin("POST", "/v1/cache/purge", dict(what, mode="hard", wait_ms=wait_ms), deadline=40)
        self.assertIn(status, (200, 202), answer)
        return answer

    def wait_members(self, count):
        def all_seen():
            answers = [self.receipt(n, scope="tag", tag="nothing") for n in self.nodes]
            return all(a.get("complete") and len(a["applied"]) == count for a in answers)
        wait_until(all_seen, LATER, "all know of all")

    def ask(self, node, path):
        return int(get(node.address, path, host=HOST).body)

    def change(self, path):
        self.pages.versions[path] = self.pages.versions.get(path, 1) + 1
        return self.pages.versions[path]


class FiveNodes(Receipts):
    def test_when_it_is_answered_no_node_serves_what_was_purged(self):
        self.begin(5, self.redis_cluster(node_timeout=5000))
        with Load(self.nodes, slow=20 if sanitizer() else 4, threads=1) as load:
            for turn in range(10):
                asked = self.nodes[turn % 5]
                for node in self.nodes:
                    self.ask(node, "/a")
                version = self.change("/a")
                answer = self.receipt(asked, scope="tag", tag="news")
                self.assertEqual([self.ask(n, "/a") for n in self.nodes], [version] * 5)
                self.assertTrue(answer["complete"], answer)
                self.assertEqual(sorted(r["id"] for r in answer["applied"]), self.names)
                self.assertEqual((answer["missing"], answer["gone"]), ([], []))
                self.assertEqual(answer["applied"][0]["id"], "n%d" % (turn % 5))
                self.assertTrue(all(0 <= r["ms"] <= answer["ms"] for r in answer["applied"]), answer)
        self.assertEqual(load.faults[:10], [])

    def test_many_at_once_all_get_theirs(self):
        self.begin(5, self.redis())
        answers = []

        def purge(node, number):
            for i in range(5):
                answers.append(self.receipt(node, scope="tag", tag="t%d" % number))
        threads = [threading.Thread(target=purge, args=(n, i)) for i, n in enumerate(self.nodes)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual([a["complete"] for a in answers], [True] * 25)


class Named(Receipts):
    def test_a_node_that_died_is_named_until_it_is_no_member_any_more(self):
        self.begin(3, self.redis())
        dead = self.nodes[2]
        dead.expect_exit = -signal.SIGKILL
        dead.process.send_signal(signal.SIGKILL)
        dead.wait()
        done = weirctl("cache", "purge", "--tag", "news", "--wait", "--timeout", "1s", node=self.nodes[0])
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout, r"not complete after \d+ ms: on 2 nodes: n0 \d+ ms, n1 \d+ ms\n  not on: n2\n")
        done = weirctl("cache", "purge", "--tag", "news", "--wait", "--timeout", "25s", node=self.nodes[0])
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r" complete after \d+ ms: on 2 nodes")

    def test_weirctl_tells_how_long_each_took(self):
        self.begin(2, self.redis())
        done = weirctl("cache", "purge", "--all", "--hard", "--wait", node=self.nodes[1])
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r"sequence \d+, took .*\n  complete after \d+ ms: on 2 nodes: n1 \d+ ms, n0 \d+ ms\n$")
        answer = weirctl_json("cache", "purge", "--all", "--wait", node=self.nodes[0])
        self.assertTrue(answer["complete"])
        self.assertEqual(weirctl("cache", "purge", "--all", "--timeout", "1s", node=self.nodes[0]).returncode, 3)
        self.assertEqual(weirctl("cache", "purge", "--all", "--wait", "--timeout", "31s",
                                 node=self.nodes[0]).returncode, 3)

    def test_without_the_log_it_is_pending_at_once(self):
        redis = self.redis()
        self.begin(2, redis)
        redis.kill()
        wait_until(lambda: not self.nodes[0].admin()[1]["purge_log"]["reachable"], LATER, "it is noticed")
        began = time.monotonic()
        answer = self.receipt(self.nodes[0], scope="all", wait_ms=25000)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(answer["state"], "pending")
        self.assertNotIn("applied", answer)

    def test_a_node_alone_is_the_whole_farm(self):
        node = self.front(self.origin(Site()), node={"id": "alone"})
        answer = self.receipt(node, scope="all")
        self.assertTrue(answer["complete"])
        self.assertEqual([r["id"] for r in answer["applied"]], ["alone"])

    def test_what_is_no_time_to_wait_is_refused(self):
        node = self.front(self.origin(Site()))
        for wait in (0, -1, 30001, "1s", 1.5, True, None):
            body = {"scope": "all", "wait_ms": wait}
            self.assertEqual(node.admin("POST", "/v1/cache/purge", body)[0], 400, body)
        self.assertEqual(node.admin()[1]["purges"]["applied"]["all"], 0)


class CutFromTheLog(FarmCase):
    """One node is cut from the Redis that has the log, and not from the one that has the responses."""

    def setUp(self):
        namespace = Namespace()
        self.addCleanup(namespace.close)
        self.to_state, to_cache, to_site = namespace.link(), namespace.link(), namespace.link()
        self.state = self.redis(address=self.to_state.outside)
        cache = self.redis(address=to_cache.outside)
        self.pages = Site()
        self.site = self.origin(self.pages, address=to_site.outside)
        farm = dict(self.farm_of(cache), state_redis={"addresses": [self.state.endpoint]})
        self.near = self.node(self.farm_settings(cache, self.site, farm=farm, node={"id": "near"}))
        self.far = self.node(nodes.settings(self.site, farm=farm, node={"id": "far"}, listen=[
            {"address": "%s:%d" % (to_site.inside, free_port())}]), prefix=namespace.prefix)
        self.fresh = 0
        wait_until(lambda: self.purge("nothing").get("complete") and len(self.purge("nothing")["applied"]) == 2, LATER,
                   "each knows of the other")
        wait_until(lambda: self.uses_the_store(), LATER, "both share")

    def purge(self, tag, wait_ms=1000):
        status, answer = self.near.admin("POST", "/v1/cache/purge",
                                         {"scope": "tag", "tag": tag, "mode": "hard", "wait_ms": wait_ms})
        self.assertEqual(status, 200, answer)
        return answer

    def get(self, node, path):
        return get(node.address, path, host=HOST)

    def uses_the_store(self):
        """Does far find what near has just fetched?"""
        self.fresh += 1
        path = "/fresh/%d" % self.fresh
        self.get(self.near, path)
        answer = self.get(self.far, path)
        return answer.hit and "detail=shared" in answer.cache_status

    def test_it_uses_nothing_of_the_store_until_it_knows_what_it_missed(self):
        self.assertEqual(self.get(self.near, "/stored").body, b"1")   # in the store, not in far's memory
        self.assertEqual(self.get(self.far, "/kept").body, b"1")      # in far's memory
        wait_until(lambda: self.get(self.far, "/kept").hit, LATER, "it is kept")
        self.to_state.cut()
        self.pages.versions.update({"/stored": 2, "/kept": 2})
        answer = self.purge("news")
        self.assertEqual([r["id"] for r in answer["applied"]], ["near"])
        self.assertEqual((answer["missing"], answer["complete"]), (["far"], False))
        wait_until(lambda: not self.uses_the_store(), 30, "far has noticed")
        self.assertEqual(self.get(self.far, "/stored").body, b"2")  # still in the store as it was
        self.assertEqual(self.get(self.far, "/kept").body, b"1")    # it cannot know
        self.to_state.mend()
        wait_until(self.uses_the_store, 60, "far has read what it missed")
        self.assertEqual(self.get(self.far, "/kept").body, b"2")    # before it used the store again
        wait_until(lambda: self.purge("news")["complete"], LATER, "both have all")


class Failovers(Receipts):
    PAGES = 12

    def test_no_purge_is_lost_while_masters_fail(self):
        cluster = self.redis_cluster(node_timeout=1000)
        self.begin(3, cluster)
        paths = ["/p/%d" % i for i in range(self.PAGES)]
        promised = {p: 1 for p in paths}
        states = []

        def purge(number):
            path, node = paths[number % self.PAGES], self.nodes[number % 3]
            for n in self.nodes:
                self.ask(n, path)
            version = self.change(path)
            answer = node.admin("POST", "/v1/cache/purge", {"scope": "url", "url": "http://%s%s" % (HOST, path),
                                                            "mode": "hard"})[1]
            states.append(answer["state"])
            promised[path] = version
            self.assertEqual(self.ask(node, path), version)  # from the moment of the answer

        number = 0
        for fault in range(2):
            log = next(k for k in cluster.keys("w1:{P*}:log"))
            master = cluster.owner(log)
            for _ in range(10):
                purge(number)
                number += 1
            cluster.kill(master)
            ends = time.monotonic() + 3
            while time.monotonic() < ends:
                purge(number)
                number += 1
            cluster.wait_failover(master)
            purge(number)
            number += 1
            cluster.restart(master)
            cluster.wait_whole()
        wait_until(lambda: all(n.admin()[1]["purge_log"]["pending"] == 0 and n.admin()[1]["purge_log"]["reachable"]
                               for n in self.nodes), LATER, "all purges are in the log")
        wait_until(lambda: self.receipt(self.nodes[0], scope="tag", tag="nothing").get("complete"), LATER,
                   "all have read it")
        for node in self.nodes:
            self.assertEqual([self.ask(node, p) for p in paths], [promised[p] for p in paths], states)
        self.assertIn("applied", states)


if __name__ == "__main__":
    unittest.main()
