"""weirctl and a real farm: three nodes, a Redis, origins that die, operators who say something, nodes that are away."""
import json
import shutil
import signal
import tempfile

from lib import node as nodes
from lib.ctl import weirctl
from lib.farm import FarmCase
from lib.load import Load, origin_handler
from lib.schema import check
from lib.wait import wait_until

TAKES = 130  # seconds, most of them waits: the runner begins with it

FINE, DEGRADED, DOWN, USAGE = 0, 1, 2, 3
HEALTH = {"type": "http", "path": "/0", "interval": "1s", "fast_interval": "200ms", "timeout": "1s"}


class Farm(FarmCase):
    def folder(self):
        path = tempfile.mkdtemp(prefix="weir-test-")
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def settings(self, number, **keys):
        return nodes.settings([nodes.upstream(self.origins, health=HEALTH)], farm=self.farm_section,
                              node={"id": "n%d" % number, "state_dir": self.folder(), "workers": 1}, **keys)

    def start(self, count=3, origins=2, redis=None):
        self.server = redis or self.redis()
        self.farm_section = self.farm_of(self.server)
        self.origins = [self.origin(origin_handler()) for _ in range(origins)]
        self.members = [self.node(self.settings(n + 1)) for n in range(count)]
        wait_until(lambda: self.sees(count) and self.code("status") == FINE, 30, "all of them see each other")
        wait_until(lambda: self.sees(count, direct=True), 30, "all have written their records")
        return self.members

    def ask(self, *args, node=None, direct=False):
        if direct:
            section = self.farm_section
            return weirctl(*args, "--redis", ",".join(section["redis"]["addresses"]), "--secret-file",
                           section["secret_file"])
        return weirctl(*args, node=node or self.members[0])

    def code(self, *args, **kw):
        return self.ask(*args, **kw).returncode

    def json(self, *args, **kw):
        done = self.ask(*args, "--json", **kw)
        self.assertIn(done.returncode, (FINE, DEGRADED, DOWN), done.stderr)
        return json.loads(done.stdout)

    def sees(self, count, **kw):
        farm = self.json("status", **kw)
        return len([n for n in farm["nodes"] if n["record"] == "fresh"]) == count

    def origin_of(self, url, **kw):
        for origin in self.json("origins", **kw)["origins"]:
            if origin["url"] == url:
                return origin
        return None

    def faults(self, **kw):
        return {f["code"] for f in self.json("status", **kw)["faults"]}


class Status(Farm):
    def test_a_farm_that_is_well(self):
        self.start()
        for kw in ({}, {"direct": True}):
            with self.subTest(**kw):
                farm = self.json("status", **kw)
                check(farm, "farm")
                self.assertEqual([n["id"] for n in farm["nodes"]], ["n1", "n2", "n3"])
                check(self.json("nodes", **kw), "weirctl-nodes")
                check(self.json("origins", **kw), "weirctl-origins")
                check(self.json("words", **kw), "words")
                shown = self.ask("status", **kw)
                self.assertEqual(shown.returncode, FINE, shown.stdout)
                self.assertIn("3 of 3 nodes ready", shown.stdout)
        self.assertIn("n3", self.ask("top", "--once").stdout)

    def test_over_a_cluster(self):
        cluster = self.redis_cluster(masters=3, replicas=1)
        self.start(count=2, redis=cluster)
        for kw in ({}, {"direct": True}):
            self.assertRegex(self.ask("status", **kw).stdout, r"(?m)^  redis +cluster +\d+ up +16,384 of 16,384")
        done = self.ask("origins", "drain", "app", self.origins[0].url, direct=True)
        self.assertEqual(done.returncode, FINE, done.stdout + done.stderr)
        self.assertIn("for the whole farm", done.stdout)
        wait_until(lambda: self.origin_of(self.origins[0].url)["in_force"] == "drained", what="it is heard")

    def test_a_node_that_dies_is_missed(self):
        one, two, three = self.start()
        three.expect_exit = -signal.SIGKILL
        three.signal(signal.SIGKILL)
        wait_until(lambda: "node_missing" in self.faults(), 30, "the others miss it")
        self.assertEqual(self.code("status"), DEGRADED)
        self.assertEqual(self.code("nodes"), DEGRADED)
        self.assertEqual(self.code("origins"), FINE)
        self.assertTrue(self.sees(2))

    def test_an_origin_that_dies_is_told_with_votes_and_reason(self):
        self.start()
        dead = self.origins[1]
        dead.stop()
        wait_until(lambda: self.origin_of(dead.url)["in_force"] == "down", 30, "it is found down")
        self.assertEqual(self.code("status"), DEGRADED)
        self.assertEqual(self.code("origins"), DEGRADED)
        self.assertEqual(self.code("nodes"), FINE)
        self.assertIn("refused", self.ask("origins").stdout)
        wait_until(lambda: (self.origin_of(dead.url, direct=True) or {}).get("in_force") == "down", 30,
                   "the records tell so")
        self.origins[0].stop()
        wait_until(lambda: self.code("status") == DOWN, 30, "nobody can serve")

    def test_without_redis_a_node_still_tells(self):
        self.start()
        self.server.kill()
        wait_until(lambda: "members_lost" in self.faults(), 30, "it has lost sight of the others")
        self.assertEqual(self.code("status"), DEGRADED)
        self.assertEqual(self.code("status", direct=True), USAGE)
        done = self.ask("origins", "drain", "app", self.origins[0].url)
        self.assertEqual(done.returncode, DEGRADED, done.stderr)
        self.assertIn("this node alone", done.stdout)
        self.server.restart()
        wait_until(lambda: self.origin_of(self.origins[0].url, node=self.members[2])["in_force"] == "drained", 30,
                   "the others hear of it")

    def test_two_nodes_of_one_name(self):
        self.start(count=2)
        self.node(self.settings(2))
        wait_until(lambda: "twin" in self.faults(), 30, "it is seen")
        self.assertEqual(self.code("nodes"), DEGRADED)
        self.assertIn("twin", self.ask("nodes").stdout)
        self.assertIn("twin", self.ask("nodes", direct=True).stdout)


