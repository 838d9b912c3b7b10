"""Redis fails in every way there is, under load: clients see the right pages, at most a bit later, and nothing else;
afterwards the nodes share again by themselves."""
import hashlib
import itertools
import os
import time
import unittest

from lib.farm import FarmCase
from lib.load import Load, origin_handler
from lib.node import sanitizer
from lib.tls_files import TlsFiles
from lib.wait import wait_until

TAKES = 70  # seconds, most of them waits: the runner begins with it

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf/redis")
RETURN = 30  # seconds until a node trusts a Redis that has come back: its breakers wait up to 10 s


class Faults(FarmCase):
    numbers = itertools.count(100000, 4)

    def start(self, redis, **keys):
        """Two nodes whose memory is too small for all pages: half of what is asked for comes from Redis."""
        self.site = self.origin(origin_handler())
        keys.setdefault("cache", {"memory": "2MiB"})
        self.nodes = self.farm(redis, self.site, **keys)
        self.load = Load(self.nodes, slow=20 if sanitizer() else 4)

    def shares(self):
        """Does one node get from Redis what the other one has fetched?"""
        path = "/probe/%d" % next(self.numbers)
        a, b = self.nodes[0].get(path), self.nodes[1].get(path)
        self.assertEqual((a.status, b.status), (200, 200))
        self.assertEqual(a.body, b.body)
        return self.site.count(path) == 1

    def wait_shares(self):
        wait_until(self.shares, RETURN, "the nodes share again")

    def wait_all_shared(self):
        """Every shard works: ten in a row, which lie in different slots."""
        wait_until(lambda: all(self.shares() for _ in range(10)), RETURN, "all shards are used again")

    def judge(self):
        self.assertEqual(self.load.faults[:10], [])


class ClusterFaults(Faults):
    def setUp(self):
        self.cluster = self.redis_cluster(node_timeout=1000)
        self.start(self.cluster)
        self.wait_shares()

    def test_a_master_is_killed(self):
        with self.load as load:
            self.cluster.kill(0)
            load.go_on()
            self.cluster.wait_failover(0)
            load.go_on()
        self.wait_all_shared()
        self.judge()

    def test_a_master_stands_still(self):
        with self.load as load:
            self.cluster.halt(1)
            load.go_on()
            self.cluster.wait_failover(1)
            load.go_on()
            self.cluster.go_on(1)
            load.go_on()
        self.wait_all_shared()
        self.judge()

    def test_one_shard_is_lost_altogether_and_comes_back_empty(self):
        with self.load as load:
            lost = self.cluster.shard(2)
            for n in lost:
                self.cluster.kill(n)
            load.go_on(300)
            for n in lost:
                self.cluster.restart(n, wait=False)
            self.cluster.wait_whole()
            load.go_on()
        self.wait_all_shared()
        self.judge()

    def test_all_is_lost_and_comes_back(self):
        with self.load as load:
            for n in self.cluster.usable():
                self.cluster.kill(n)
            load.go_on(300)
            began = self.site.count()
            for n in range(6):
                self.cluster.restart(n, wait=False)
            self.cluster.wait_whole()
            load.go_on()
        self.wait_all_shared()
        self.judge()
        self.assertGreater(began, 0)

    def test_everything_is_flushed(self):
        with self.load as load:
            for _ in range(3):
                self.cluster.flush_all()
                load.go_on()
        self.wait_all_shared()
        self.judge()

    def test_slots_move_under_load(self):
        """Each slot of the pages goes to another master, key by key: whoever asks meanwhile is sent after it (ASK)."""
        with self.load as load:
            load.go_on(200)
            slots = sorted({self.cluster.call("CLUSTER", "KEYSLOT", k, key=k) for k in self.cluster.keys("w1:*")})[:40]
            self.assertGreater(len(slots), 5)
            for slot in slots:
                source = self.cluster.owner(slot)
                target = (source + 1) % 3
                self.cluster.begin_move(slot, target)
                self.cluster.move_keys(slot, source, target, 1)
                load.go_on(5)
                self.cluster.move_keys(slot, source, target)
                self.cluster.end_move(slot, source, target)
            load.go_on(200)
        self.wait_all_shared()
        self.judge()

    def test_out_of_memory(self):
        with self.load as load:
            self.cluster.each("CONFIG", "SET", "maxmemory", "1")
            load.go_on(300)
            self.cluster.each("CONFIG", "SET", "maxmemory", "0")
            load.go_on()
        self.wait_all_shared()
        self.judge()

    def test_a_failover_by_agreement(self):
        with self.load as load:
            self.cluster.failover(3)
            load.go_on()
            self.cluster.wait_whole()
            self.cluster.failover(0)
            load.go_on()
        self.wait_all_shared()
        self.judge()


