"""A Redis that is written to by somebody who means no good: members and words stay what nodes said, and operators are
answered all the while."""
import random
import signal
import time

from lib.farm import SECRET, FarmCase
from lib.sealed import Board, brief, number, seal_key, sealed
from lib.wait import wait_until

TAKES = 40  # seconds, most of them waits: the runner begins with it

NOISE = random.Random(5).randbytes(1000)
NO_IDS = ("\n", "a\nb/0000000000000001", "\x1b[31mred/0000000000000001", "\x9b", "x" * 250, "x" * 5000, "/", " ", "%s%n",
          "a/0000000000000000", "a/000000000000000g", "a" * 65 + "/0000000000000001")
NO_NOTES = (b"", b"0 0 ", b"-1 -1 x", b"nan inf x", NOISE, b"99999999999999999999 0 x",
            b"9007199254740991 9007199254740991 " + NOISE, b"1 0 " + bytes(70000))
RETURN = 40  # seconds, on a busy machine


class HostileBoards(FarmCase):
    def setUp(self):
        self.server = self.redis()
        self.site = self.origin()
        self.nodes = self.farm(self.server, self.site, 2)
        self.wait_live()
        self.boards = Board(self.server), Board(self.server, "B", "w")

    def members(self, node):
        return node.admin(path="/v1/farm")[1]["members"]

    def wait_live(self, count=2):
        wait_until(lambda: all(self.members(n)["live"] == count and self.members(n)["current"] for n in self.nodes),
                   RETURN, "%d members at each" % count)

    def wait_lost(self):
        wait_until(lambda: all(self.members(n)["lost"] for n in self.nodes), RETURN, "each goes on by itself")

    def wait_word(self, kind):
        """One node says it, the other one hears it."""
        status, answer = self.nodes[0].admin("POST", "/v1/words", {
            "target": "origin", "name": "app", "url": self.site.url, "kind": kind})
        self.assertEqual((status, answer["outcome"]), (200, "said"), answer)
        wait_until(lambda: [w["kind"] for w in self.nodes[1].admin(path="/v1/words")[1]["words"]] == [kind], RETURN,
                   "the word is heard")

    def test_entries_that_are_none_hide_nobody(self):
        for board in self.boards:
            self.wait_word("drain")  # so that there is a board
            for name in NO_IDS:
                for note in NO_NOTES:
                    self.server.call("HSET", board.key, name.encode("latin-1"), note)
        since = [self.members(n)["contact_ms"] for n in self.nodes]
        self.wait_word("disable")
        time.sleep(7)  # longer than anybody lives who is not seen
        for node, before in zip(self.nodes, since):
            members = self.members(node)
            self.assertEqual((members["live"], members["lost"]), (2, False), (members, before))
            self.assertNotIn("\x1b", node.log())

    def test_keys_of_another_type_make_nobody_forget_the_others(self):
        self.wait_word("drain")
        keys = [k for board in self.boards for k in (board.key, board.key + ":e")]
        for key in keys:
            self.server.call("DEL", key)
            self.server.call("LPUSH", key, "x")
        self.wait_lost()
        for node in self.nodes:
            self.assertEqual(self.members(node)["live"], 2)  # as many as there were last
            self.assertEqual(node.get("/").status, 503)      # and the word holds
        for key in keys:
            self.server.call("DEL", key)
        self.wait_live()
        self.wait_word("disable")

    def test_who_is_gone_is_not_brought_back_by_what_it_said(self):
        key, entry = seal_key(SECRET), "ghost/00000000000000aa"
        self.boards[0].put(entry, sealed(key, "member", entry, brief()))
        self.wait_live(3)
        self.wait_live(2)  # it says nothing new
        for _ in range(5):
            self.boards[0].put(entry, sealed(key, "member", entry, brief()))
            self.boards[0].hint(b"b" + bytes([len(entry)]) + entry.encode() + sealed(key, "member", entry, brief()))
            time.sleep(0.5)
            self.assertEqual([self.members(n)["live"] for n in self.nodes], [2, 2])

    def test_operators_are_answered_in_a_flood_of_hints_and_forged_entries(self):
        with self.server.connect() as redis:
            now = int(time.time() * 1000)
            for i in range(2000):
                for board in self.boards:
                    redis.call("HSET", board.key, "m%05d/%016x" % (i, i + 1), b"%d %d " % (now, now + 60000) + NOISE)
            until, slowest = time.monotonic() + 5, 0
            while time.monotonic() < until:
                for board in self.boards:
                    for _ in range(200):
                        redis.call("SPUBLISH", board.channel, NOISE[:100])
                began = time.monotonic()
                self.assertEqual(self.nodes[0].admin(path="/v1/ready")[0], 200)
                slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 2)
        self.wait_live()
        self.assertLess(self.nodes[0].log().count("\n"), 40, self.nodes[0].log()[-2000:])


