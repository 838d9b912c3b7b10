"""Redis tells every lie there is, and what it keeps is damaged in every way: clients get the right pages all the while,
nothing grows without end, and the nodes share again once Redis is honest."""
import itertools
import os
import random
import re
import socket
import threading
import unittest

from lib import ctl
from lib.between import Between, cut, half_then, hang, slowly, spoilt
from lib.case import table
from lib.fake_redis import CLOSE, SILENCE
from lib.farm import FarmCase
from lib.load import Load, origin_handler, page
from lib.node import sanitizer
from lib.origin import RawListener
from lib.ports import LOOPBACK, free_port
from lib.redis_server import RedisServer
from lib.resp import NilArray, RedisError, Status, reply
from lib.tls_files import TlsFiles
from lib.wait import wait_until

RETURN = 30      # seconds until a node trusts a Redis that has come back: its breakers wait up to 10 s
GROWTH = 96 << 20  # bytes a node may grow by while it is lied to: a few of the largest replies it takes
FILES = 60       # descriptors it may have more than before


class Hostile(FarmCase):
    numbers = itertools.count(200000, 4)

    @classmethod
    def setUpClass(cls):
        cls.server = RedisServer()
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()

    def setUp(self):
        self.server.call("FLUSHALL")
        self.site = self.origin(origin_handler())
        self.between = Between(self.server)
        self.addCleanup(self.between.stop)

    def start_nodes(self, count=2, **farm):
        self.nodes = self.farm(self.between, self.site, count, cache={"memory": "2MiB"},
                               farm=self.farm_of(self.between, **farm))
        self.load = Load(self.nodes, slow=20 if sanitizer() else 4)
        self.wait_shares()
        self.sizes = [(n.rss(), n.open_files()) for n in self.nodes]

    def shares(self):
        """Does one node get from Redis what the other one has fetched?"""
        path = "/probe/%d" % next(self.numbers)
        a, b = self.nodes[0].get(path), self.nodes[1].get(path)
        self.assertEqual((a.status, b.status), (200, 200))
        self.assertEqual((a.body, b.body), (page(path), page(path)))
        return self.site.count(path) == 1

    def wait_shares(self):
        wait_until(self.shares, RETURN, "the nodes share again")

    def judge(self):
        self.assertEqual(self.load.faults[:5], [])
        self.assertEqual(self.between.errors[:5], [])
        for node, (rss, files) in zip(self.nodes, self.sizes):
            self.assertTrue(node.running)
            self.assertLess(node.open_files(), files + FILES)
            if not sanitizer():
                self.assertLess(node.rss(), rss + GROWTH)


# ---- answers that are wrong ----

WRITES = ("EVALSHA", "EVAL", "SET", "SPUBLISH")
GREETINGS = ("PING", "CLIENT SETNAME")
SUBSCRIPTIONS = ("SSUBSCRIBE", "SUNSUBSCRIBE")
FEW = (WRITES, ("*",))  # for answers after which a node waits long before it trusts again
NOISE = random.Random(7).randbytes(3000)
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


def errors(text):
    return reply(RedisError(text))


