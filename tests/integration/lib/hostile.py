"""Nodes of a farm with a Redis that is spoilt on the way to them: see lib/between.py."""
import itertools
import random

from .between import Between
from .farm import FarmCase
from .load import Load, origin_handler, page
from .node import sanitizer
from .redis_server import RedisServer
from .resp import RedisError, reply
from .wait import wait_until

RETURN = 30      # seconds until a node trusts a Redis that has come back: its breakers wait up to 10 s
GROWTH = 96 << 20  # bytes a node may grow by while it is lied to: a few of the largest replies it takes
FILES = 60       # descriptors it may have more than before
NOISE = random.Random(7).randbytes(3000)


def errors(text):
    return reply(RedisError(text))


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
