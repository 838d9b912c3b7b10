"""weirctl doctor: what it finds on real Redis servers, good and bad, and what it ends with."""
import json
import os
import re
import shutil
import tempfile

from lib import node as nodes
from lib.case import NodeCase
from lib.ctl import weirctl
from lib.fake_redis import CLOSE, SILENCE
from lib.redis_cluster import RedisCluster
from lib.resp import RedisError
from lib.tls_files import TlsFiles
from lib.wait import wait_until

TAKES = 33  # seconds, most of them waits: the runner begins with it

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONF = os.path.join(ROOT, "conf", "redis")
FINE, FINDINGS, BROKEN, USAGE = 0, 1, 2, 3
OPS = ("ops", "CHANGE-ME-TOO")

with open(os.path.join(CONF, "users.acl")) as f:
    USERS = [line[len("user "):] for line in f.read().splitlines()]


def lines_of(name):
    """The settings of a file of conf/redis that a test's server can have beside its own."""
    with open(os.path.join(CONF, name)) as f:
        lines = [line for line in f.read().splitlines() if line and not line.startswith("#")]
    own = r"(bind|port|protected-mode|cluster-(enabled|config-file|node-timeout)|repl-diskless\S*|maxmemory) "
    return [line for line in lines if not re.match(own, line)] + ["maxmemory 100mb"]


class Case(NodeCase):
    def password(self, text):
        path = os.path.join(self.folder(), "password")
        with open(path, "w") as f:
            f.write(text + "\n")
        return path

    def folder(self):
        if not hasattr(self, "_folder"):
            self._folder = tempfile.mkdtemp(prefix="weir-test-")
            self.addCleanup(shutil.rmtree, self._folder, True)
        return self._folder

    def as_user(self, user):
        return ["--user", user[0], "--password-file", self.password(user[1])]

    def examine(self, *args, status):
        """What --json says of the one Redis there is."""
        done = weirctl("--json", "doctor", *args)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout)[0]

    def ids(self, answer, level=None):
        return sorted(f["id"] for f in answer["findings"] if level in (None, f["level"]))

    def finding(self, answer, name):
        return next(f for f in answer["findings"] if f["id"] == name)


class Good(Case):
    def test_what_conf_redis_says_is_fine(self):
        for role in ("cache", "state", "one"):
            with self.subTest(role=role):
                cluster = self.redis_cluster(config=lines_of(role + ".conf"), users=USERS, node_timeout=2000)
                answer = self.examine("--redis", ",".join(cluster.endpoints[:2]), "--role", role,
                                      "--node-user", "weir", *self.as_user(OPS), status=FINE)
                self.assertEqual(self.ids(answer, "wrong") + self.ids(answer, "broken"), [])
                self.assertEqual((answer["mode"], answer["user"]), ("cluster", "weir"))
                self.assertEqual(sorted(n["address"] for n in answer["nodes"]), sorted(cluster.endpoints))
                self.assertEqual(sum(n["slots"] for n in answer["nodes"]), 16384)
                cluster.stop()

    def test_over_tls(self):
        files = TlsFiles(os.path.join(self.folder(), "tls"))
        server = self.redis(tls=files, config=["maxmemory 10mb", "maxmemory-policy allkeys-lfu"])
        answer = self.examine("--redis", server.endpoint, "--role", "cache", "--ca-file", files.ca, status=FINDINGS)
        self.assertEqual(answer["nodes"][0]["address"], server.endpoint)
        self.assertNotIn("trouble", answer["nodes"][0])
        wrong = TlsFiles(os.path.join(self.folder(), "other"))
        done = weirctl("doctor", "--redis", server.endpoint, "--ca-file", wrong.ca)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("certificate", done.stderr)
        self.examine("--redis", server.endpoint, "--ca-file", files.ca, "--server-name", "localhost", status=FINDINGS)
        self.examine("--redis", server.endpoint, "--ca-file", files.ca, "--server-name", "redis.example", status=USAGE)

    def test_nothing_is_changed(self):
        cluster = self.redis_cluster(masters=1, replicas=1)
        self.examine("--redis", cluster.endpoints[1], status=FINDINGS)
        executed = {name.split("|")[0] for name in cluster.commands()}
        self.assertEqual(executed & {"flushall", "flushdb", "keys", "shutdown", "function", "debug", "monitor"}, set())
        self.assertEqual(cluster.keys(), [])


