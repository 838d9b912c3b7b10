"""Several nodes in front of one origin, with one Redis (Cluster) behind them."""
import os
import re
import tempfile

from . import node as nodes
from .case import NodeCase

SECRET = "a secret of a farm that lives for one test"


def endpoints(redis):
    """host:port of a RedisServer, RedisCluster or FakeRedis, or of a list of them."""
    if isinstance(redis, list):
        return [e for r in redis for e in endpoints(r)]
    return redis.endpoints if hasattr(redis, "endpoints") else [redis.endpoint]


class FarmCase(NodeCase):
    def secret_file(self, text=SECRET):
        handle, path = tempfile.mkstemp(prefix="weir-test-secret-")
        self.addCleanup(os.unlink, path)
        os.write(handle, text.encode())
        os.close(handle)
        return path

    def farm_of(self, redis, **keys):
        """The section `farm`. `keys`: further keys of farm.redis."""
        return {"secret_file": self.secret_file(), "redis": dict(addresses=endpoints(redis), **keys)}

    def farm_settings(self, redis, origin, routes=None, upstream=None, farm=None, **top):
        """One node's configuration; every call gives it a port of its own."""
        config = nodes.settings([nodes.upstream(origin, **(upstream or {}))], routes,
                                farm=farm or self.farm_of(redis), **top)
        # They run on one host: its name is no id. The settings may be those of other nodes as well.
        port = config["listen"][0]["address"].rpartition(":")[2]
        config["node"] = dict({"id": "node-" + re.sub("[^0-9A-Za-z]", "-", port)[-50:]}, **config["node"])
        return config

    def farm(self, redis, origin, count=2, **keys):
        """`count` nodes of one farm, started; keys as for farm_settings()."""
        keys.setdefault("farm", self.farm_of(redis))
        return [self.node(self.farm_settings(redis, origin, **keys)) for _ in range(count)]
