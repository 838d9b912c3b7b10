"""Operators' words for nodes, over a farm: unready is a state and holds over restarts; a reload or a drain is an order,
carried out once by a process that was up when it was said."""
import signal

from lib.farm import FarmCase
from lib.ports import LOOPBACK, lasting_port
from lib.wait import wait_until

IDS = ("n1", "n2", "n3")


class NodeOrders(FarmCase):
    def setUp(self):
        self.redis_server = self.redis()
        origin = self.origin()
        farm = self.farm_of(self.redis_server)
        routes = [{"match": {"paths": ["= /ready"]}, "health": "ready"}, {"upstream": "app"}]
        self.configs = {id: self.farm_settings(self.redis_server, origin, routes, farm=farm,
                                               listen=[{"address": "%s:%d" % (LOOPBACK, lasting_port())}],
                                               node={"id": id, "workers": 1}) for id in IDS}
        self.nodes = {id: self.node(config) for id, config in self.configs.items()}
        for node in self.nodes.values():
            wait_until(lambda: self.live(node) == len(IDS), 30, "all see all")

    def live(self, node):
        status, record = node.admin("GET", "/v1/node")
        return record["members_live"] if status == 200 else 0

    def say(self, by, kind, name, reason="a test"):
        status, answer = self.nodes[by].admin("POST", "/v1/words", {"target": "node", "kind": kind, "name": name,
                                                                    "reason": reason})
        self.assertIn(status, (200, 202), answer)
        return answer["number"]

    def ready(self, id):
        try:
            return self.nodes[id].get("/ready").status
        except OSError:
            return None

    def again(self, id):
        """Starts it anew after it has ended."""
        node = self.nodes[id]
        since = node.mark()
        node.spawn()
        node.wait_log(r" ready: \d+ worker", since, 20)
        return since

    def test_unready_holds_over_a_restart_until_it_is_taken_back(self):
        self.say("n1", "unready", "n2")
        wait_until(lambda: self.ready("n2") == 503, what="n2 is unready")
        self.assertEqual(self.nodes["n2"].get("/").status, 200)
        self.assertEqual([self.ready("n1"), self.ready("n3")], [200, 200])
        status, record = self.nodes["n2"].admin("GET", "/v1/node")
        self.assertEqual((record["ready"], record["not_ready_because"], record["draining"]),
                         (False, ["operator"], False))
        self.nodes["n2"].signal(signal.SIGTERM)
        self.assertEqual(self.nodes["n2"].wait(), 0)
        self.again("n2")
        self.assertEqual(self.ready("n2"), 503)
        self.say("n3", "nothing", "n2")
        wait_until(lambda: self.ready("n2") == 200, what="n2 is ready again")

    def test_unready_to_every_node(self):
        self.say("n1", "unready", "")
        wait_until(lambda: [self.ready(id) for id in IDS] == [503] * 3, what="all are unready")
        self.say("n1", "nothing", "")
        wait_until(lambda: [self.ready(id) for id in IDS] == [200] * 3, what="all are ready")

    def test_a_reload_is_carried_out_once_and_reported(self):
        node = self.nodes["n2"]
        hash_before = node.admin("GET", "/v1/node")[1]["config"]["hash"]
        since = node.mark()
        node.write(dict(self.configs["n2"], client={"idle_timeout": "33s"}))
        number = self.say("n1", "reload", "n2")
        node.wait_log(" reloaded\n", since)
        config = node.admin("GET", "/v1/node")[1]["config"]
        self.assertNotEqual(config["hash"], hash_before)
        self.assertEqual((config["last_reload"]["ok"], config["last_reload"]["order"]), (True, number))
        # A reload that nobody ordered does not undo that this one was carried out.
        since_second = node.mark()
        node.signal(signal.SIGHUP)
        node.wait_log(" reloaded\n", since_second)
        self.assertEqual(node.admin("GET", "/v1/node")[1]["config"]["last_reload"]["order"], number)
        # Others have other settings now; before, all were the same.
        self.assertEqual(self.nodes["n1"].admin("GET", "/v1/node")[1]["config"]["hash"], hash_before)
        for id in ("n1", "n3"):
            self.assertNotIn("reloaded", self.nodes[id].log())
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        since = self.again("n2")
        wait_until(lambda: self.live(node) == len(IDS), 30, "it has read the words")
        self.say("n1", "unready", "n2")  # and reads them again
        wait_until(lambda: self.ready("n2") == 503, what="n2 is unready")
        self.assertNotIn(" reloaded", node.log()[since:])

    def test_a_reload_that_fails_is_reported_with_its_cause(self):
        node = self.nodes["n3"]
        node.write(dict(self.configs["n3"], client={"idle_timeout": "soon"}))
        number = self.say("n1", "reload", "n3")

        def failed():
            last = node.admin("GET", "/v1/node")[1]["config"]["last_reload"]
            return last if last and last["order"] == number else None
        last = wait_until(failed, what="it is reported")
        self.assertFalse(last["ok"])
        self.assertIn("idle_timeout", last["error"])
        self.assertEqual(self.ready("n3"), 200)

    def test_a_reload_of_all(self):
        marks = {id: node.mark() for id, node in self.nodes.items()}
        self.say("n2", "reload", "")
        for id, node in self.nodes.items():
            node.wait_log(" reloaded\n", marks[id])

    def test_a_drain_ends_the_node_and_who_starts_it_again_wants_it(self):
        self.say("n1", "drain", "n2")
        self.assertEqual(self.nodes["n2"].wait(), 0)
        wait_until(lambda: self.live(self.nodes["n1"]) == 2, 30, "it has left")
        self.again("n2")
        wait_until(lambda: self.live(self.nodes["n2"]) == len(IDS), 30, "it is back")
        self.assertEqual(self.ready("n2"), 200)
        self.assertTrue(self.nodes["n2"].running)
        self.say("n1", "drain", "n2")  # again: another order
        self.assertEqual(self.nodes["n2"].wait(), 0)

    def test_what_is_said_here_holds_without_redis(self):
        self.redis_server.kill()
        self.say("n1", "unready", "n1")
        wait_until(lambda: self.ready("n1") == 503, what="n1 is unready")
        self.say("n1", "nothing", "n1")
        wait_until(lambda: self.ready("n1") == 200, what="n1 is ready again")