class Configured(Case):
    def config(self, **farm):
        folder = self.folder()
        for name in ("secret", "password"):
            with open(os.path.join(folder, name), "w") as f:
                f.write("CHANGE-ME" if name == "password" else "0123456789abcdef" * 4)
        path = os.path.join(folder, "weir.yaml")
        farm["secret_file"] = os.path.join(folder, "secret")
        with open(path, "w") as f:
            json.dump(nodes.settings("http://127.0.0.1:1", farm=farm), f)
        return path

    def test_by_the_configuration_of_a_node(self):
        cluster = self.redis_cluster(config=lines_of("one.conf"), users=USERS)
        redis = {"addresses": cluster.endpoints[:1], "username": "weir",
                 "password_file": os.path.join(self.folder(), "password")}
        answer = self.examine("--config", self.config(redis=redis), status=FINDINGS)
        self.assertEqual((answer["role"], answer["user"]), ("one", "weir"))
        self.assertEqual(self.ids(answer, "wrong"), ["config-get"])  # the node's user may not read settings
        ops = os.path.join(self.folder(), "ops")
        with open(ops, "w") as f:
            f.write(OPS[1])
        answer = self.examine("--config", self.config(redis=redis), "--user", "ops", "--password-file", ops,
                              status=FINE)
        self.assertEqual(answer["user"], "weir")

    def test_two_of_them_are_two(self):
        cache = self.redis(["maxmemory 10mb", "maxmemory-policy allkeys-lfu"])
        path = self.config(redis={"addresses": [cache.endpoint]}, state_redis={"addresses": ["127.0.0.1:1"]})
        done = weirctl("--json", "doctor", "--config", path)
        self.assertEqual(done.returncode, USAGE)
        answer = json.loads(done.stdout)
        self.assertEqual([a["role"] for a in answer], ["cache", "state"])
        self.assertIn("refused", answer[1]["error"])

    def test_a_node_without_a_farm(self):
        done = weirctl("doctor", "--config", self.config())
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("no farm", done.stderr)

    def test_a_configuration_that_is_none(self):
        path = os.path.join(self.folder(), "weir.yaml")
        with open(path, "w") as f:
            f.write("listne: []\n")
        done = weirctl("doctor", "--config", path)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("listne", done.stderr)