@table
class Answers(Hostile):
    """One answer to each kind of command, one kind after the other."""
    kinds = (("GET",), WRITES, ("CLUSTER SLOTS",), SUBSCRIPTIONS, GREETINGS, ("*",))
    rows = {
        "a status": (b"+OK\r\n",),
        "an empty status": (b"+\r\n",),
        "an integer": (b":1\r\n",),
        "a negative integer": (b":-9223372036854775808\r\n",),
        "an integer too large": (b":99999999999999999999999999\r\n",),
        "nil": (b"$-1\r\n",),
        "a nil array": (b"*-1\r\n",),
        "an empty array": (b"*0\r\n",),
        "an empty bulk": (b"$0\r\n\r\n",),
        "a bulk of noise": (reply(NOISE),),
        "a large bulk of noise": (reply(NOISE * 200),),
        "an array of everything": (reply([None, 1, "x", Status("OK"), RedisError("ERR no"), [[]], NilArray]),),
        "an array of two integers": (reply([1, 2]),),
        "a lease of another that never ends": (reply([0, 2 ** 62]),),
        "an array of nils": (reply([None] * 100),),
        "a deep array": (b"*1\r\n" * 7 + b":1\r\n",),
        "a bottomless array": (b"*1\r\n" * 100000,),
        "a broad array": (b"*1000000\r\n" + b":1\r\n" * 1000000,),
        "an array of 2^31 elements": (b"*2147483648\r\n",),
        "an array of 2^31 - 1 elements, never sent": (hang(b"*2147483647\r\n"),),
        "an array of minus two elements": (b"*-2\r\n",),
        "a bulk of 2 GB, never sent": (hang(b"$2147483647\r\nabc"),),
        "a bulk of 15 MB, never sent": (hang(b"$15000000\r\nabc"),),
        "a bulk of 15 MB": (b"$15000000\r\n" + bytes(15000000) + b"\r\n",),
        "a bulk of 2^64 bytes": (b"$18446744073709551616\r\nabc\r\n",),
        "a bulk of minus five bytes": (b"$-5\r\nabc\r\n",),
        "a bulk of no number of bytes": (b"$abc\r\nabc\r\n",),
        "a bulk longer than announced": (b"$3\r\nabcdef\r\n",),
        "a bulk shorter than announced": (b"$9\r\nabc\r\n",),
        "RESP3": (b"%1\r\n+a\r\n:1\r\n_\r\n#t\r\n,1.5\r\n(123\r\n=5\r\ntxt:a\r\n>1\r\n+x\r\n",),
        "noise": (NOISE,),
        "HTTP": (HTTP,),
        "a TLS alert": (TLS_ALERT,),
        "a line without end": (b"+" + b"a" * 4000000,),
        "a number without end": (b"$" + b"1" * 4000000,),
        "blank lines": (b"\r\n" * 1000,),
        "zeros": (bytes(1000000),),
        "silence": (SILENCE,),
        "a hang": (hang(),),
        "the end": (CLOSE,),
        "a beginning and the end": (cut(b"$100\r\nabc"),),
        "a beginning and silence": (hang(b"*3\r\n$100\r\nabc"),),
        "half of the right answer and the end": (half_then(cut),),
        "half of the right answer and silence": (half_then(hang),),
        "the right answer, byte by byte": (slowly(1),),
        "the right answer twice": (spoilt(lambda right: right * 2),),
        "the right answer, and one that nobody asked for": (spoilt(lambda right: right + b"$-1\r\n"),),
        "one that nobody asked for, and the right answer": (spoilt(lambda right: b"+OK\r\n" + right),),
        "a push before the right answer": (spoilt(lambda right: reply(["smessage", "w1:x", "y"]) + right),),
        "a push of invalidations": (spoilt(lambda right: reply(["message", "__redis__:invalidate", None]) + right),),
        "half of the answers missing": ("every other",),
        "the answer to the command before": ("delayed",),
        "MOVED to itself": (lambda c: errors("MOVED 1 %s" % c.fake.endpoint),),
        "MOVED to nowhere": (errors("MOVED 1 127.0.0.1:1"),),
        "MOVED without a target": (errors("MOVED"),),
        "MOVED to no slot": (errors("MOVED 16384 127.0.0.1:1"),),
        "MOVED to no port": (errors("MOVED 1 127.0.0.1:99999"),),
        "MOVED to the same host": (errors("MOVED 1 :1"),),
        "MOVED to an IPv6 address": (errors("MOVED 1 ::1:1"),),
        "MOVED to a name that does not exist": (errors("MOVED 1 nowhere.invalid:6379"),),
        "ASK itself": (lambda c: errors("ASK 1 %s" % c.fake.endpoint),),
        "ASK nobody": (errors("ASK 1 127.0.0.1:1"),),
        "TRYAGAIN": (errors("TRYAGAIN Multiple keys request during rehashing of slot"),),
        "CLUSTERDOWN": (errors("CLUSTERDOWN The cluster is down"),),
        "LOADING": (errors("LOADING Redis is loading the dataset in memory"),),
        "MASTERDOWN": (errors("MASTERDOWN Link with MASTER is down"),),
        "BUSY": (errors("BUSY Redis is busy running a script."),),
        "READONLY": (errors("READONLY You can't write against a read only replica."),),
        "NOSCRIPT": (errors("NOSCRIPT No matching script."),),
        "OOM": (errors("OOM command not allowed when used memory > 'maxmemory'."),),
        "NOAUTH": (errors("NOAUTH Authentication required."), FEW),
        "NOPERM": (errors("NOPERM this user has no permissions"), FEW),
        "WRONGPASS": (errors("WRONGPASS invalid username-password pair"), FEW),
        "MISCONF": (errors("MISCONF Redis is configured to save RDB snapshots"),),
        "NOREPLICAS": (errors("NOREPLICAS Not enough good replicas to write."),),
        "too many clients": (cut(errors("ERR max number of clients reached")),),
        "CROSSSLOT": (errors("CROSSSLOT Keys in request don't hash to the same slot"),),
        "WRONGTYPE": (errors("WRONGTYPE Operation against a key holding the wrong kind of value"),),
        "an error without words": (b"-\r\n",),
        "an error with control characters": (b"-ERR \x1b[31m\nfake line\x00\xff\r\n",),
        "an error of a megabyte": (b"-ERR " + b"x" * 1000000 + b"\r\n",),
    }

    def row(self, answer, kinds=kinds):
        self.start_nodes()
        if isinstance(answer, str):
            answer = self.delayed() if answer == "delayed" else self.every_other()
        with self.load as load:
            for names in kinds:
                with self.subTest(names):
                    heard = self.heard(names)
                    for name in names:
                        self.between.on(name, answer)
                    if names[0] not in ("GET", "EVALSHA"):
                        self.between.cut_all()  # the rest is asked by new connections
                    self.server.call("FLUSHALL")
                    load.go_on(40)
                    wait_until(lambda: self.heard(names) > heard, what="%s is asked" % (names,))
                    for name in names:
                        self.between.off(name)
                    self.wait_shares()
        self.judge()

    def heard(self, names):
        return sum(self.between.count(None if name == "*" else name) for name in names)

    @staticmethod
    def every_other():
        counter = itertools.count()
        return lambda c: c.fake.usual(c) if next(counter) % 2 else SILENCE

    @staticmethod
    def delayed():
        """Answers one place off: a node that believed them would serve one page for another."""
        last = {}

        def answer(c):
            before = last.get(c.connection, b"$-1\r\n")
            last[c.connection] = c.fake.usual(c)
            return before
        return answer


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
        wait_until(lambda: all(n.open_files() < files + FILES for n, (_, files) in zip(self.nodes, self.sizes)), 20,
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


# ---- what lies in Redis is damaged ----

def flip(value, dice):
    value = bytearray(value)
    for _ in range(dice.choice((1, 1, 3)) if value else 0):
        value[dice.randrange(len(value))] ^= 1 << dice.randrange(8)
    return bytes(value)


def flip_head(value, dice):
    value = bytearray(value or b"x")
    value[dice.randrange(min(64, len(value)))] ^= 1 << dice.randrange(8)
    return bytes(value)


def replaced(at, by):
    return lambda value, dice: value[:at] + by + value[at + len(by):]


def is_text(key):
    return not key.endswith((":f", ":l"))


@table
class Damage(Hostile):
    """Every string that one node has stored is changed; what another one serves is right."""
    rows = {
        "flipped bits": (flip,),
        "flipped bits near the front": (flip_head,),
        "cut short": (lambda value, dice: value[:dice.randrange(len(value) or 1)],),
        "one byte short": (lambda value, dice: value[:-1],),
        "nothing": (lambda value, dice: b"",),
        "one byte more": (lambda value, dice: value + b"x",),
        "twice": (lambda value, dice: value * 2,),
        "noise": (lambda value, dice: dice.randbytes(len(value)),),
        "zeros": (lambda value, dice: bytes(len(value)),),
        "an older version": (replaced(4, b"\0\0"),),
        "a newer version": (replaced(4, b"\xff\x7f"),),
        "another magic": (replaced(0, b"WRC9"),),
        "a head of 4 GB": (replaced(8, b"\xff\xff\xff\xff"),),
    }

    def setUp(self):
        super().setUp()
        self.start_nodes()
        self.dice = random.Random(5)

    def row(self, change):
        self.store()
        for key in filter(is_text, self.keys("string")):
            self.server.call("SET", key, change(self.server.call("GET", key), self.dice), "KEEPTTL")
        self.all_right()

    def keys(self, kind):
        return [k for k in self.server.keys("w1:*") if self.server.call("TYPE", k) == kind]

    def store(self, count=24):
        """Pages of all sizes that the first node has stored, and the second has not seen."""
        self.paths = ["/load/%d" % n for n in range(1000, 1000 + count)]
        before = len(self.keys("string"))
        for path in self.paths:
            self.assertEqual(self.nodes[0].get(path).body, page(path))
        wait_until(lambda: len([k for k in self.keys("string") if is_text(k)]) >= before + count, what="stored")

    def all_right(self):
        """From a node with nothing in its memory, and from one that has been running."""
        fresh, = self.farm(self.between, self.site, 1)
        for node in (self.nodes[1], fresh, self.nodes[1]):
            for path in self.paths:
                r = node.get(path)
                self.assertEqual((r.status, r.body == page(path)), (200, True), path)
        self.wait_shares()
        self.judge()

    def test_records_of_each_other(self):
        """What belongs to one page lies under the keys of another."""
        self.store()
        for ending in (":m", ":c"):
            keys = [k for k in self.keys("string") if k.endswith(ending)]
            values = [self.server.call("GET", k) for k in keys]
            self.assertGreater(len(keys), 3)
            for key, value in zip(keys, values[1:] + values[:1]):
                self.server.call("SET", key, value)
        self.all_right()

    def test_chunks_of_another_place(self):
        """Chunks of one body in another order, and those of another body of the same size."""
        self.store()
        bodies = {}
        for key in self.keys("string"):
            if key.endswith(":c"):
                bodies.setdefault(key.split("{")[1].split(".")[0], []).append(key)
        self.assertGreater(len(bodies), 3)
        for keys in bodies.values():
            values = [self.server.call("GET", k) for k in keys]
            for key, value in zip(keys, reversed(values)):
                self.server.call("SET", key, value)
        self.all_right()

    def test_chunks_that_are_gone(self):
        self.store()
        for key in self.keys("string"):
            if key.endswith(":c") and self.dice.random() < 0.5:
                self.server.call("DEL", key)
        self.all_right()

    def test_values_of_other_kinds(self):
        """A list, a hash, a set, a stream under keys of strings; a string where a hash or a stream should be."""
        self.store()
        makers = (("RPUSH", "x"), ("HSET", "f", "x"), ("SADD", "x"), ("XADD", "*", "b", "x"), ("ZADD", "1", "x"))
        for n, key in enumerate(self.server.keys("w1:*")):
            was = self.server.call("TYPE", key)
            self.server.call("DEL", key)
            maker = makers[n % len(makers)] if was == "string" else ("SET", "a string")
            self.server.call(maker[0], key, *maker[1:])
        self.all_right_after_a_flush()

    def test_leases_that_are_no_leases(self):
        """Under the names of leases and fences of pages that nobody has fetched yet."""
        self.store(count=4)
        bases = [k[:-2] for k in self.keys("string") if k.endswith(":m")]
        for wrong in (("SET", "x"), ("HSET", "o", "somebody"), ("HSET", "f", "x"), ("RPUSH", "x")):
            for base in bases:
                for ending in (":l", ":f"):
                    self.server.call("DEL", base + ":m", base + ending)
                    self.server.call(wrong[0], base + ending, *wrong[1:])
            fresh, = self.farm(self.between, self.site, 1)
            for path in self.paths:
                self.assertEqual(fresh.get(path).body, page(path))
        self.all_right_after_a_flush()

    def all_right_after_a_flush(self):
        for path in self.paths:
            self.assertEqual(self.nodes[1].get(path).body, page(path))
        self.server.call("FLUSHALL")
        self.all_right()


# ---- TLS ----

class Tls(Hostile):
    def one(self, redis, **tls):
        """A node with that Redis, which does not let it in: it says so once, works, and shows it."""
        node, = self.farm(redis, self.site, 1, farm=self.farm_of(redis, **tls))
        for n in range(20):
            path = "/probe/%d" % next(self.numbers)
            self.assertEqual(node.get(path).body, page(path))
        return node

    def told(self, node, level, reason):
        node.wait_log(r"%s redis: .*%s" % (level, reason))
        self.assertEqual(len(re.findall(r"%s redis: " % level, node.log())), 1, node.log())
        wait_until(lambda: re.search(reason, str(node.admin("GET", "/v1/redis")[1]["endpoints"][0].get("trouble"))),
                   what="it is shown to operators")
        shown = ctl.weirctl("redis", node=node)
        self.assertRegex(shown.stdout, reason)
        self.assertNotEqual(shown.returncode, 0)

    def setUp(self):
        super().setUp()
        self.secured = self.redis(tls=True)

    def tls(self, **keys):
        return {"tls": dict({"enabled": True, "ca_file": self.secured.tls.ca}, **keys)}

    def test_another_ca(self):
        other = TlsFiles(os.path.join(self.secured.dir, "other"))
        self.told(self.one(self.secured, **self.tls(ca_file=other.ca)), "error", "certificate: ")

    def test_another_name(self):
        self.told(self.one(self.secured, **self.tls(server_name="other.example")), "error", "[Hh]ostname mismatch")

    def test_a_server_without_tls(self):
        self.told(self.one(self.server, **self.tls()), "error", "TLS")

    def test_a_server_that_wants_tls(self):
        node = self.one(self.secured)
        self.told(node, "info", "does that port want TLS")

    def test_a_server_that_wants_a_certificate(self):
        strict = self.redis(tls=self.secured.tls, client_certificates=True)
        self.told(self.one(strict, **self.tls()), "error", "certificate")

    def test_a_server_that_is_silent_in_the_handshake(self):
        silent = RawListener(lambda sock: sock.recv(1 << 16) and threading.Event().wait(5))
        self.addCleanup(silent.close)
        silent.endpoint = "%s:%d" % silent.address
        self.told(self.one(silent, **dict(self.tls(), connect_timeout="200ms")), "error",
                  "no TLS handshake in time")


# ---- what the log says ----

class Log(Hostile):
    def test_a_start_is_one_line(self):
        node, = self.farm(self.between, self.site, 1, node={"workers": 4})
        self.assertEqual(node.get("/probe/%d" % next(self.numbers)).status, 200)
        wait_until(lambda: node.admin("GET", "/v1/redis")[1]["endpoints"][0]["ports_ready"] == 5, what="all are there")
        lines = [line for line in node.log().splitlines() if " redis" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("redis: cluster of 1 shard, all slots covered", lines[0])

    def test_an_outage_is_a_few_lines(self):
        self.start_nodes()
        marks = [n.mark() for n in self.nodes]
        with self.load as load:
            for _ in range(3):
                self.between.stop()
                load.go_on(1000)
                self.between.start()
                self.wait_shares()
        self.judge()
        for node, mark in zip(self.nodes, marks):
            lines = [line for line in node.log()[mark:].splitlines() if " redis" in line]
            self.assertIn("is out of use", "\n".join(lines))
            self.assertLess(len(lines), 16, lines)


if __name__ == "__main__":
    unittest.main()