class Words(Farm):
    def test_an_origin_is_drained_and_taken_back(self):
        self.start()
        url = self.origins[1].url
        done = self.ask("origins", "drain", "app", url, "--reason", "new kernel", "--for", "30m")
        self.assertEqual(done.returncode, FINE, done.stderr)
        for member in self.members:
            wait_until(lambda: self.origin_of(url, node=member)["in_force"] == "drained", what="it is heard")
        word = self.origin_of(url)["word"]
        self.assertEqual((word["kind"], word["reason"]), ("drain", "new kernel"))
        self.assertTrue(1700 < word["left_s"] <= 1800, word)
        self.assertEqual(self.code("status"), FINE)
        self.assertIn("new kernel", self.ask("status").stdout)
        self.assertIn("new kernel", self.ask("words", direct=True).stdout)
        self.ask("origins", "enable", "app", url)
        for member in self.members:
            wait_until(lambda: self.origin_of(url, node=member)["in_force"] == "up", what="it is heard")
        self.assertEqual(self.json("words")["words"], [])

    def test_a_word_ends_by_itself(self):
        self.start(count=2)
        url = self.origins[1].url
        self.ask("origins", "disable", "app", url, "--for", "2s")
        wait_until(lambda: self.origin_of(url, node=self.members[1])["in_force"] == "disabled", what="it is heard")
        wait_until(lambda: self.origin_of(url, node=self.members[1])["in_force"] == "up", what="it has ended")

    def test_words_outlive_nodes_and_redis(self):
        self.start(count=2)
        url = self.origins[1].url
        self.ask("origins", "weight", "app", url, "7")
        wait_until(lambda: self.origin_of(url, node=self.members[1])["weight"] == 7, what="it is heard")
        self.server.kill()
        self.server.restart()  # with nothing in it
        wait_until(lambda: [w["weight"] for w in self.json("words", direct=True)["words"]] == [7], 30,
                   "the nodes put it back")
        self.members[0].stop()
        self.members[0] = self.node(self.settings(1))
        wait_until(lambda: self.origin_of(url)["weight"] == 7, 30, "it is read at the start")

    def test_maintenance_of_an_upstream(self):
        self.start(count=2)
        self.ask("maintenance", "on", "app")
        wait_until(lambda: self.members[1].get("/1").status == 503, what="nobody is asked")
        self.ask("maintenance", "off", "app")
        wait_until(lambda: self.members[1].get("/1").status == 200, what="they are asked again")

    def test_words_are_said_without_any_node(self):
        self.start(count=2)
        for member in self.members:
            member.stop()
        url = self.origins[1].url
        wait_until(lambda: self.code("status", direct=True) == DOWN, 30, "nobody is alive")
        done = self.ask("origins", "drain", "app", url, "--reason", "by night", direct=True)
        self.assertIn(done.returncode, (FINE, DEGRADED), done.stderr)
        self.members = [self.node(self.settings(1))]
        wait_until(lambda: self.origin_of(url)["in_force"] == "drained", 30, "it is read at the start")
        self.assertRegex(self.origin_of(url)["word"]["author"], r"\A\S+@\S+\Z")

    def test_another_secret_is_another_farm(self):
        self.start(count=1)
        done = weirctl("nodes", "--redis", self.server.endpoint, "--secret-file", self.secret_file("x" * 40))
        self.assertEqual(done.returncode, DOWN)
        self.assertIn("no node is alive", done.stdout)

    def test_a_node_is_taken_out_and_back(self):
        self.start(count=2)
        self.ask("unready", "n2", "--reason", "look at it")
        wait_until(lambda: self.code("nodes") == DEGRADED, what="it is not ready")
        self.ask("ready", "n2")
        wait_until(lambda: self.code("nodes") == FINE, what="it is ready again")
        self.ask("drain", "n2", direct=True)
        self.members[1].wait()


