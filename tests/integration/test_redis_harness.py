"""The Redis that tests stand on does what they will ask of it: it forms, fails over, moves slots, speaks TLS, lies."""
import os
import socket
import time

from lib.case import NodeCase
from lib.fake_redis import CLOSE, SILENCE
from lib.redis_cluster import RedisCluster
from lib.redis_server import RedisServer
from lib.resp import RedisError, RespClient, Status, key_in_slot, key_slot, reply
from lib.tls_files import TlsFiles
from lib.wait import NotInTime, wait_until

TAKES = 32  # seconds, most of them waits: the runner begins with it

FORMED_IN = 6  # seconds; half of that on a machine with nothing else to do


class Server(NodeCase):
    def test_it_keeps_what_it_is_given_until_it_is_killed(self):
        server = self.redis()
        self.assertEqual(server.call("SET", "a", b"\r\n\0"), "OK")
        self.assertEqual(server.call("GET", "a"), b"\r\n\0")
        self.assertEqual(server.keys(), ["a"])
        self.assertEqual(server.commands()["get"], 1)
        server.restart()
        self.assertEqual(server.keys(), [])

    def test_with_a_log_it_remembers(self):
        server = self.redis(["appendonly yes", "appendfsync always"])
        server.call("SET", "a", 1)
        server.restart()
        self.assertEqual(server.call("GET", "a"), b"1")

    def test_errors_are_raised(self):
        with self.assertRaises(RedisError) as caught:
            self.redis().call("LPUSH", "a")
        self.assertEqual(caught.exception.code, "ERR")

    def test_halted_it_accepts_and_does_not_answer(self):
        server = self.redis()
        server.halt()
        self.assertTrue(server.listens())
        with self.assertRaises(TimeoutError):
            server.call("PING", timeout=0.05)
        server.go_on()
        self.assertEqual(server.call("PING"), "PONG")

    def test_users_may_do_what_their_line_says(self):
        server = self.redis(users=["default off", "weir on >secret ~w1:* -@all +get +set"])
        with self.assertRaisesRegex(RedisError, "NOAUTH"):
            RespClient(server.address).call("PING")
        with server.connect("weir", "secret") as client:
            self.assertIsNone(client.call("GET", "w1:a"))
            with self.assertRaisesRegex(RedisError, "NOPERM"):
                client.call("GET", "a")
        self.assertEqual(server.call("PING"), "PONG")

    def test_it_speaks_tls_and_asks_for_certificates(self):
        server = self.redis(tls=True, client_certificates=True)
        self.assertEqual(server.call("PING"), "PONG")
        with self.assertRaises(OSError):
            RespClient(server.address, timeout=5).call("PING")

    def test_ipv6(self):
        try:
            socket.socket(socket.AF_INET6).bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6 here")
        server = self.redis(address="::1")
        self.assertRegex(server.endpoint, r"\[::1\]:\d+")
        self.assertEqual(server.call("PING"), "PONG")

    def test_one_that_cannot_start_says_why(self):
        server = RedisServer("nonsense yes")
        self.addCleanup(server.stop)
        with self.assertRaisesRegex(AssertionError, "nonsense"):
            server.start()

    def test_nothing_of_it_stays(self):
        server = RedisServer().start()
        server.stop()
        self.assertFalse(os.path.exists(server.dir))
        self.assertFalse(server.listens())


