"""A node of a farm that is told to stop ends: at any moment, whatever its Redis does, and with nothing left behind."""
import random
import signal
import threading
import time
import unittest

from lib import node as nodes
from lib.farm import FarmCase
from lib.ports import LOOPBACK, lasting_port
from lib.wait import wait_until

ENDS = 10  # seconds; a drain without requests takes none, sanitizers and their reports some
FRESH = {"Cache-Control": "max-age=600"}


class Stops(FarmCase):
    def spawned(self, endpoint, origin=None):
        """A node that is told nothing of when it is ready."""
        farm = {"secret_file": self.secret_file(), "redis": {"addresses": [endpoint]}}
        upstream = {"name": "app", "origins": [origin.url if origin else "http://%s:9" % LOOPBACK]}
        settings = nodes.settings([upstream], farm=farm)
        node = nodes.Node(settings)
        self.addCleanup(node.stop)
        return node.spawn()

    def ends(self, node):
        began = time.monotonic()
        status = node.wait(nodes.STOP_DEADLINE)
        self.assertIn(status, (0, -signal.SIGTERM), node.log()[-3000:])  # before it watches for it, the latter
        node.expect_exit = status
        self.assertLess(time.monotonic() - began, ENDS)

    def test_at_any_moment_of_its_start(self):
        redis = self.redis()
        dead = "%s:%d" % (LOOPBACK, lasting_port())
        for n in range(12):
            node = self.spawned((redis.endpoint, dead)[n % 2])
            time.sleep(n * 0.025)
            node.signal(signal.SIGTERM)
            self.ends(node)

    def test_twice_in_a_row(self):
        redis = self.redis()
        for _ in range(5):
            node = self.spawned(redis.endpoint)
            node.wait_log(r" ready\b")
            node.kill_now()
            self.ends(node)

    def test_while_a_name_is_looked_up(self):
        """No resolver knows it, or there is none that answers: either way it is asked for again and again."""
        node = self.spawned("redis.invalid:6379")
        node.wait_log(r" ready\b")
        node.signal(signal.SIGTERM)
        self.ends(node)

    def test_under_load_while_redis_says_nothing(self):
        redis = self.redis()
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.path.encode() * 20000))
        for n in range(4):
            node = self.spawned(redis.endpoint, origin)
            node.wait_log(r" ready\b")
            asked = [0]
            threads = [threading.Thread(target=self.ask_on, args=(node, asked, n * 4 + i)) for i in range(4)]
            for t in threads:
                t.start()
            wait_until(lambda: asked[0] > 20, what="requests")
            redis.halt()
            seen = asked[0]
            wait_until(lambda: asked[0] > seen + 4, what="requests without Redis")
            if n % 2:
                redis.go_on()
            node.signal(signal.SIGTERM)
            for t in threads:
                t.join()
            self.ends(node)
            if not n % 2:
                redis.go_on()

    def ask_on(self, node, asked, seed):
        """Until the node takes no more connections."""
        dice = random.Random(seed)
        while True:
            try:
                node.get("/%d/%d" % (seed, dice.randrange(10)))
            except OSError:
                return
            except Exception:
                if not node.running:
                    return
            asked[0] += 1


if __name__ == "__main__":
    unittest.main()
