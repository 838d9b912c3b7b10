"""The health of origins over a farm: three nodes in namespaces of their own, each of whose ways out can be cut, and a
Redis Cluster. Whatever breaks, verdicts stay right and clients hardly notice."""
import os
import re
import time
import unittest

from lib.islands import IslandsCase, in_force, node_says, origin_of, others_know, patience, wait_force
from lib.load import Load, page
from lib.netns import own_network
from lib.wait import wait_until

setUpModule = own_network

TAKES = 75  # seconds, most of them waits: the runner begins with it

LOST_S = float(os.environ.get("WEIR_REDIS_LOST_S", "12"))  # 60 to see the whole of it


def serve_uncached(x):
    if x.request.path == "/healthz":
        x.reply(200, {}, b"well")
    else:
        x.reply(200, {"Cache-Control": "no-store"}, page(x.request.path))


def small_load(members, **keys):
    """Of one small page that is never cached: each request goes to an origin."""
    return Load(members, pages=1, slow=patience(4.0), **keys)


def downs(node, origin):
    return re.findall(r"origin %s is down" % re.escape(origin.url), node.log())


class FarmHealth(IslandsCase):
    def farm_before(self, health=None, **upstream):
        self.sites = self.serve(serve_uncached)
        members = self.begin(self.sites, health=dict(path="/healthz", **(health or {})), **upstream)
        wait_until(lambda: all(origin_of(m, o)["votes_up"] >= 2 for m in members for o in self.sites), 30,
                   "all is voted up")
        return members

    def assert_up(self, members, origins):
        self.assertEqual([(i, o.url) for i, m in enumerate(members) for o in origins if in_force(m, o) != "up"], [])

    def assert_hardly_noticed(self, load):
        self.assertGreater(load.answers, 100)
        self.assertLess(len(load.faults), max(1, load.answers * 0.001), load.faults[:10])

    # ---- cuts ----

    def test_one_node_is_cut_from_one_origin(self):
        """That one goes round it; nobody else does, and no client sees anything of it."""
        members = self.farm_before()
        with small_load(members) as load:
            self.islands[0].to_origin[1].cut()
            wait_until(lambda: origin_of(members[0], self.sites[1])["own"] == "down", patience(20), "it notices")
            self.assertEqual(in_force(members[0], self.sites[1]), "down")
            load.go_on(300)
            self.assert_up(members[1:], self.sites)
            self.assert_up(members[:1], [o for o in self.sites if o != self.sites[1]])
            self.assertEqual([m.get("/ready").status for m in members], [200, 200, 200])
            self.assertFalse(node_says(members[0], "suspect"))
            self.islands[0].to_origin[1].mend()
            wait_force("up", members, self.sites, patience(20))
        self.assert_hardly_noticed(load)
        self.assertEqual([downs(m, o) for m in members[1:] for o in self.sites], [[]] * 2 * len(self.sites))

    def test_one_node_is_cut_from_all_origins(self):
        """It is the node that is ill: it says so, and does not take the origins from the others."""
        members = self.farm_before()
        with small_load(members[1:]) as load:
            for link in self.islands[0].to_origin:
                link.cut()
            wait_until(lambda: members[0].get("/ready").status == 503, patience(25), "it turns unready")
            members[0].wait_log("suspects itself")
            wait_until(lambda: others_know(members[1], "n0", "suspect"), 30, "the others are told")
            load.go_on(300)
            self.assert_up(members[1:], self.sites)
            self.assertEqual([m.get("/ready").status for m in members[1:]], [200, 200])
            for link in self.islands[0].to_origin:
                link.mend()
            wait_until(lambda: members[0].get("/ready").status == 200, patience(40), "ready again")
            wait_force("up", members, self.sites, patience(20))
        self.assertEqual(load.faults[:10], [])
        self.assertEqual([downs(m, o) for m in members[1:] for o in self.sites], [[]] * 2 * len(self.sites))

    # ---- deaths ----

    def test_an_origin_dies_unseen_by_requests(self):
        members = self.farm_before()
        died = time.monotonic()
        self.sites[2].stop()
        wait_force("down", members, self.sites[2], patience(10))
        took = time.monotonic() - died
        self.assertLess(took, patience(3.0))
        self.assert_up(members, [o for o in self.sites if o != self.sites[2]])
        for m in members:
            self.assertEqual(origin_of(m, self.sites[2])["reason"], "the connection is refused")
        self.sites[2].start()
        wait_force("up", members, self.sites[2], patience(20))

    def test_an_origin_dies_under_load(self):
        members = self.farm_before()
        with small_load(members) as load:
            load.go_on(500)
            self.sites[2].stop()
            wait_until(lambda: all(origin_of(m, self.sites[2])["ejected"] or in_force(m, self.sites[2]) == "down"
                                   for m in members), patience(3), "nobody uses it any more")
            wait_force("down", members, self.sites[2], patience(5))
            load.go_on(1500)
            self.sites[2].start()
            wait_force("up", members, self.sites[2], patience(20))
            load.go_on(300)
        self.assert_hardly_noticed(load)

    def test_a_node_dies_under_load(self):
        """Nobody else notices, and what it asked the others ask."""
        members = self.farm_before()
        with small_load(members[1:]) as load:
            members[0].expect_exit = -9
            members[0].signal(9)
            members[0].wait()
            wait_until(lambda: all(self.live(m) == 2 for m in members[1:]), patience(10), "it is missed")
            self.assertTrue(all("n0" not in origin_of(members[1], o).get("probers", []) for o in self.sites))
            load.go_on(200)
            self.sites[0].stop()
            wait_force("down", members[1:], self.sites[0], patience(5))
            load.go_on(200)
            self.assert_up(members[1:], self.sites[1:])
        self.assert_hardly_noticed(load)

    # ---- Redis ----

    def test_redis_is_lost_and_comes_back(self):
        """Each node asks for itself meanwhile; verdicts stay right, and do not waver when it is over."""
        members = self.farm_before({"timeout": "2s"})  # a busy machine is no origin that is down
        with small_load(members) as load:
            for island in self.islands:
                island.to_redis.cut()
            lost = time.monotonic()
            wait_until(lambda: all(node_says(m, "autonomous") for m in members), patience(20), "each for itself")
            self.assert_up(members, self.sites)
            self.sites[3].stop()
            wait_force("down", members, self.sites[3], patience(15))
            wait_until(lambda: time.monotonic() - lost > LOST_S, LOST_S + 10, "the outage has its time")
            self.assert_up(members, self.sites[:3])
            self.assertEqual([m.get("/ready").status for m in members], [200, 200, 200])
            marks = [m.mark() for m in members]
            for island in self.islands:
                island.to_redis.mend()
            wait_until(lambda: not any(node_says(m, "autonomous") for m in members), patience(40), "all together")
            wait_until(lambda: all(origin_of(m, self.sites[3])["votes_down"] >= 2 for m in members), patience(20),
                       "the votes are there")
            load.go_on(300)
            for m, mark in zip(members, marks):
                self.assertEqual(re.findall(r"origin \S+ is \w+", m.log()[mark:]), [])
            self.assertEqual([in_force(m, self.sites[3]) for m in members], ["down"] * 3)
            self.sites[3].start()
            wait_force("up", members, self.sites[3], patience(20))
        self.assert_hardly_noticed(load)


if __name__ == "__main__":
    unittest.main()
