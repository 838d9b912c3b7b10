"""Redis says wrong things of who has which keys, and pushes what nobody asked for: clients get the right pages."""
import itertools
import random
import socket
import unittest

from lib.between import Between, hang
from lib.case import table
from lib.fake_redis import SILENCE
from lib.hostile import FILES, Hostile, NOISE, errors
from lib.load import Load, page
from lib.ports import LOOPBACK
from lib.resp import reply
from lib.wait import wait_until

TAKES = 40  # seconds, most of them waits: the runner begins with it


# ---- maps that are wrong ----

SLOTS = 16384


def whole(*node):
    """All slots are of that node: [host, port, id ...]."""
    return [[0, SLOTS - 1, list(node)]]


@table
class Maps(Hostile):
    """CLUSTER SLOTS answers that are no map, or not the right one: asked for by new connections and after errors."""
    rows = {
        "no range at all": (lambda b: [],),
        "half of the slots": (lambda b: [[0, 8191, [b.host, b.port, "x"]]],),
        "ranges that overlap": (lambda b: [[0, 9000, [b.host, b.port, "x"]], [8000, SLOTS - 1, [b.host, 1, "y"]]],),
        "the same range twice": (lambda b: whole(b.host, b.port) * 2,),
        "a range that ends before it begins": (lambda b: [[100, 0, [b.host, b.port, "x"]]],),
        "slots that do not exist": (lambda b: [[0, 2 ** 40, [b.host, b.port, "x"]]],),
        "negative slots": (lambda b: [[-5, SLOTS - 1, [b.host, b.port, "x"]]],),
        "slots in words": (lambda b: [["zero", "all", [b.host, b.port, "x"]]],),
        "a range without a node": (lambda b: [[0, SLOTS - 1]],),
        "a node that is none": (lambda b: [[0, SLOTS - 1, 7]],),
        "an address that is none": (lambda b: whole(None, None),),
        "a host of a kilobyte": (lambda b: whole("h" * 1000, b.port),),
        "a host with control characters": (lambda b: whole("a\r\nb", b.port),),
        "an unknown host": (lambda b: whole("?", b.port),),
        "no host": (lambda b: whole(None, b.port),),
        "an empty host": (lambda b: whole("", b.port),),
        "port 0": (lambda b: whole(b.host, 0),),
        "port 70000": (lambda b: whole(b.host, 70000),),
        "an IPv6 address where nobody listens": (lambda b: whole("::1", 1),),
        "a name that does not exist": (lambda b: whole("nowhere.invalid", b.port),),
        "somebody who refuses": (lambda b: whole(b.host, 1),),
        "replicas that refuse": (lambda b: [[0, SLOTS - 1, [b.host, b.port, "x"]] + [[b.host, n, "r"] for n in range(1, 9)]],),
        "itself as its own replica": (lambda b: [[0, SLOTS - 1] + [[b.host, b.port, "x"]] * 5],),
        "a replica that is none": (lambda b: [[0, SLOTS - 1, [b.host, b.port, "x"], 7]],),
        "a thousand masters": (lambda b: [[n * 16, n * 16 + 15, [b.host, 1 + n, "x"]] for n in range(1000)],),
        "more masters than can be": (lambda b: [[n, n, [b.host, 1 + n, "x"]] for n in range(SLOTS)],),
        "a range for each slot": (lambda b: [[n, n, [b.host, b.port, "x"]] for n in range(SLOTS)],),
        "another one each time": (None,),
    }

    def row(self, wrong):
        self.start_nodes()
        dice = random.Random(1)

        def changing(_):
            return [[n * 1024, n * 1024 + 1023, [LOOPBACK, dice.choice([self.between.port, dice.randrange(1, 1024)]), "x"]]
                    for n in range(16)]
        answer = changing if wrong is None else wrong(self.between)
        with self.load as load:
            asked = self.between.count("CLUSTER SLOTS")
            self.between.on("CLUSTER SLOTS", answer)
            for _ in range(3):
                self.between.cut_all()
                load.go_on(60)
            self.between.wait_count(asked + 1, "CLUSTER SLOTS")
            self.between.off("CLUSTER SLOTS")
            self.wait_shares()
        self.judge()

    def test_a_node_that_starts_with_it(self):
        """No map is known yet: the node starts all the same, and works for itself."""
        for answer in ([], whole("?", 1), whole(LOOPBACK, 1), NOISE, SILENCE, hang()):
            with self.subTest(answer):
                self.between.on("CLUSTER SLOTS", answer)
                node, = self.farm(self.between, self.site, 1)
                path = "/probe/%d" % next(self.numbers)
                self.assertEqual(node.get(path).body, page(path))
                self.assertTrue(node.get(path).hit)


