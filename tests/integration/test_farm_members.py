"""Who is in a farm, and what operators order: nodes that come, go, die, lie, have a wrong clock or each other's id."""
import os
import re
import signal
import tempfile
import time

from lib import sealed
from lib.farm import SECRET, FarmCase
from lib.node import Node, sanitizer
from lib.wait import wait_until

TAKES = 70  # seconds, most of them waits: the runner begins with it

SEEN = 15  # seconds until what must show shows: three beats, and a slow machine
LIVE = 6   # seconds after its last beat until a silent node is gone
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


class MembersCase(FarmCase):
    def begin(self, count=2, **keys):
        self.site = self.origin(lambda x: x.reply(200, body=b"hello"))
        self.shared = self.redis()
        self.keys = dict(keys, farm=self.farm_of(self.shared))
        self.nodes = [self.another("n%d" % i) for i in range(count)]
        self.wait_live(count)

    def settings_of(self, name, **node):
        return self.farm_settings(self.shared, self.site, node=dict(node, id=name, workers=1), **self.keys)

    def another(self, name, **node):
        return self.node(self.settings_of(name, **node))

    def view(self, node):
        status, body = node.admin(path="/v1/farm")
        self.assertEqual(status, 200, body)
        return body

    def members(self, node):
        return self.view(node)["members"]

    def ids(self, node):
        return sorted(n["id"] for n in self.view(node)["nodes"])

    def wait_live(self, count, nodes=None, deadline=SEEN):
        for node in nodes if nodes is not None else self.nodes:
            wait_until(lambda: self.members(node)["live"] == count and len(self.view(node)["nodes"]) == count,
                       deadline, "%d nodes in %s" % (count, self.members(node)))

    def say(self, node, **word):
        return node.admin("POST", "/v1/words", dict({"reason": "a test", "author": "tester"}, **word))

    def disable(self, node, **more):
        word = dict({"target": "origin", "name": "app", "url": self.site.url, "kind": "disable"}, **more)
        status, said = self.say(node, **word)
        self.assertIn(status, (200, 202), said)
        return said

    def words(self, node):
        status, body = node.admin(path="/v1/words")
        self.assertEqual(status, 200, body)
        return body

    def kinds(self, node):
        return [w["kind"] for w in self.words(node)["words"]]

    def kill(self, node):
        node.expect_exit = -signal.SIGKILL
        node.signal(signal.SIGKILL)
        node.wait()


class Members(MembersCase):
    def test_nodes_come_leave_die_and_come_back(self):
        self.begin(3)
        one, two, three = self.nodes
        self.assertEqual(self.ids(one), ["n0", "n1", "n2"])
        self.assertTrue([n["self"] for n in self.view(two)["nodes"] if n["id"] == "n1"][0])
        three.stop()  # leaves
        began = time.monotonic()
        self.wait_live(2, [one, two])
        self.assertLess(time.monotonic() - began, LIVE - 1, "it did not wait for silence")
        before = {n["id"]: n["incarnation"] for n in self.view(one)["nodes"]}
        self.kill(two)
        self.wait_live(1, [one])
        self.node(self.settings_of("n1"))
        self.wait_live(2, [one])
        after = {n["id"]: n["incarnation"] for n in self.view(one)["nodes"]}
        self.assertEqual(before["n0"], after["n0"])
        self.assertNotEqual(before["n1"], after["n1"])
        self.assertFalse(any(n["twin"] for n in self.view(one)["nodes"]))

    def test_a_restart_at_once_is_no_twin(self):
        self.begin(2)
        one, two = self.nodes
        self.kill(two)
        self.node(self.settings_of("n1"))
        self.wait_live(3, [one])  # the old one is silent, and not yet for long
        end = time.monotonic() + 2 * LIVE
        while len(self.view(one)["nodes"]) != 2:
            self.assertFalse(any(n["twin"] for n in self.view(one)["nodes"]))
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)  # nothing to wait for but that nothing happens
        self.assertNotIn("another node runs with the id", one.log())

    def test_two_nodes_with_one_id_are_reported(self):
        self.begin(2)
        one, two = self.nodes
        double = self.another("n1")
        double.wait_log("another node runs with the id n1")
        two.wait_log("another node runs with the id n1")
        wait_until(lambda: sum(n["twin"] for n in self.view(one)["nodes"]) == 2, SEEN, "two twins")
        self.assertIn("twin", [f["code"] for f in self.view(one)["faults"]])
        self.assertEqual(one.get("/").body, b"hello")
        double.stop()
        two.wait_log("no other node has the id n1")
        wait_until(lambda: not any(n["twin"] for n in self.view(one)["nodes"]), SEEN, "no twins")


