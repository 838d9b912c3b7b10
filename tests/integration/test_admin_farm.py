"""The admin API of a node among others: its record, the farm, origins, words, configuration, reload, drain."""
import json
import signal

from lib import ports, schema
from lib.case import NodeCase
from lib.farm import FarmCase
from lib.node import Node, settings, upstream
from lib.wait import wait_until

TAKES = 30  # seconds, most of them waits: the runner begins with it


def check(name, value):
    schema.check(value, name)
    return value


def codes(farm, *severities):
    return {f["code"] for f in farm["faults"] if not severities or f["severity"] in severities}


def get(node, path, name=None, status=200):
    got, answer = node.admin(path=path)
    if got != status:
        raise AssertionError("%s: %d %s" % (path, got, answer))
    return check(name, answer) if name else answer


def farm_of(node):
    return get(node, "/v1/farm", "farm")


def ready(*nodes):
    for node in nodes:
        wait_until(lambda: node.admin(path="/v1/ready")[0] == 200, what="it is ready")


class Alone(NodeCase):
    def test_a_node_alone_is_a_farm_of_one(self):
        origin = self.origin()
        node = self.front(origin, node={"id": "alone"})
        ready(node)
        record = get(node, "/v1/node", "node")
        self.assertEqual((record["id"], record["pid"], record["ready"]), ("alone", node.pid, True))
        self.assertEqual(record["listen"], ["%s:%d" % node.address])
        self.assertEqual(record["admin"], [node.admin_socket])
        self.assertEqual(record["config"]["file"], node.config_file)
        self.assertIsNone(record["config"]["last_reload"])
        self.assertIsNone(record["clock_skew_ms"])
        self.assertGreater(record["load"]["memory_bytes"], 1 << 20)
        farm = farm_of(node)
        self.assertIsNone(farm["farm"])
        self.assertEqual((farm["asked"], farm["status"], farm["faults"]), ("alone", "fine", []))
        (one,) = farm["nodes"]
        self.assertTrue(one["self"])
        self.assertEqual(one["incarnation"], record["incarnation"])
        self.assertEqual([o["url"] for o in farm["origins"]], [origin.url])
        self.assertEqual(farm["redis"], [])

    def test_rates_are_of_the_last_seconds(self):
        node = self.front(self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, b"x" * 1000)))

        def load():
            for _ in range(20):
                node.get("/")
            found = get(node, "/v1/node")["load"]
            return found if found["requests_per_s"] > 5 and found["bytes_per_s"] > 5000 else None
        load = wait_until(load, what="a rate is seen")
        self.assertGreater(load["hit_ratio"], 0.5)
        self.assertEqual(load["errors_per_s"], 0)

    def test_origins_are_told_with_what_is_known(self):
        origin, other = self.origin(), self.origin()
        node = self.node(settings([upstream([origin, other], name="app", eject={"fails": 1, "percent": "100%"},
                                            retries={"attempts": 0})]))
        self.assertEqual(node.get("/").status, 200)
        found = {o["url"]: o for o in get(node, "/v1/origins", "origins")["origins"]}
        self.assertEqual(set(found), {origin.url, other.url})
        self.assertEqual(sum(o["requests"] for o in found.values()), 1)
        for o in found.values():
            self.assertEqual((o["upstream"], o["checked"], o["in_force"], o["word"]), ("app", False, "up", None))

    def test_the_configuration_is_told_as_it_is_in_force(self):
        node = self.front(self.origin(), client={"idle_timeout": "90s"})
        answer = get(node, "/v1/config", "config")
        self.assertEqual(answer["config"]["client"]["idle_timeout"], "90s")
        self.assertEqual(answer["config"]["client"]["head_timeout"], "10s")
        self.assertEqual(answer["hash"], get(node, "/v1/node")["config"]["hash"])
        self.assertEqual(answer["file"], node.config_file)