class Redirections(Hostile):
    def test_each_answer_sends_somewhere_else(self):
        """Neither nodes nor connections are gathered without end."""
        self.start_nodes()
        self.load = Load(self.nodes, threads=14, slow=self.load.slow)
        numbers = itertools.count(1)
        port = self.black_hole()[1]
        most = 0
        with self.load as load:
            for word in ("MOVED", "ASK"):
                for address in ("127.0.0.1:{1}", "127.1.{0}.1:%d" % port, "n{1}.invalid:1"):
                    self.between.on("*", lambda c: errors(("%s %d " + address) % (word, next(numbers) % SLOTS)).replace(
                        b"{0}", b"%d" % (next(numbers) % 250)).replace(b"{1}", b"%d" % next(numbers)))
                    for _ in range(10):
                        load.go_on(100)
                        most = max([most] + [n.open_files() - files for n, (_, files) in zip(self.nodes, self.sizes)])
            self.between.off("*")
        self.wait_shares()  # without so many clients: the one in between is slow
        self.assertLess(most, 3 * 33, "connections of three threads to 32 nodes")
        wait_until(lambda: all(n.open_files() < files + FILES for n, (_, files) in zip(self.nodes, self.sizes)), 30,
                   "what was opened is closed")
        self.judge()

    def black_hole(self):
        """The address of a listener that never answers, with a full backlog: connecting takes for ever."""
        hole = socket.socket()
        self.addCleanup(hole.close)
        hole.bind(("0.0.0.0", 0))
        hole.listen(0)
        for _ in range(4):
            f = socket.socket()
            self.addCleanup(f.close)
            f.setblocking(False)
            f.connect_ex((LOOPBACK, hole.getsockname()[1]))
        return LOOPBACK, hole.getsockname()[1]

    def test_a_black_hole(self):
        self.start_nodes()
        hole = self.black_hole()
        with self.load as load:
            for word in ("MOVED", "ASK"):
                self.between.on("*", errors("%s 1 %s:%d" % ((word,) + hole)))
                load.go_on(200)
            self.between.off("*")
            self.wait_shares()
        self.judge()

    def test_two_that_send_to_each_other(self):
        other = Between(self.server)
        self.addCleanup(other.stop)
        self.start_nodes()
        with self.load as load:
            for word in ("MOVED", "ASK"):
                self.between.on("*", errors("%s 1 %s" % (word, other.endpoint)))
                other.on("*", errors("%s 1 %s" % (word, self.between.endpoint)))
                load.go_on(200)
            for b in (self.between, other):
                b.off("*")
            self.wait_shares()
        self.judge()


class Pushes(Hostile):
    def test_subscribers_hear_what_nobody_said(self):
        """Hints are hints: noise in them, floods of them and ends of subscriptions change nothing for clients."""
        self.start_nodes()
        names = []

        def confirm_and_flood(c):
            names.append(c.args[1])
            c.send(reply([b"ssubscribe", c.args[1], 1]))
            for _ in range(200):
                c.send(reply([b"smessage", c.args[1], NOISE]) + reply([b"smessage", b"other", b"1"]) +
                       reply([b"smessage", c.args[1]]) + reply([b"smessage", c.args[1], None]) +
                       reply([b"smessage", c.args[1], b"9" * 30]) + reply([b"smessage", [], [b"x"]]))
            c.send(reply([b"sunsubscribe", c.args[1], 0]))
            return SILENCE
        with self.load as load:
            self.between.on("SSUBSCRIBE", confirm_and_flood)
            self.between.cut_all()
            load.go_on(200)
            wait_until(lambda: len(names) > 3, what="subscriptions are tried again")
            self.between.off("SSUBSCRIBE")
            self.wait_shares()
        self.judge()


if __name__ == "__main__":
    unittest.main()