class SecuredCluster(Faults):
    """TLS with verified certificates on both sides, and the user of conf/redis/users.acl, who may do what weir needs."""

    def setUp(self):
        with open(os.path.join(CONF, "users.acl"), encoding="utf-8") as f:
            users = [line[len("user "):] for line in f.read().splitlines() if line.startswith("user weir ")]
        users = [u.replace("CHANGE-ME", "the password") for u in users] + ["default off"]
        users = [u.replace(">the password", "#" + hashlib.sha256(b"the password").hexdigest()) for u in users]
        self.cluster = self.redis_cluster(node_timeout=1000, tls=True, users=users, client_certificates=True)
        tls = self.cluster.tls
        self.start(self.cluster, farm=self.farm_of(
            self.cluster, username="weir", password_file=self.secret_file("the password\n"),
            tls={"enabled": True, "ca_file": tls.ca, "certificate_file": tls.client_cert, "key_file": tls.client_key}))
        self.wait_all_shared()

    def test_a_failover_and_nothing_was_denied(self):
        with self.load as load:
            self.cluster.kill(0)
            self.cluster.wait_failover(0)
            load.go_on()
        self.wait_all_shared()
        self.judge()
        for node in self.nodes:
            status, view = node.admin("GET", "/v1/redis")
            self.assertEqual(status, 200)
            for redis in view["endpoints"][0]["nodes"]:
                self.assertEqual(redis["events"]["denied"], 0, redis)

    def test_another_ca_is_not_trusted(self):
        other = TlsFiles(os.path.join(self.nodes[0].dir, "other"))
        stranger = self.node(self.farm_settings(self.cluster, self.site, farm=self.farm_of(
            self.cluster, username="weir", password_file=self.secret_file("the password"),
            tls={"enabled": True, "ca_file": other.ca, "certificate_file": self.cluster.tls.client_cert,
                 "key_file": self.cluster.tls.client_key})))
        path = "/probe/%d" % next(self.numbers)
        self.assertEqual(stranger.get(path).status, 200)
        self.assertEqual(self.nodes[0].get(path).status, 200)
        self.assertEqual(self.site.count(path), 2)
        stranger.wait_log("certificate")


class PlainFaults(Faults):
    def setUp(self):
        self.server = self.redis()
        self.start(self.server)
        self.wait_shares()

    def test_redis_is_killed_and_comes_back_empty(self):
        with self.load as load:
            self.server.kill()
            load.go_on(200)
            self.server.restart()
            load.go_on()
        self.wait_shares()
        self.judge()

    def test_redis_stands_still(self):
        with self.load as load:
            self.server.halt()
            load.go_on(200)
            self.server.go_on()
            load.go_on()
        self.wait_shares()
        self.judge()

    def test_redis_becomes_a_replica_that_refuses_writes(self):
        with self.load as load:
            self.server.call("REPLICAOF", "127.0.0.1", "1")
            load.go_on(200)
            self.server.call("REPLICAOF", "NO", "ONE")
            load.go_on()
        self.wait_shares()
        self.judge()

    def test_a_wrong_password_is_told_loudly_and_costs_nothing(self):
        with self.load as load:
            self.server.call("CONFIG", "SET", "requirepass", "changed")
            admin = self.server.connect()
            admin.call("AUTH", "changed")
            admin.call("CLIENT", "KILL", "TYPE", "normal")
            load.go_on(200)
        self.judge()
        self.nodes[0].wait_log("NOAUTH|authenticat")

    def test_memory_hits_never_wait(self):
        """What lies in memory is answered while Redis says nothing at all."""
        node = self.nodes[0]
        self.assertTrue(node.get("/load/0").status == 200 and node.get("/load/0").hit)
        self.server.halt()
        try:
            with self.load as load, node.client() as client:
                worst = hits = 0
                for _ in range(200):  # the memory is small: now and then it has been evicted
                    began = time.monotonic()
                    if client.ask("GET", "/load/0").hit:
                        hits += 1
                        worst = max(worst, time.monotonic() - began)
                load.go_on(50)
        finally:
            self.server.go_on()
        self.assertGreater(hits, 100)
        self.assertLess(worst, 2 if sanitizer() else 0.5, "the loop was blocked")
        self.judge()


if __name__ == "__main__":
    unittest.main()
