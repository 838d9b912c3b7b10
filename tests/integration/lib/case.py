"""The base of every test case: nodes and origins that are stopped and judged when the test ends."""
import unittest

from . import node as nodes
from .client import Client
from .fake_redis import FakeRedis
from .origin import Origin, RawListener
from .redis_cluster import RedisCluster
from .redis_server import RedisServer


class NodeCase(unittest.TestCase):
    """A node and an origin for each test. See SharedNodeCase for tables of requests against one node."""
    longMessage = True
    maxDiff = 4000

    def origin(self, handler=None, **kw):
        origin = Origin(handler, **kw)
        self.addCleanup(self._end_origin, origin)
        return origin

    def raw_listener(self, handle):
        listener = RawListener(handle)
        self.addCleanup(listener.close)
        return listener

    def redis(self, *args, **kw):
        """A plain Redis server, ended after the test."""
        server = RedisServer(*args, **kw)
        self.addCleanup(server.stop)
        return server.start()

    def redis_cluster(self, *args, **kw):
        cluster = RedisCluster(*args, **kw)
        self.addCleanup(cluster.stop)
        return cluster.start()

    def fake_redis(self, *args, **kw):
        fake = FakeRedis(*args, **kw)
        self.addCleanup(self._end_origin, fake)
        return fake

    def _end_origin(self, origin):
        origin.stop()
        if origin.errors:
            raise origin.errors[0]

    def node(self, config=None, **kw):
        """Starts a node; it is stopped and judged after the test, before its origins go."""
        node = nodes.Node(config, **kw)
        self.addCleanup(node.stop)
        return node.start()

    def front(self, origin, routes=None, upstream=None, files=None, **top):
        """A node before one origin (or a list of them), with keys for its upstream and the top level."""
        return self.node(nodes.settings([nodes.upstream(origin, **(upstream or {}))], routes, **top), files=files)

    def client(self, node, **kw):
        client = Client(node.address, **kw)
        self.addCleanup(client.close)
        return client

    def skip_under_sanitizers(self):
        if nodes.sanitizer():
            self.skipTest("sizes and times mean nothing under sanitizers")

    def assert_status(self, response, status):
        self.assertEqual(response.status, status, response)


class SharedNodeCase(NodeCase):
    """One node and one origin for all tests of the class: for tables. `configure(origin)` gives the settings."""
    shared_origin = None
    shared_node = None

    @classmethod
    def configure(cls, origin):
        return nodes.settings(origin)

    @classmethod
    def setUpClass(cls):
        cls.shared_origin = Origin()
        cls.addClassCleanup(cls.shared_origin.stop)
        cls.shared_node = nodes.Node(cls.configure(cls.shared_origin))
        cls.addClassCleanup(cls.shared_node.stop)
        cls.shared_node.start()

    def tearDown(self):
        malformed, self.shared_origin.malformed = self.shared_origin.malformed, []
        self.assertEqual(malformed, [], "the origin was sent what is no HTTP")


def table(cls):
    """Class decorator: makes a test of every row of cls.rows, a dict from a sentence to a tuple, run by
    self.row(*tuple). So each row passes, fails and is counted by itself."""
    def make(arguments):
        return lambda self: self.row(*arguments)
    for sentence, arguments in cls.rows.items():
        name = "test_" + "".join(c if c.isalnum() else "_" for c in sentence)
        if hasattr(cls, name):
            raise ValueError("two rows are called %r" % sentence)
        test = make(arguments)
        test.__doc__ = sentence
        test.__name__ = name
        setattr(cls, name, test)
    return cls