class Strangers(MembersCase):
    """Somebody who can write to Redis, past the nodes."""

    def board(self, **keys):
        return sealed.Board(self.shared, **keys)

    def counted(self, node, what, least):
        return wait_until(lambda: self.members(node)[what] >= least, SEEN,
                          "%s in %s" % (what, self.members(node)))

    def test_forged_members_mean_nothing_and_are_counted(self):
        self.begin(2)
        node, board = self.nodes[0], self.board()
        genuine = board.entries()
        self.assertEqual(len(genuine), 2)
        real = next(iter(genuine.values()))
        before = self.members(node)["forged"]
        board.put("evil/0123456789abcdef", b"not sealed at all")
        board.put("evil/0123456789abcdee", real)  # another's words
        board.put("evil/0123456789abcded",
                  sealed.sealed(b"\0" * 32, "member", "evil/0123456789abcded", sealed.brief()))
        self.assertGreaterEqual(board.hint(b"b\x15evil/0123456789abcdec" + real), 2)
        self.assertGreaterEqual(board.hint(b"l"), 2)
        self.assertGreaterEqual(board.hint(b"\xff" * 4096), 2)
        self.counted(node, "forged", before + 4)
        self.assertEqual(self.ids(node), ["n0", "n1"])
        self.assertEqual(node.get("/").body, b"hello")

    def test_an_old_brief_of_a_member_is_stale(self):
        self.begin(2)
        node, board = self.nodes[0], self.board()
        entry, old = next((k, v) for k, v in board.entries().items() if k.startswith("n1/"))
        wait_until(lambda: board.entries()[entry] != old, SEEN, "another beat")
        before = self.members(node)["stale"]

        def told_again():  # a hint may get lost: whoever plays old ones has time
            board.hint(b"b" + bytes([len(entry)]) + entry.encode() + old)
            return self.members(node)["stale"] > before
        wait_until(told_again, SEEN, "it is stale")
        self.assertEqual(self.ids(node), ["n0", "n1"])

    def test_a_node_that_died_is_not_brought_back_by_what_it_said(self):
        self.begin(2)
        node, board = self.nodes[0], self.board()
        entry, last = next((k, v) for k, v in board.entries().items() if k.startswith("n1/"))
        self.kill(self.nodes[1])
        self.wait_live(1, [node])
        board.put(entry, last)
        board.hint(b"l")
        reads = self.view(node)["members"]
        end = time.monotonic() + 3
        while time.monotonic() < end:  # nothing may happen
            self.assertEqual(self.ids(node), ["n0"], reads)
            time.sleep(0.05)

    def test_a_node_of_another_version_is_seen_as_far_as_it_is_understood(self):
        self.begin(1)
        node, board, key = self.nodes[0], self.board(), sealed.seal_key(SECRET)
        entry = "future/0123456789abcdef"
        board.put(entry, sealed.sealed(key, "member", entry,
                                       sealed.brief(form=9, more=sealed.field(0x2f0, b"what nobody knows yet"))))
        board.hint(b"l")
        wait_until(lambda: "future" in self.ids(node), SEEN, "a member of the future")
        entry = "alien/0123456789abcdef"
        board.put(entry, sealed.sealed(key, "member", entry, sealed.brief(
            form=10, more=sealed.field(0x2f1 | sealed.CRITICAL, b"not to be skipped"))))
        board.hint(b"l")
        self.counted(node, "foreign", 1)
        self.assertNotIn("alien", self.ids(node))
        self.assertEqual(self.members(node)["forged"], 0)

    def test_forged_words_order_nothing(self):
        self.begin(1)
        node = self.nodes[0]
        board = self.board(what="B", name="w")
        self.disable(node, kind="weight", weight=7)
        entry, genuine = next(iter(board.entries().items()))
        board.put("origin|state|%s|app" % self.site.url, genuine)
        board.put("origin|state|%s|other" % self.site.url, b"disable")
        board.hint(b"l")
        wait_until(lambda: self.words(node)["state"]["forged"] >= 2, SEEN, "forged words")
        self.assertEqual(self.kinds(node), ["weight"])
        self.assertEqual(node.get("/").body, b"hello")
        self.assertIn("weight", entry)