class Bad(Case):
    def test_every_wrong_setting_is_found_and_changed_as_it_says(self):
        wrong = {"maxmemory-policy": "allkeys-random", "appendonly": "no", "cluster-require-full-coverage": "yes",
                 "cluster-allow-reads-when-down": "no", "cluster-node-timeout": "15000", "timeout": "20",
                 "min-replicas-to-write": "1", "client-output-buffer-limit": "pubsub 0 0 0"}
        cluster = self.redis_cluster(masters=1, replicas=1)
        for name, value in wrong.items():
            cluster.each("CONFIG", "SET", name, value)
        answer = self.examine("--redis", cluster.endpoints[0], status=FINDINGS)
        self.assertEqual(set(wrong) - set(self.ids(answer, "wrong")), set())
        for f in answer["findings"]:
            if f["id"] in wrong or f["id"] in ("maxmemory", "lazyfree"):
                self.assertEqual(sorted(f["nodes"]), sorted(cluster.endpoints), f)
                words = re.findall(r'"([^"]*)"|(\S+)', f["command"])
                cluster.each(*[a or b for a, b in words])
        answer = self.examine("--redis", cluster.endpoints[0], status=FINDINGS)
        self.assertEqual(self.ids(answer, "wrong"), ["no-password", "rights-excessive"])

    def test_the_command_for_the_user_makes_a_good_one(self):
        server = self.redis(["maxmemory 10mb", "maxmemory-policy volatile-lfu", "appendonly yes"] +
                            ["lazyfree-lazy-%s yes" % n for n in ("eviction", "expire", "server-del", "user-del")])
        answer = self.examine("--redis", server.endpoint, status=FINDINGS)
        command = self.finding(answer, "rights-excessive")["command"].replace("PASSWORD", "secret").split(" ")
        server.call(*command)
        answer = self.examine("--redis", server.endpoint, "--node-user", "weir", status=FINDINGS)
        self.assertEqual(self.ids(answer, "wrong"), ["no-password"])

    def test_a_lost_master_is_broken(self):
        cluster = self.redis_cluster(replicas=0, node_timeout=500, config=["maxmemory 10mb"])
        cluster.kill(1)
        answer = self.examine("--redis", ",".join(cluster.endpoints), status=BROKEN)
        self.assertEqual(self.finding(answer, "unreachable")["nodes"], [cluster.endpoints[1]])
        self.assertIn("refused", self.finding(answer, "unreachable")["what"])
        self.assertEqual(len(self.finding(answer, "no-replica")["nodes"]), 3)

    def test_a_master_that_stands_still_is_broken(self):
        cluster = self.redis_cluster(masters=1, replicas=1, node_timeout=60000)
        cluster.halt(0)
        answer = self.examine("--redis", cluster.endpoints[1], status=BROKEN)
        self.assertEqual(self.finding(answer, "unreachable")["nodes"], [cluster.endpoints[0]])
        cluster.go_on(0)

    def test_slots_without_an_owner_are_broken(self):
        cluster = self.redis_cluster(masters=1, replicas=0)
        cluster.nodes[0].call("CLUSTER", "DELSLOTSRANGE", 100, 199)
        answer = self.examine("--redis", cluster.endpoints[0], status=BROKEN)
        self.assertEqual(self.finding(answer, "coverage")["what"], "100 of 16384 slots have no owner")

    def test_a_replica_without_its_master(self):
        users = ["default on nopass ~* &* +@all", "weak on >weak -@all"]
        cluster = RedisCluster(masters=1, replicas=1, users=users)
        self.addCleanup(cluster.stop)
        cluster.start()
        replica = cluster.nodes[1]
        replica.call("CONFIG", "SET", "masterauth", "wrong")
        cluster.nodes[0].call("CLIENT", "KILL", "TYPE", "replica")
        wait_until(lambda: replica.info("replication")["master_link_status"] == "down", what="the link is down")
        answer = self.examine("--redis", cluster.endpoints[0], status=FINDINGS)
        self.assertEqual(self.finding(answer, "replication")["nodes"], [replica.endpoint])

    def test_rights_that_are_missing_are_broken(self):
        server = self.redis(users=["default on nopass ~* &* +@all",
                                   "weir on >x ~w1:* -@all +@read +@write +@connection"])
        answer = self.examine("--redis", server.endpoint, "--node-user", "weir", status=BROKEN)
        what = self.finding(answer, "rights-missing")["what"]
        for name in ("EVAL", "SPUBLISH", "CLUSTER SLOTS", "TIME"):
            self.assertIn(name, what)
        self.assertNotIn("GET", re.split(r"[:,] *", what))
        self.assertIn("KEYS", self.finding(answer, "rights-excessive")["what"])

    def test_rights_are_tried_where_they_may_not_be_asked_for(self):
        server = self.redis(users=["default off",
                                   "weir on >secret ~w1:* -@all +@read +@connection +cluster|nodes +info"])
        answer = self.examine("--redis", server.endpoint, *self.as_user(("weir", "secret")), status=BROKEN)
        self.assertEqual(answer["user"], "weir")
        what = self.finding(answer, "rights-missing")["what"]
        self.assertIn("SPUBLISH", what)
        self.assertNotIn("PING", what)

    def test_a_user_that_is_not_there(self):
        server = self.redis()
        answer = self.examine("--redis", server.endpoint, "--node-user", "nobody", status=BROKEN)
        self.assertIn("user-missing", self.ids(answer, "broken"))

    def test_without_the_right_to_list_nodes_the_given_ones_are_looked_at(self):
        cluster = self.redis_cluster(masters=1, replicas=1, users=["default on nopass ~* &* +@all -cluster|nodes"])
        answer = self.examine("--redis", cluster.endpoints[0], status=FINDINGS)
        self.assertIn("cluster-nodes", self.ids(answer, "wrong"))
        self.assertEqual([n["address"] for n in answer["nodes"]], cluster.endpoints[:1])


