"""What lies in Redis is damaged, its TLS is not what it should be: nothing wrong is served, and it is said once."""
import itertools
import os
import random
import re
import threading
import unittest

from lib import ctl
from lib.case import table
from lib.hostile import Hostile
from lib.load import page
from lib.origin import RawListener
from lib.tls_files import TlsFiles
from lib.wait import NotInTime, wait_until

TAKES = 28  # seconds, most of them waits: the runner begins with it
PATIENCE = 2  # seconds until a page that is neither stored nor given up was fetched without a look at Redis


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
        self.next_page = itertools.count(1000)

    def row(self, change):
        self.store()
        for key in filter(is_text, self.keys("string")):
            self.server.call("SET", key, change(self.server.call("GET", key), self.dice), "KEEPTTL")
        self.all_right()

    def keys(self, kind):
        return [k for k in self.server.keys("w1:*") if self.server.call("TYPE", k) == kind]

    def store(self, count=24):
        """Pages of all sizes that the first node has stored, and the second has not seen. On a busy machine Redis may
        not answer within cache.shared.head_timeout, or be left alone for a while: what is fetched then is not shared,
        by design, and another page takes its place."""
        self.paths = []
        while len(self.paths) < count:
            path = "/load/%d" % next(self.next_page)
            before, given_up = self.records(), self.given_up()
            self.assertEqual(self.nodes[0].get(path).body, page(path))
            try:
                wait_until(lambda: self.records() > before or self.given_up() > given_up, PATIENCE)
            except NotInTime:
                continue
            if self.records() > before:
                self.paths.append(path)

    def records(self):
        return len(self.server.keys("w1:*:m"))

    def given_up(self):
        return sum(self.nodes[0].metric("shared_%s_total" % name) for name in ("errors", "store_failures"))

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