class Words(NodeCase):
    def say(self, node, status=200, **word):
        got, answer = node.admin("POST", "/v1/words", word)
        self.assertEqual(got, status, answer)
        return check("said", answer) if got < 300 else check("error", answer)

    def test_a_word_is_said_holds_and_is_taken_back(self):
        origin, other = self.origin(), self.origin()
        node = self.node(settings([upstream([origin, other], name="app")]))
        said = self.say(node, target="origin", name="app", url=origin.url, kind="disable", reason="kernel", for_s=3600)
        self.assertEqual(said["outcome"], "said")
        (word,) = get(node, "/v1/words", "words")["words"]
        self.assertEqual((word["kind"], word["reason"], word["number"]), ("disable", "kernel", said["number"]))
        self.assertIn(word["left_s"], range(3590, 3601))

        def out():
            found = {o["url"]: o for o in get(node, "/v1/origins", "origins")["origins"]}
            return found if found[origin.url]["in_force"] == "disabled" else None
        found = wait_until(out, what="the word holds")
        self.assertEqual(found[origin.url]["word"]["number"], said["number"])
        self.assertEqual(found[other.url]["in_force"], "up")
        for _ in range(6):
            self.assertEqual(node.get("/").status, 200)
        self.assertEqual(len(origin.requests), 0)
        farm = farm_of(node)
        self.assertEqual((farm["status"], codes(farm)), ("fine", {"word"}))
        node.wait_log(r'audit: who=\S+ from=unix:\d+ did=word target="disable origin app %s for 3600 s: kernel" '
                      r'outcome="said, number %d"' % (origin.url, said["number"]))
        self.say(node, target="origin", name="app", url=origin.url, kind="nothing")
        self.assertEqual(get(node, "/v1/words")["words"], [])

    def test_weights_and_maintenance(self):
        origin = self.origin()
        node = self.front(origin)
        name = get(node, "/v1/origins")["origins"][0]["upstream"]
        self.say(node, target="origin", name=name, url=origin.url, kind="weight", weight=7)
        self.say(node, target="upstream", name=name, kind="maintenance", author="eve", reason="move")
        wait_until(lambda: get(node, "/v1/origins")["origins"][0]["in_force"] == "maintenance", what="maintenance")
        o = get(node, "/v1/origins", "origins")["origins"][0]
        self.assertEqual((o["weight"], o["weight_configured"]), (7, 1))
        self.assertEqual({(w["kind"], w["weight"]) for w in get(node, "/v1/words", "words")["words"]},
                         {("weight", 7), ("maintenance", None)})
        self.assertEqual(node.get("/").status, 503)
        self.say(node, target="upstream", name=name, kind="nothing")
        wait_until(lambda: node.get("/").status == 200, what="it is back")
        self.assertEqual(len(get(node, "/v1/words")["words"]), 1)

    def test_what_makes_no_sense_is_refused(self):
        origin = self.origin()
        node = self.front(origin)
        name = get(node, "/v1/origins")["origins"][0]["upstream"]
        one = {"target": "origin", "name": name, "url": origin.url}
        for word in ({}, dict(one), dict(one, kind="stop"), dict(one, kind=3), dict(one, kind="weight"),
                     dict(one, kind="weight", weight=0), dict(one, kind="weight", weight=1001),
                     dict(one, kind="drain", for_s=0), dict(one, kind="drain", for_s=-1), dict(one, kind="drain", for_s="1h"),
                     dict(one, kind="drain", extra=1), dict(one, kind="drain", reason="x" * 300),
                     dict(one, kind="drain", reason=["x"]), dict(one, kind="maintenance"), dict(one, kind="reload"),
                     dict(one, kind="drain", author="x" * 200), dict(one, kind="drain", author="a\x00b"),
                     dict(one, kind="drain", weight_only="yes"), dict(one, target="farm", kind="drain"),
                     {"target": "upstream", "name": name, "kind": "drain"}):
            self.say(node, 400, **word)
        for word in (dict(one, kind="drain", name="nobody"), dict(one, kind="drain", url="http://10.9.8.7:1"),
                     {"target": "upstream", "name": "x", "kind": "maintenance"},
                     {"target": "node", "name": "x", "kind": "drain"}):
            self.say(node, 404, **word)
        self.assertEqual(get(node, "/v1/words")["words"], [])

    def test_a_node_is_told_to_be_unready_to_reload_and_to_drain(self):
        origin = self.origin()
        node = self.front(origin, node={"id": "n1", "drain_grace": "0s"})
        ready(node)
        self.say(node, target="node", name="n1", kind="unready", reason="test")
        wait_until(lambda: node.admin(path="/v1/ready")[0] == 503, what="it is unready")
        self.assertEqual(check("ready", node.admin(path="/v1/ready")[1])["because"], ["operator"])
        self.assertEqual(codes(farm_of(node), "degraded", "down"), {"node_not_ready", "nodes_none_ready"})
        self.say(node, target="node", name="n1", kind="nothing")
        ready(node)
        number = self.say(node, target="node", name="n1", kind="reload")["number"]
        last = wait_until(lambda: get(node, "/v1/node", "node")["config"]["last_reload"], what="it has reloaded")
        self.assertEqual((last["order"], last["ok"]), (number, True))
        self.say(node, target="node", kind="drain")
        self.assertEqual(node.wait(), 0)


