"""weirctl redis: how a node sees the Redis of its farm, well and not."""
from lib.ctl import weirctl, weirctl_json
from lib.farm import FarmCase
from lib.wait import wait_until

FINE, DEGRADED, DOWN = 0, 1, 2


class Redis(FarmCase):
    def status(self, node):
        return weirctl("redis", node=node).returncode

    def test_without_a_farm_there_is_none(self):
        node = self.front(self.origin())
        done = weirctl("redis", node=node)
        self.assertEqual(done.returncode, FINE, done.stderr)
        self.assertIn("no farm", done.stdout)

    def test_a_cluster_in_use(self):
        cluster = self.redis_cluster(masters=1, replicas=1)
        node, = self.farm(cluster, self.origin(), count=1)
        wait_until(lambda: self.status(node) == FINE, what="the node has its map")

        def shows_all():
            shown = weirctl("redis", node=node).stdout
            self.assertIn("16,384 of 16,384 slots covered", shown)
            return all(endpoint in shown for endpoint in cluster.endpoints)
        wait_until(shows_all, what="the replica, which may be in a later map")
        endpoint, = weirctl_json("redis", node=node)["endpoints"]
        self.assertEqual(endpoint["mode"], "cluster")

    def test_the_stats_of_the_cache_tell_what_the_farm_was_good_for(self):
        def farm_of(node):
            return weirctl_json("cache", "stats", node=node)["farm"]
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, b"for all"))
        one, other = self.farm(self.redis(), origin, cache={"shared": {"head_timeout": "2s"}})
        one.get("/page")
        wait_until(lambda: farm_of(one)["stores"] == 1, what="it is stored")
        other.get("/page")
        self.assertEqual(farm_of(other)["hits"], 1)
        self.assertIn("answered from it", weirctl("cache", "stats", node=other).stdout)

    def test_one_that_is_gone_is_not_in_use(self):
        server = self.redis()
        node, = self.farm(server, self.origin(), count=1)
        wait_until(lambda: self.status(node) == FINE, what="the node has found it")
        server.kill()

        def noticed():
            node.get("/%d" % noticed.calls)  # a breaker opens by what is asked in vain
            noticed.calls += 1
            return self.status(node) == DOWN
        noticed.calls = 0
        wait_until(noticed, what="the node leaves it alone")
        self.assertIn("not in use", weirctl("redis", node=node).stdout)
        server.restart()
        wait_until(lambda: self.status(node) == FINE, 30, "the node comes back to it")