class Cluster(NodeCase):
    def test_it_forms_quickly(self):
        begun = time.monotonic()
        cluster = self.redis_cluster()
        self.assertLess(time.monotonic() - begun, FORMED_IN)
        self.assertEqual(sorted(cluster.roles().values()), ["master"] * 3 + ["slave"] * 3)
        for n in range(50):
            self.assertEqual(cluster.call("SET", "key%d" % n, n), "OK")
        self.assertEqual(len(cluster.keys()), 50)
        for number in range(3):
            node = cluster.nodes[cluster.replica_of(number)]
            wait_until(lambda: node.keys() == cluster.nodes[number].keys(), what="the replica has what the master has")
        cluster.flush_all()
        self.assertEqual(cluster.keys(), [])

    def test_it_fails_over_when_a_master_is_killed_or_stands_still(self):
        cluster = self.redis_cluster(node_timeout=1000)
        for number, end, begin in ((0, cluster.kill, cluster.restart), (1, cluster.halt, cluster.go_on)):
            key = key_in_slot(cluster.shard_range(number)[0])
            self.assertEqual(cluster.owner(key), number)
            cluster.call("SET", key, "before")
            cluster.call("WAIT", 1, 1000, key=key)
            end(number)
            winner = cluster.wait_failover(number)
            self.assertEqual(winner, number + 3)
            self.assertEqual(cluster.call("GET", key), b"before")
            cluster.call("SET", key, "after")
            begin(number)
            cluster.wait_whole()
            wait_until(lambda: cluster.roles()[number] == "slave", what="the old master follows the new one")

    def test_a_failover_by_agreement(self):
        cluster = self.redis_cluster(node_timeout=1000)
        self.assertEqual(cluster.failover(cluster.replica_of(2)), 5)
        cluster.wait_whole()

    def test_a_slot_moves_step_by_step(self):
        cluster = self.redis_cluster()
        keys = ["{tag}%d" % n for n in range(10)]
        slot = key_slot("tag")
        for key in keys:
            cluster.call("SET", key, "v")
        target = (cluster.owner(slot) + 1) % 3
        source = cluster.begin_move(slot, target)
        self.assertEqual(cluster.move_keys(slot, source, target, 4), 4)
        asked = 0
        for key in keys:  # the window in which ASK is answered
            try:
                cluster.nodes[source].call("GET", key)
            except RedisError as e:
                self.assertEqual(str(e), "ASK %d %s" % (slot, cluster.nodes[target].endpoint))
                with cluster.nodes[target].connect() as client:
                    client.call("ASKING")
                    self.assertEqual(client.call("GET", key), b"v")
                asked += 1
        self.assertEqual(asked, 4)
        self.assertEqual(cluster.move_keys(slot, source, target), 6)
        cluster.end_move(slot, source, target)
        self.assertEqual(cluster.owner(slot), target)
        self.assertEqual(cluster.keys(), sorted(keys))
        cluster.move_slot(slot, source)
        cluster.wait_whole()

    def test_with_tls_and_users_all_of_it_works_too(self):
        cluster = self.redis_cluster(tls=True, users=["default off"], node_timeout=1000)
        cluster.call("SET", "a", 1)
        cluster.move_slot(key_slot("a"), (cluster.owner("a") + 1) % 3)
        self.assertEqual(cluster.call("GET", "a"), b"1")
        cluster.kill(0)
        cluster.wait_failover(0)

    def test_without_replicas_a_lost_shard_stays_lost(self):
        cluster = self.redis_cluster(replicas=0, node_timeout=500)
        self.assertEqual(len(cluster.nodes), 3)
        cluster.kill(1)
        with self.assertRaises(NotInTime):
            cluster.wait_failover(1, deadline=0.2)
        wait_until(lambda: cluster.cluster_info(0)["cluster_slots_fail"] != "0", what="the others notice")
        cluster.restart(1)

    def test_what_it_was_configured_with(self):
        cluster = self.redis_cluster(masters=1, replicas=2, config=["maxmemory 10mb", "maxmemory-policy volatile-lfu"])
        answers = cluster.each("CONFIG", "GET", "maxmemory-policy")
        self.assertEqual(list(answers.values()), [[b"maxmemory-policy", b"volatile-lfu"]] * 3)

    def test_nothing_of_it_stays(self):
        cluster = RedisCluster(masters=1, replicas=0).start()
        cluster.stop()
        self.assertFalse(os.path.exists(cluster.dir))


class Scripted(NodeCase):
    def setUp(self):
        self.fake = self.fake_redis()
        self.peer = RespClient(self.fake.address)
        self.addCleanup(self.peer.close)

    def test_it_is_a_small_redis_when_nobody_says_otherwise(self):
        self.assertEqual(self.peer.call("SET", "a", "1"), "OK")
        self.assertEqual(self.peer.call("GET", "a"), b"1")
        self.assertEqual(self.peer.call("CLUSTER", "SLOTS")[0][:2], [0, 16383])
        with self.assertRaisesRegex(RedisError, "unknown command"):
            self.peer.call("NONSENSE")
        self.assertEqual([c.name for c in self.fake.seen()], ["SET", "GET", "CLUSTER SLOTS", "NONSENSE"])

    def test_it_says_what_it_is_told(self):
        self.fake.on("GET", b"+raw\r\n", ["a", 1, None, [Status("s")]], RedisError("MOVED 1 127.0.0.1:1"),
                     lambda c: reply(c.args[1] * 2))
        self.assertEqual(self.peer.call("GET", "x"), "raw")
        self.assertEqual(self.peer.call("GET", "x"), [b"a", 1, None, ["s"]])
        with self.assertRaisesRegex(RedisError, "MOVED"):
            self.peer.call("GET", "x")
        for _ in range(2):
            self.assertEqual(self.peer.call("GET", "x"), b"xx")
        self.fake.off("GET")
        self.assertIsNone(self.peer.call("GET", "x"))

    def test_it_may_be_silent_and_may_leave(self):
        self.fake.on("GET", SILENCE).on("SET", CLOSE)
        self.peer.sock.settimeout(0.05)
        with self.assertRaises(TimeoutError):
            self.peer.call("GET", "x")
        with self.assertRaises(ConnectionError):
            self.peer.call("SET", "x", "y")

    def test_it_goes_and_comes_back_at_the_same_place(self):
        self.assertEqual(self.peer.call("PING"), "PONG")  # from here on it is surely known, and cut
        self.fake.stop()
        with self.assertRaises(ConnectionError):
            self.peer.call("PING")
        self.fake.start()
        with RespClient(self.fake.address) as again:
            self.assertEqual(again.call("PING"), "PONG")
        self.fake.wait_count(2, "PING")


class Files(NodeCase):
    def test_a_certificate_for_another_name_is_refused(self):
        server = self.redis()
        files = TlsFiles(server.path("other"), names=["DNS:other.example"])
        wrong = self.redis_without_wait(files)
        with self.assertRaisesRegex(OSError, "CERTIFICATE_VERIFY_FAILED"):
            wrong.call("PING")

    def redis_without_wait(self, files):
        server = RedisServer(tls=files)
        self.addCleanup(server.stop)
        server.spawn()
        wait_until(server.listens, what="it listens")
        return server

    def test_slots_are_those_of_redis(self):
        server = self.redis("cluster-enabled yes")
        for key in ("", "a", "{user}.x", "x{}y", "{{a}}", "foo{bar}{zap}", "a}b{c", "{a"):
            self.assertEqual(key_slot(key), server.call("CLUSTER", "KEYSLOT", key), key)