class Redis(MembersCase):
    """What becomes of members and words with it."""

    def test_a_flush_takes_nobody_out_and_words_come_back(self):
        self.begin(2)
        one, two = self.nodes
        said = self.disable(one)
        self.assertEqual(said["outcome"], "said")
        wait_until(lambda: self.kinds(two) == ["disable"], SEEN, "the word everywhere")
        mark = len(self.shared.keys())
        self.assertGreater(mark, 0)
        self.shared.call("FLUSHALL")
        end = time.monotonic() + LIVE + 2
        while time.monotonic() < end:
            for node in (one, two):
                self.assertEqual(self.members(node)["live"], 2)
                self.assertEqual(self.kinds(node), ["disable"])
            time.sleep(0.1)  # nobody may be missing at any time
        self.assertGreater(sum(self.words(n)["state"]["restored"] for n in (one, two)), 0)
        three = self.another("n2")
        wait_until(lambda: self.kinds(three) == ["disable"], SEEN, "the word at a node that came later")

    def test_a_redis_that_is_gone_for_a_while_is_two_lines_in_the_log(self):
        self.begin(2)
        one, two = self.nodes
        mark = one.mark()
        self.shared.halt()
        one.wait_log("farm: the other nodes cannot be seen", mark, SEEN + LIVE)
        wait_until(lambda: self.members(one)["lost"], SEEN, "lost")
        self.assertEqual(self.members(one)["last_live"], 2)
        self.assertEqual(one.get("/").body, b"hello")
        said = self.disable(one)
        self.assertEqual(said["outcome"], "here_only")
        self.assertEqual(self.kinds(one), ["disable"])
        self.assertEqual(self.words(one)["state"]["pending"], 1)
        self.shared.go_on()
        one.wait_log("farm: the other nodes are seen again", mark, 2 * SEEN)
        self.wait_live(2, [one, two], 2 * SEEN)
        wait_until(lambda: self.kinds(two) == ["disable"], 2 * SEEN, "the word at the other node")
        wait_until(lambda: self.words(one)["state"]["pending"] == 0, SEEN, "nothing waits")
        self.assertEqual(len(re.findall("cannot be seen", one.log()[mark:])), 1)


