"""conf/redis: each file starts a server as it stands, says what it claims, and lets the users do what they need."""
import os
import re

from lib.case import NodeCase
from lib.redis_cluster import RedisCluster
from lib.resp import RedisError, Status, key_in_slot

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONF = os.path.join(ROOT, "conf", "redis")

# Commands of weir's user, with keys and channels as weir names them; an error other than NOPERM is no matter here.
PERMITTED = ["PING", "TIME", "WAIT 0 1", "READONLY", "READWRITE", "ASKING", "CLIENT SETNAME weir", "CLUSTER SLOTS",
             "CLUSTER INFO", "INFO", "GET w1:{a}:m", "SET w1:{a}:m v PX 1000", "GETRANGE w1:{a}:m 0 1",
             "DEL w1:{a}:m", "UNLINK w1:{a}:m", "EXISTS w1:{a}:m", "PEXPIRE w1:{a}:m 1000", "PTTL w1:{a}:m",
             "INCR w1:{a}:f", "HSET w1:{a}:l o x", "HGETALL w1:{a}:l", "HINCRBY w1:{a}:l n 1",
             "XADD w1:{P}:log MAXLEN ~ 1000 * s x", "XRANGE w1:{P}:log - +", "XINFO STREAM w1:{P}:log",
             "HSTRLEN w1:{N}:b a", "HDEL w1:{N}:b a", "HLEN w1:{N}:b",
             "ZADD w1:{N}:b:e 1 a", "ZREM w1:{N}:b:e a", "ZCARD w1:{N}:b:e", "ZRANGE w1:{N}:b:e 0 -1 WITHSCORES",
             "ZRANGEBYSCORE w1:{N}:b:e -inf 1", "PEXPIREAT w1:{N}:b 1", "PERSIST w1:{N}:b", "SPUBLISH w1:{P}:ch 1", "SCRIPT LOAD x", "SCRIPT EXISTS x",
             "EVAL redis.call('TIME')return(1) 1 w1:{a}:m", "EVALSHA 0 0", "ACL WHOAMI"]
REFUSED = ["PUBLISH w1:ch 1", "PSUBSCRIBE w1:*", "KEYS *", "SCAN 0", "RANDOMKEY", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1",
           "CONFIG GET maxmemory", "CONFIG SET maxmemory 1", "DEBUG SLEEP 0", "SHUTDOWN NOSAVE", "MONITOR",
           "REPLICAOF NO ONE", "CLUSTER RESET", "CLUSTER FAILOVER", "CLIENT KILL 1.1.1.1:1", "CLIENT LIST", "SAVE",
           "MIGRATE 127.0.0.1 1 w1:a 0 1", "SORT w1:a", "ACL SETUSER weir +@all", "ACL LIST", "FUNCTION FLUSH",
           "SCRIPT FLUSH", "GET other", "SET w2:a 1", "SPUBLISH other 1", "SSUBSCRIBE other",
           "EVAL return(redis.call('GET','other')) 1 other"]


def settings_of(name):
    """What a configuration file sets: name -> value."""
    with open(os.path.join(CONF, name)) as f:
        lines = [line.split(None, 1) for line in f.read().splitlines() if line and not line.startswith("#")]
    return {key: value.strip('"') for key, value in lines}


class Files(NodeCase):
    def loads(self, name, **expected):
        node = self.redis("protected-mode no", include=os.path.join(CONF, name), basics=False)
        for key, value in expected.items():
            key = key.replace("_", "-")
            self.assertEqual(node.call("CONFIG", "GET", key)[1].decode(), value, key)
        unknown = [key for key in settings_of(name) if not node.call("CONFIG", "GET", key)]
        self.assertEqual(unknown, [])

    def test_cache(self):
        self.loads("cache.conf", maxmemory_policy="allkeys-lfu", appendonly="no", save="", cluster_enabled="yes",
                   cluster_require_full_coverage="no", cluster_allow_reads_when_down="yes", min_replicas_to_write="0")

    def test_state(self):
        self.loads("state.conf", maxmemory_policy="noeviction", appendonly="yes", appendfsync="everysec",
                   cluster_require_full_coverage="no", cluster_allow_reads_when_down="yes", min_replicas_to_write="1")

    def test_one(self):
        self.loads("one.conf", maxmemory_policy="volatile-lfu", appendonly="yes", cluster_require_full_coverage="no",
                   cluster_allow_reads_when_down="yes", min_replicas_to_write="0")

    def test_every_setting_has_its_reason(self):
        for name in ("cache.conf", "state.conf", "one.conf"):
            with open(os.path.join(CONF, name)) as f:
                blocks = f.read().split("\n\n")
            bare = [b for b in blocks if re.match(r"[a-z]", b) and not b.startswith("cluster-enabled")]
            self.assertEqual(bare, [], name)


class Users(NodeCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(CONF, "users.acl")) as f:
            lines = [line[len("user "):] for line in f.read().splitlines()]
        cls.cluster = RedisCluster(masters=1, replicas=1, users=lines,
                                   config=["masteruser replication", "masterauth CHANGE-ME-AS-WELL"])
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        cls.node = cls.cluster.nodes[0]

    def permitted(self, user, password, command):
        with self.node.connect(user, password) as client:
            try:
                client.call(*command.split(" "))
            except RedisError as e:
                return e.code != "NOPERM" and "No permission" not in str(e) and "can't run this command" not in str(e)
            return True

    def test_weir_may_do_what_it_does(self):
        refused = [c for c in PERMITTED if not self.permitted("weir", "CHANGE-ME", c)]
        self.assertEqual(refused, [])

    def test_weir_may_listen_in_its_shard(self):
        with self.node.connect("weir", "CHANGE-ME") as client:
            self.assertEqual(client.call("SSUBSCRIBE", "w1:{P}:ch"), [b"ssubscribe", b"w1:{P}:ch", 1])

    def test_weir_may_do_nothing_else(self):
        permitted = [c for c in REFUSED if self.permitted("weir", "CHANGE-ME", c)]
        self.assertEqual(permitted, [])

    def test_ops_looks_and_changes_nothing(self):
        for command in ("INFO", "CONFIG GET maxmemory", "CLUSTER NODES", "CLUSTER SLOTS", "GET w1:a", "ACL WHOAMI",
                        "ACL DRYRUN weir GET w1:a", "SLOWLOG GET", "LATENCY DOCTOR", "TIME", "CLIENT LIST", "DBSIZE"):
            self.assertTrue(self.permitted("ops", "CHANGE-ME-TOO", command), command)
        for command in REFUSED[2:3] + ["SET w1:a 1", "DEL w1:a", "CONFIG SET maxmemory 1", "FLUSHALL", "GET other",
                                       "EVAL return(1) 0", "SPUBLISH w1:a 1", "CLIENT KILL 1.1.1.1:1", "SHUTDOWN"]:
            self.assertFalse(self.permitted("ops", "CHANGE-ME-TOO", command), command)

    def test_nobody_comes_in_without_a_name(self):
        with self.assertRaisesRegex(RedisError, "NOAUTH|WRONGPASS"):
            with self.node.connect("default", "") as client:
                client.call("PING")

    def test_replicas_log_in_as_replication(self):
        self.assertEqual(self.cluster.nodes[1].call("CONFIG", "GET", "masteruser")[1], b"replication")
        self.cluster.wait_whole()
        key = key_in_slot(0)
        self.assertIsInstance(self.cluster.call("SET", key, "v"), Status)
        self.assertEqual(self.cluster.call("WAIT", 1, 5000, key=key), 1)