class Control(NodeCase):
    def test_a_reload_tells_how_it_went(self):
        origin = self.origin()
        node = self.front(origin)
        listen = [{"address": "%s:%d" % node.address}]
        before = get(node, "/v1/node")["config"]["hash"]
        node.write(settings(origin, listen=listen, client={"idle_timeout": "90s"}))
        status, answer = node.admin("POST", "/v1/reload")
        self.assertEqual(status, 200)
        check("reload", answer)
        self.assertNotEqual(answer["config"], before)
        self.assertEqual(get(node, "/v1/node", "node")["config"]["hash"], answer["config"])
        with open(node.config_file, "a") as f:
            f.write("nonsense: [")
        status, failed = node.admin("POST", "/v1/reload")
        self.assertEqual(status, 409)
        check("reload", failed)
        self.assertEqual((failed["ok"], failed["config"]), (False, answer["config"]))
        self.assertTrue(failed["error"])
        self.assertEqual(codes(farm_of(node)), {"reload_failed"})
        node.wait_log(r'did=reload target="this node" outcome="reloaded"')
        node.wait_log(r'did=reload target="this node" outcome="failed: ')

    def test_without_a_file_there_is_nothing_to_reload(self):
        origin = self.origin()
        address = "%s:%d" % (ports.LOOPBACK, ports.free_port())
        node = Node(args=["--listen", address, "--origin", origin.url])
        node.environment["XDG_RUNTIME_DIR"] = node.dir
        self.addCleanup(node.stop)
        node.address = (ports.LOOPBACK, int(address.rsplit(":", 1)[1]))
        node.start()
        if "admin socket at %s" % node.dir not in node.log():
            return  # another node of this machine has the usual place
        node.admin_socket = node.path("weir/admin.sock")
        self.assertEqual(node.admin("POST", "/v1/reload")[0], 409)
        self.assertIsNone(get(node, "/v1/config", "config")["file"])

    def test_a_drain_ends_the_node(self):
        node = self.front(self.origin(), node={"drain_grace": "0s"})
        self.assertEqual(node.admin("POST", "/v1/drain", {"because": "x"})[0], 400)
        status, answer = node.admin("POST", "/v1/drain", {"reason": "kernel"})
        self.assertEqual((status, answer), (202, {"outcome": "draining"}))
        self.assertEqual(node.wait(), 0)
        self.assertRegex(node.log(), r'did=drain target="this node" outcome="draining: kernel"')