class Words(MembersCase):
    def state_dir(self):
        folder = tempfile.TemporaryDirectory(prefix="weir-test-state-")
        self.addCleanup(folder.cleanup)
        return folder.name

    def test_words_are_in_force_everywhere_and_outlive_all_nodes(self):
        self.begin(2)
        one, two = self.nodes
        self.disable(one, for_s=3600)
        wait_until(lambda: self.kinds(two) == ["disable"], SEEN, "the word at the other node")
        wait_until(lambda: two.get("/").status == 503, SEEN, "nobody is asked")
        self.kill(one)
        self.kill(two)
        again = self.node(self.settings_of("n0"))
        self.assertEqual(self.kinds(again), ["disable"])
        word = self.words(again)["words"][0]
        self.assertEqual((word["author"], word["reason"]), ("tester", "a test"))
        self.assertTrue(3000 < word["left_s"] <= 3600, word)
        self.disable(again, kind="nothing")
        wait_until(lambda: again.get("/").status == 200, SEEN, "it is asked again")

    def test_words_of_a_node_alone_are_in_its_folder(self):
        folder = self.state_dir()
        self.site = self.origin(lambda x: x.reply(200, body=b"hello"))
        node = self.front(self.site, node={"id": "alone", "state_dir": folder, "workers": 1})
        self.assertEqual(os.listdir(folder), [], "without words there is no file")
        self.disable(node)
        path = os.path.join(folder, "words.json")
        wait_until(lambda: os.path.exists(path), SEEN, "a file")
        self.kill(node)
        again = self.front(self.site, node={"id": "alone", "state_dir": folder, "workers": 1})
        self.assertEqual(self.kinds(again), ["disable"])
        self.assertEqual(again.get("/").status, 503)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.kill(again)
        with open(path, "w") as f:
            f.write("{")
        third = self.front(self.site, node={"id": "alone", "state_dir": folder, "workers": 1})
        self.assertIn("makes no sense", third.log())
        self.assertTrue(os.path.exists(path + ".bad"))
        self.assertEqual(third.get("/").status, 200)

    def test_a_node_that_starts_while_redis_is_away_knows_its_words(self):
        folder = self.state_dir()
        self.begin(1)
        node = self.another("keeper", state_dir=folder)
        self.disable(node)
        path = os.path.join(folder, "words.json")
        wait_until(lambda: os.path.exists(path), SEEN, "a file")
        self.kill(node)
        self.shared.kill()
        again = self.another("keeper", state_dir=folder)
        self.assertEqual(self.kinds(again), ["disable"])
        self.assertEqual(again.get("/").status, 503)


class Clocks(MembersCase):
    """A host whose clock is wrong: it is told, and nothing else comes of it."""

    def setUp(self):
        if not os.path.exists(FAKETIME):
            self.skipTest("libfaketime is not installed: tools/deps test")
        if sanitizer():
            self.skipTest("libfaketime and sanitizers do not go together")

    def faked(self, name, when):
        """A node whose clock is what the file says."""
        handle, path = tempfile.mkstemp(prefix="weir-test-time-")
        os.write(handle, when.encode())
        os.close(handle)
        self.addCleanup(os.unlink, path)
        node = Node(self.settings_of(name), environment={
            "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"})
        self.addCleanup(node.stop)
        return node.start(), path

    def test_a_clock_that_is_wrong_and_is_set_while_the_node_runs(self):
        self.begin(2)
        one, two = self.nodes
        wrong, path = self.faked("wrong", "-3600")
        every = [one, two, wrong]
        self.wait_live(3, every)
        wrong.wait_log("this host's clock is 3[56][0-9]{5} ms behind")
        self.assertAlmostEqual(self.members(wrong)["skew_ms"], -3600000, delta=5000)
        self.assertLess(abs(self.members(one)["skew_ms"]), 2000)
        said = self.disable(wrong, for_s=3600)
        self.assertEqual(said["outcome"], "said")
        wait_until(lambda: self.kinds(one) == ["disable"], SEEN, "a word of the node with the wrong clock")
        self.assertTrue(3500 < self.words(one)["words"][0]["left_s"] <= 3600)
        self.disable(two, kind="nothing")
        wait_until(lambda: self.kinds(wrong) == [], SEEN, "a later word of another node")
        with open(path, "w") as f:
            f.write("+7200")
        wait_until(lambda: self.members(wrong)["skew_ms"] > 7000000, SEEN, "the new clock")
        end = time.monotonic() + LIVE + 2
        while time.monotonic() < end:
            for node in every:
                self.assertEqual(self.members(node)["live"], 3)
            time.sleep(0.1)  # nobody may be missing at any time
        with open(path, "w") as f:
            f.write("+0")
        wrong.wait_log("this host's clock is right again")
        self.assertEqual(wrong.get("/").body, b"hello")