class Reload(Farm):
    def test_one_after_the_other_under_load(self):
        self.start()
        with Load(self.members, threads=1) as load:
            done = self.ask("reload", "--rolling")
            self.assertEqual(done.returncode, FINE, done.stdout + done.stderr)
            self.assertEqual([line.split(":")[0] for line in done.stdout.splitlines()], ["n2", "n3", "n1"])
            load.go_on()
        self.assertEqual(load.faults, [])

    def test_it_stops_where_the_file_is_bad(self):
        self.start()
        with open(self.members[1].config_file, "a") as f:
            f.write("nonsense")
        done = self.ask("reload", "--rolling", "--json")
        self.assertEqual(done.returncode, DOWN, done.stderr)
        answer = json.loads(done.stdout)
        check(answer, "weirctl-reload")
        self.assertEqual([(n["id"], n["ok"]) for n in answer["nodes"]], [("n2", False)])
        self.assertIn("reload_failed", self.faults())

    def test_drift_is_shown(self):
        self.start()
        with open(self.members[2].config_file) as f:
            config = json.load(f)
        self.members[2].write(dict(config, client={"idle_timeout": "7s"}))
        self.assertEqual(self.code("reload", "n3"), FINE)
        wait_until(lambda: self.code("config", "drift") == DEGRADED, what="it is seen")
        self.assertRegex(self.ask("config", "drift").stdout, r"(?m)^n3 +drift ")
        self.assertIn("config_drift", self.faults())


class Doctor(Farm):
    """What doctor finds in the nodes; what it finds in Redis itself is in test_doctor.py."""

    def findings(self, *args, node=None):
        done = weirctl("doctor", "--json", *(args or ("--config", (node or self.members[0]).config_file)))
        reports = json.loads(done.stdout)
        check(reports, "weirctl-doctor")
        farm, = (r for r in reports if r["role"] == "farm")
        return {f["id"]: f for f in farm["findings"]}

    def test_a_good_farm(self):
        self.start(count=2)
        self.assertEqual(self.findings(), {})
        self.assertRegex(weirctl("doctor", "--config", self.members[0].config_file).stdout,
                         r"(?m)^farm +default: 2 nodes\n\n  nothing is wrong$")

    def test_twins_drift_and_a_folder_that_is_missing(self):
        self.start(count=2)
        odd = self.settings(2, client={"idle_timeout": "7s"})
        odd["node"]["state_dir"] = self.folder()
        other = self.node(odd)
        wait_until(lambda: "twin" in self.faults(), 30, "it is seen")
        found = self.findings()
        self.assertEqual(found["twin"]["nodes"], ["n2", "n2"])
        self.assertIn("config_drift", found)
        self.assertNotIn("state_dir", found)
        shutil.rmtree(odd["node"]["state_dir"])
        self.assertIn("state_dir", self.findings(node=other))

    def test_a_node_with_another_secret(self):
        self.start(count=1)
        self.farm_section = dict(self.farm_section, secret_file=self.secret_file("y" * 40))
        self.node(self.settings(2))
        wait_until(lambda: "secret" in self.findings(), 30, "what it writes is not sealed with ours")

    def test_without_the_secret_redis_alone_is_looked_at(self):
        self.start(count=1)
        reports = json.loads(weirctl("doctor", "--json", "--redis", self.server.endpoint).stdout)
        self.assertEqual([r["role"] for r in reports], ["one"])
