"""A node is cut from Redis, not from its clients and origins: it goes on by itself, and shares again when it can."""
import unittest

from lib import node as nodes
from lib.farm import FarmCase
from lib.load import Load, origin_handler
from lib.netns import Namespace, own_network
from lib.node import sanitizer
from lib.ports import free_port
from lib.wait import wait_until

setUpModule = own_network


class Partition(FarmCase):
    def setUp(self):
        namespace = Namespace()
        self.addCleanup(namespace.close)
        self.to_redis, to_site = namespace.link(), namespace.link()
        self.cluster = self.redis_cluster(node_timeout=1000, address=self.to_redis.outside)
        self.site = self.origin(origin_handler(), address=to_site.outside)
        farm = self.farm_of(self.cluster)
        outside = self.farm_settings(self.cluster, self.site, farm=farm, cache={"memory": "2MiB"})
        inside = nodes.settings(self.site, farm=farm, cache={"memory": "2MiB"},
                                listen=[{"address": "%s:%d" % (to_site.inside, free_port())}])
        self.near = self.node(outside)
        self.far = self.node(inside, prefix=namespace.prefix)
        self.pages = iter(range(100000, 200000, 4))

    def shares(self, first, second):
        path = "/probe/%d" % next(self.pages)
        bodies = [n.get(path).body for n in (first, second)]
        self.assertEqual(bodies[0], bodies[1])
        return self.site.count(path) == 1

    def test_a_node_is_cut_from_all_of_redis_and_comes_back(self):
        wait_until(lambda: self.shares(self.near, self.far), 30, "both share")
        with Load([self.near, self.far], slow=20 if sanitizer() else 4) as load:
            self.to_redis.cut()
            load.go_on(300)
            self.assertFalse(self.shares(self.near, self.far))
            self.to_redis.mend()
            wait_until(lambda: self.shares(self.near, self.far), 60, "they share again")
            wait_until(lambda: self.shares(self.far, self.near), 60, "they share again")
        self.assertEqual(load.faults[:10], [])

    def test_a_purge_during_the_cut_counts_when_it_is_over(self):
        wait_until(lambda: self.shares(self.near, self.far), 30, "both share")
        path = "/purged/100"
        self.assertEqual([n.get(path).status for n in (self.near, self.far)], [200, 200])
        self.to_redis.cut()
        self.assertEqual(self.near.admin("POST", "/v1/cache/purge", {"scope": "all", "mode": "hard"})[0], 200)
        self.assertTrue(self.far.get(path).hit)  # it cannot know
        self.to_redis.mend()
        wait_until(lambda: not self.far.get(path).hit, 60, "the purge has arrived")


if __name__ == "__main__":
    unittest.main()
