"""Faults found by reading: what is asked of a node while it starts, or while another reload waits for a name, is
neither forgotten nor left without an answer."""
import os
import shutil
import signal
import socket
import threading
import time
import unittest

from lib import node as nodes
from lib.farm import FarmCase
from lib.netns import Namespace, own_network
from lib.node import settings
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until

setUpModule = own_network

SLOW = "http://slow.test:80"  # a name that takes longer than a start or a reload waits
NOT_HERE = "192.0.2.1:80"     # an address that this host does not have


@unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
class SlowNames(FarmCase):
    """The resolver takes every question and answers none."""

    def setUp(self):
        self.namespace = Namespace()
        self.addCleanup(self.namespace.close)
        self.outside = self.namespace.link().outside
        self.resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.resolver.close)
        self.resolver.bind((self.outside, 53))
        folder = os.path.join("/etc/netns", self.namespace.name)
        os.makedirs(folder)
        self.addCleanup(shutil.rmtree, folder)
        with open(os.path.join(folder, "resolv.conf"), "w") as f:
            f.write("nameserver %s\noptions timeout:5 attempts:1\n" % self.outside)

    def listen(self):
        return [{"address": "%s:%d" % (LOOPBACK, free_port(LOOPBACK))}]

    def test_who_waits_for_a_reload_behind_one_that_fails_is_told(self):
        first = settings([], [{"respond": {"status": 200}}], listen=self.listen())
        node = self.node(first, prefix=self.namespace.prefix)
        node.write(settings([{"name": "app", "origins": [SLOW]}], listen=first["listen"] + [{"address": NOT_HERE}]))
        node.signal(signal.SIGHUP)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(node.admin("POST", "/v1/reload", deadline=40)))
        asking.start()
        node.wait_log("another reload is under way")
        asking.join(40)
        self.assertEqual([status for status, _ in answers], [409])
        self.assertIn(NOT_HERE, answers[0][1]["error"])
        last = node.admin(path="/v1/node")[1]["config"]["last_reload"]
        self.assertEqual((last["ok"], last["order"]), (False, None))

    def test_an_order_that_comes_during_the_start_is_carried_out(self):
        redis = self.redis(address=self.outside)
        farm = self.farm_of(redis)
        operator = self.node(self.farm_settings(redis, self.origin(), farm=farm))
        starting = nodes.Node(settings([{"name": "app", "origins": [SLOW]}], listen=self.listen(), farm=farm,
                                       node={"id": "starting"}), prefix=self.namespace.prefix)
        self.addCleanup(starting.stop)
        began = time.monotonic()
        starting.spawn()
        wait_until(lambda: operator.admin(path="/v1/farm")[1]["members"]["live"] == 2, what="it is a member")
        # When it began is known by the farm's clock as well as an answer's round trip tells: a good while later it is
        # beyond doubt that the order was said to this process, and the start goes on for 3 s.
        wait_until(lambda: time.monotonic() - began > 1, what="it has begun before")
        self.assertNotIn(" ready: ", starting.log())
        status, answer = operator.admin("POST", "/v1/words", {"target": "node", "kind": "drain", "name": "starting"})
        self.assertEqual(status, 200, answer)
        starting.wait_log("draining", deadline=40)
        self.assertEqual(starting.wait(), 0)


if __name__ == "__main__":
    unittest.main()