class Nobody(Case):
    def fails(self, *args, says):
        done = weirctl("doctor", *args)
        self.assertEqual(done.returncode, USAGE, done.stdout + done.stderr)
        self.assertIn(says, done.stderr)

    def test_nobody_listens(self):
        self.fails("--redis", "127.0.0.1:1", says="127.0.0.1:1: Connection refused")

    def test_a_wrong_password(self):
        server = self.redis(users=["default off", "weir on >secret ~w1:* +@all"])
        self.fails("--redis", server.endpoint, *self.as_user(("weir", "other")), says="WRONGPASS")
        self.fails("--redis", server.endpoint, says="NOAUTH")

    def test_one_that_never_answers(self):
        fake = self.fake_redis().on("*", SILENCE)
        self.fails("--redis", fake.endpoint, says=fake.endpoint)

    def test_one_that_closes(self):
        self.fails("--redis", self.fake_redis().on("*", CLOSE).endpoint, says="closed")

    def test_one_that_speaks_something_else(self):
        self.fails("--redis", self.fake_redis().on("*", b"HTTP/1.1 400 Bad Request\r\n\r\n").endpoint, says="weirctl")

    def test_wrong_options(self):
        for arguments in (("--redis", "a:1", "--config", "x"), ("--tls",), ("--role", "cache"), ("--user", "x"),
                          ("--redis", "nonsense"), ("--redis", "a:1", "--role", "queen"), ("--redis", ""),
                          ("--redis", "a:1", "--user", "x", "--password-file", "/nowhere"), ("more",)):
            with self.subTest(arguments=arguments):
                done = weirctl("doctor", *arguments)
                self.assertEqual((done.returncode, done.stdout), (USAGE, ""))
                self.assertNotEqual(done.stderr, "")
        self.assertEqual(weirctl("cache", "stats", "--redis", "a:1").returncode, USAGE)


class Odd(Case):
    """Answers that no Redis gives."""

    def test_answers_of_the_wrong_type_are_no_answers(self):
        fake = self.fake_redis()
        for answer in ([], 1, [[[]]], None, RedisError("ERR no"), "x", b"*2\r\n:1\r\n$-1\r\n"):
            with self.subTest(answer=answer):
                fake.on("*", answer)
                fake.on("CLUSTER NODES", RedisError("ERR This instance has cluster support disabled"))
                done = weirctl("--json", "doctor", "--redis", fake.endpoint)
                self.assertIn(done.returncode, (FINE, FINDINGS, BROKEN), done.stderr)

    def test_a_list_of_nodes_that_is_nonsense(self):
        for answer in ("", "\n\n", "x", "a b c d", "a %s@1 master - 0 0 0 connected 0-99999999999\n" % ("x" * 5000),
                       "a 127.0.0.1:1@1 master - 0 0 0 connected 0-16383\n" * 400):
            with self.subTest(answer=answer[:40]):
                done = weirctl("doctor", "--redis", self.fake_redis().on("CLUSTER NODES", answer).endpoint)
                self.assertIn(done.returncode, (BROKEN, USAGE), done.stderr)

    def test_names_cannot_play_with_the_terminal(self):
        fake = self.fake_redis()
        fake.on("CLUSTER NODES", RedisError("ERR This instance has cluster support disabled"))
        fake.on("INFO", "redis_version:6.\x1b[31m\r\n")
        done = weirctl("doctor", "--redis", fake.endpoint)
        self.assertEqual(done.returncode, BROKEN)
        self.assertNotIn("\x1b", done.stdout)

    def test_an_old_redis_is_told_so(self):
        fake = self.fake_redis()
        fake.on("CLUSTER NODES", RedisError("ERR This instance has cluster support disabled"))
        fake.on("INFO", "redis_version:6.2.7\r\n")
        answer = self.examine("--redis", fake.endpoint, status=BROKEN)
        self.assertEqual(self.ids(answer, "broken"), ["version"])

    def test_clocks_that_differ(self):
        fakes = [self.fake_redis(), self.fake_redis()]
        for fake in fakes:
            fake.on("CLUSTER NODES", "".join(
                "n%d %s@1 master - 0 0 0 connected %s\n" % (i, f.endpoint, ("0-8191", "8192-16383")[i])
                for i, f in enumerate(fakes)))
        fakes[1].on("TIME", lambda c: [str(int(c.fake.usual(c).split(b"\r\n")[2]) + 5), "0"])
        answer = self.examine("--redis", fakes[0].endpoint, status=FINDINGS)
        self.assertEqual(self.finding(answer, "clock")["nodes"], [fakes[1].endpoint])