class LastAnswers(FarmCase):
    """A node that is told to end tells who told it what became of that."""
    DRAIN = {"target": "node", "name": "", "kind": "drain"}

    def test_of_a_node_alone(self):
        for _ in range(5):
            node = self.front(self.origin())
            status, answer = node.admin("POST", "/v1/words", self.DRAIN)
            self.assertEqual((status, answer.get("outcome")), (200, "said"), answer)
            self.assertEqual(node.wait(), 0)

    def test_of_all_nodes_of_a_farm(self):
        nodes = self.farm(self.redis(), self.origin(), 2)
        wait_until(lambda: nodes[0].admin(path="/v1/farm")[1]["members"]["live"] == 2, RETURN, "they see each other")
        status, answer = nodes[0].admin("POST", "/v1/words", self.DRAIN)
        self.assertEqual((status, answer.get("outcome")), (200, "said"), answer)
        self.assertEqual([n.wait() for n in nodes], [0, 0])

    def test_of_a_node_whose_redis_says_nothing(self):
        server = self.redis()
        node, = self.farm(server, self.origin(), 1)
        wait_until(lambda: node.admin(path="/v1/farm")[1]["members"]["current"], RETURN, "it sees the farm")
        server.halt()
        status, answer = node.admin("POST", "/v1/words", self.DRAIN)
        self.assertEqual((status, answer.get("outcome")), (202, "here_only"), answer)
        self.assertEqual(node.wait(), 0)

    def test_signals_after_the_last_line_kill_nobody(self):
        for gap in (0, 0.003, 0.01, 0.02, 0.05):
            node = self.front(self.origin())
            while node.running:
                node.signal(signal.SIGTERM)
                time.sleep(gap)
            self.assertEqual(node.wait(), 0)


class Recorded(FarmCase):
    def test_what_dead_nodes_said_is_played_back_to_new_ones(self):
        """With a minute left out: what was sealed is sealed anew with an older time."""
        server = self.redis()
        node, = self.farm(server, self.origin(), 1)
        wait_until(lambda: node.admin(path="/v1/farm")[1]["members"]["current"], RETURN, "it sees the farm")
        key, board, entry = seal_key(SECRET), Board(server), "ghost/00000000000000aa"
        then = number(0x207, int(time.time() * 1000) - 120000)
        for sequence in range(1, 12):
            board.put(entry, sealed(key, "member", entry, brief(sequence, more=then)), 6)
            board.hint(b"l")
            time.sleep(0.3)
            self.assertEqual(node.admin(path="/v1/farm")[1]["members"]["live"], 1)
        now = number(0x207, int(time.time() * 1000))
        board.put(entry, sealed(key, "member", entry, brief(20, more=now)), 6)
        board.hint(b"l")
        wait_until(lambda: node.admin(path="/v1/farm")[1]["members"]["live"] == 2, RETURN, "who speaks now is a member")