class Farm(FarmCase):
    def nodes(self, count=2, **keys):
        self.redis_ = self.redis()
        self.the_origin = self.origin()
        farm = self.farm_of(self.redis_)
        nodes = [self.node(self.farm_settings(self.redis_, self.the_origin, farm=farm, node={"id": "n%d" % i}, **keys))
                 for i in range(count)]
        ready(*nodes)
        return nodes

    def whole(self, node, count):
        """The farm as `node` tells it, when it knows `count` nodes and all their records."""
        def known():
            farm = farm_of(node)
            return farm if [n["record"] for n in farm["nodes"]] == ["fresh"] * count else None
        return wait_until(known, what="%d records are read" % count)

    def test_every_node_tells_of_all(self):
        a, b = self.nodes()
        for one, other in ((a, b), (b, a)):
            farm = self.whole(one, 2)
            self.assertEqual(farm["farm"], "default")
            self.assertEqual({n["id"] for n in farm["nodes"]}, {"n0", "n1"})
            self.assertEqual([n["self"] for n in farm["nodes"]], [True, False])
            self.assertEqual(farm["nodes"][1]["pid"], other.pid)
            self.assertEqual(farm["members"]["live"], 2)
            self.assertLess(farm["nodes"][1]["beat_ms"], 6000)
        farm = wait_until(lambda: next((f for f in [farm_of(a)] if f["redis"]), None), what="Redis is known")
        self.assertEqual([(r["nodes_up"], r["nodes_down"], r["slots_covered"]) for r in farm["redis"]], [(1, 0, None)])
        wait_until(lambda: farm_of(a)["status"] == "fine", what="all is fine")

    def test_who_is_killed_is_missed_and_who_leaves_is_not(self):
        a, b, c = self.nodes(3)
        self.whole(a, 3)
        b.expect_exit = -signal.SIGKILL
        b.process.kill()
        b.wait()
        c.signal(signal.SIGTERM)
        self.assertEqual(c.wait(), 0)
        farm = wait_until(lambda: next((f for f in [farm_of(a)] if f["members"]["live"] == 1 and
                                         f["members"]["missing"]), None), 20, "both have gone")
        self.assertEqual([m["id"] for m in farm["members"]["missing"]], ["n1"])
        self.assertIn("node_missing", codes(farm, "degraded"))
        self.assertEqual(farm["status"], "degraded")

    def test_drift_is_seen(self):
        a, b, c = self.nodes(3)
        self.whole(a, 3)
        listen = [{"address": "%s:%d" % b.address}]
        with open(b.config_file) as f:
            config = json.load(f)
        config["client"] = {"idle_timeout": "91s"}
        config["listen"] = listen
        with open(b.config_file, "w") as f:
            json.dump(config, f)
        self.assertEqual(b.admin("POST", "/v1/reload")[0], 200)

        def drifts():
            farm = farm_of(a)
            return farm if [n["id"] for n in farm["nodes"] if n["drift"]] == ["n1"] else None
        farm = wait_until(drifts, what="the drift is seen")
        self.assertIn("config_drift", codes(farm, "degraded"))

    def test_a_word_said_anywhere_holds_everywhere(self):
        a, b = self.nodes()
        self.whole(a, 2)
        name = get(b, "/v1/origins")["origins"][0]["upstream"]
        status, said = a.admin("POST", "/v1/words", {"target": "origin", "name": name, "url": self.the_origin.url,
                                                     "kind": "drain"})
        self.assertEqual(status, 200, said)
        self.assertIn(check("said", said)["outcome"], ("said", "unconfirmed"))
        wait_until(lambda: [w["number"] for w in get(b, "/v1/words", "words")["words"]] == [said["number"]],
                   what="the other node knows the word")

    def test_without_redis_it_tells_what_it_knows(self):
        a, b = self.nodes()
        self.whole(a, 2)
        self.redis_.stop()
        farm = wait_until(lambda: next((f for f in [farm_of(a)] if f["members"]["lost"]), None), 30, "it is alone")
        self.assertIn("members_lost", codes(farm, "degraded"))
        self.assertEqual(farm["nodes"][0]["id"], "n0")
        status, said = a.admin("POST", "/v1/words", {"target": "node", "name": "n0", "kind": "unready"})
        self.assertEqual((status, said["outcome"]), (202, "here_only"))
        self.assertIn("words_pending", codes(farm_of(a)))
