"""A farm whose nodes each live in a network namespace of their own, with one link to Redis, one to every origin and one
to the clients, each of which a test can cut. The namespaces and a Redis Cluster are made once for a class."""
import itertools

from . import node as nodes
from .farm import FarmCase
from .netns import Namespace
from .ports import free_port
from .redis_cluster import RedisCluster
from .wait import wait_until

ROUTES = [{"match": {"paths": ["= /ready"]}, "health": "ready"}, {"upstream": "app"}]

_farms = itertools.count()


class Island:
    """Where one node lives, and its ways out."""

    def __init__(self, number, origins, first=None):
        self.number = number
        self.namespace = Namespace()
        self.to_redis = self.namespace.link(first and first.to_redis.outside)
        self.to_origin = [self.namespace.link(first and first.to_origin[i].outside) for i in range(origins)]
        self.front = self.namespace.link()


class IslandsCase(FarmCase):
    nodes = 3
    origins = 4
    cluster = None

    @classmethod
    def setUpClass(cls):
        cls.islands = []
        for number in range(cls.nodes):
            cls.islands.append(Island(number, cls.origins, cls.islands[0] if cls.islands else None))
            cls.addClassCleanup(cls.islands[-1].namespace.close)
        cls.redis_address = cls.islands[0].to_redis.outside
        cls.cluster = RedisCluster(node_timeout=2000, address=cls.redis_address)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()

    def setUp(self):
        self.addCleanup(self.mend_all)

    def mend_all(self):
        for island in self.islands:
            for link in island.namespace.links:
                link.mend()

    def serve(self, handler):
        """One origin at the end of each way."""
        return [self.origin(handler, address=link.outside) for link in self.islands[0].to_origin]

    def begin(self, origins, **upstream):
        """A farm of its own, by name; every node started, and each knows all others."""
        farm = dict(self.farm_of(self.cluster), name="islands-%d" % next(_farms))
        upstream.setdefault("timeouts", {"connect": "500ms", "first_byte": "1s"})
        members = []
        for island in self.islands:
            listen = [{"address": "%s:%d" % (island.front.inside, free_port(island.to_redis.outside))}]
            config = nodes.settings([nodes.upstream(origins, **upstream)], ROUTES, listen=listen, farm=farm,
                                    node={"id": "n%d" % island.number}, readiness={"delay": "1s"})
            members.append(nodes.Node(config, prefix=island.namespace.prefix))
            self.addCleanup(members[-1].stop)
        for member in members:
            member.spawn()
        for member in members:
            member.wait_log(r" ready\b", deadline=nodes.START_DEADLINE)
        wait_until(lambda: all(self.live(m) == len(members) for m in members), 30, "all nodes know each other")
        return members

    @staticmethod
    def live(node):
        return node.admin(path="/v1/farm")[1]["members"]["live"]


def origin_of(node, origin):
    """What a node says of an origin (docs/api.md, /v1/origins)."""
    url = getattr(origin, "url", origin)
    return next(o for o in node.admin(path="/v1/origins")[1]["origins"] if o["url"] == url)


def in_force(node, origin):
    return origin_of(node, origin)["in_force"]


def node_says(node, what):
    """A member of its record (docs/api.md, /v1/node)."""
    return node.admin(path="/v1/node")[1][what]


def others_know(node, name, what):
    """What a node has heard of the one of that name."""
    return next(n for n in node.admin(path="/v1/farm")[1]["nodes"] if n["id"] == name)[what]


def wait_force(wanted, members, origins, deadline=40):
    """Until each of the nodes holds each of the origins for that."""
    members, origins = as_list(members), as_list(origins)
    wait_until(lambda: all(in_force(m, o) == wanted for m in members for o in origins), deadline,
               "%s everywhere" % wanted)


def patience(seconds):
    """More of it under sanitizers."""
    return seconds * (4 if nodes.sanitizer() else 1)


def as_list(one_or_more):
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]
