"""One node asks its origins how they are, by itself: what it asks, what it takes for an answer, what follows."""
import re
import threading
import time
import unittest

from lib.case import NodeCase
from lib.islands import in_force, origin_of, wait_force
from lib.node import settings, upstream
from lib.ports import free_port
from lib.wait import wait_until

FAST = {"path": "/healthz", "interval": "1s", "fast_interval": "100ms", "timeout": "1s"}

STATUS = "another status than expected"


def trickle(x):
    """A byte at a time, for as long as somebody listens."""
    x.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    try:
        while True:
            x.send(b"x")
            time.sleep(0.02)
    except OSError:
        x.open = False


class Health(NodeCase):
    def ill(self, answer):
        """An origin that serves as ever, and gives this answer to probes."""
        return self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"served")).on("/healthz", answer)

    def well(self):
        return self.ill(lambda x: x.reply(200, {}, b"well"))

    def before(self, origins, **health):
        return self.node(settings([upstream(origins, health=dict(FAST, **health))]))

    def expect_down(self, answer, reason, **health):
        ill, well = self.ill(answer), self.well()
        node = self.before([ill, well], **health)
        wait_force("down", node, ill)
        wait_force("up", node, well)
        self.assertEqual(origin_of(node, ill)["own_reason"], reason)
        self.assertIsNotNone(re.search(r"warn .*origin %s is down" % re.escape(ill.url), node.log()), node.log())
        used = ill.count("/")
        for _ in range(20):
            self.assertEqual(node.get("/").status, 200)
        self.assertEqual(ill.count("/"), used)
        return node, ill, well

    # ---- what is asked ----

    def test_nobody_asks_unless_that_is_configured(self):
        origin = self.origin()
        node = self.front(origin)
        self.assertEqual(node.get("/").status, 200)
        self.assertFalse(origin_of(node, origin)["checked"])
        self.assertEqual(origin.count(), 1)
        self.assertEqual(origin.connections, 1)

    def test_probes_ask_as_configured_each_on_a_connection_of_its_own(self):
        origin = self.well().on("/up", lambda x: x.reply(204))
        self.before(origin, path="/up?full=1", host="check.example", method="OPTIONS", expect_status="204",
                    fields=[{"name": "X-Asked-By", "value": "weir"}, {"name": "User-Agent", "value": "us"}])
        first, second = origin.wait_count(2, "/up")[:2]
        self.assertEqual((first.method, first.target), ("OPTIONS", "/up?full=1"))
        self.assertEqual(first.fields.lines, [("Host", "check.example"), ("Accept", "*/*"), ("X-Asked-By", "weir"),
                                              ("User-Agent", "us"), ("Connection", "close")])
        self.assertNotEqual(first.connection, second.connection)

    def test_probes_are_no_requests(self):
        origin = self.well()
        node = self.before(origin)
        origin.wait_count(3, "/healthz")
        node.get("/marked")
        self.assertEqual([line for line in node.wait_access(1) if "/healthz" in line], [])
        self.assertEqual(origin_of(node, origin)["requests"], 1)

    def test_a_check_over_tcp_is_content_with_a_connection(self):
        origin = self.origin()
        dead = "http://127.0.0.1:%d" % free_port()
        node = self.before([origin, dead], type="tcp")
        wait_force("down", node, dead)
        wait_force("up", node, origin)
        wait_until(lambda: origin.connections >= 2, what="it is asked again")
        self.assertEqual(origin.count(), 0)
        self.assertEqual(origin_of(node, dead)["own_reason"], "the connection is refused")

    def test_another_port_may_be_asked(self):
        origin, agent = self.origin(), self.ill(lambda x: x.reply(503))
        node = self.before([origin, self.well()], port=agent.port)
        agent.wait_count(1, "/healthz")
        wait_force("down", node, origin)

    # ---- what is taken for an answer ----

    def test_another_status_is_down(self):
        self.expect_down(lambda x: x.reply(503), STATUS)

    def test_a_redirection_is_not_followed(self):
        self.expect_down(lambda x: x.reply(302, {"Location": "/"}), STATUS)

    def test_another_body_is_down(self):
        self.expect_down(lambda x: x.reply(200, {}, b"starting"), "the body does not match", expect_body="^well")

    def test_no_answer_in_time_is_down(self):
        self.expect_down(lambda x: x.peer_left(), "no whole answer in time")

    def test_an_answer_that_trickles_is_down(self):
        self.expect_down(trickle, "no whole answer in time")

    def test_a_truncated_answer_is_down(self):
        def answer(x):
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwel")
            x.close()
        self.expect_down(answer, "closed before the answer was whole")

    def test_what_is_not_http_is_down(self):
        self.expect_down(b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP")

    # ---- what follows ----

    def test_an_origin_that_is_well_again_is_used_again(self):
        well = threading.Event()
        node, origin, _ = self.expect_down(lambda x: x.reply(200 if well.is_set() else 503), STATUS)
        well.set()
        wait_force("up", node, origin)

        def used():
            node.get("/")
            return origin.count("/") > 0
        wait_until(used, 30, "it is used again")  # slowly at first

    def test_a_verdict_outlives_a_reload(self):
        node, ill, _ = self.expect_down(lambda x: x.reply(503), STATUS)
        used = ill.count("/")
        self.assertTrue(node.reload())
        for _ in range(10):
            self.assertEqual(node.get("/").status, 200)
        self.assertEqual(ill.count("/"), used)
        self.assertEqual(in_force(node, ill), "down")

    def test_without_its_check_an_origin_is_used_again(self):
        node, ill, well = self.expect_down(lambda x: x.reply(503), STATUS)
        config = settings([upstream([ill, well])], listen=[{"address": "%s:%d" % node.address}])
        self.assertTrue(node.reload(config))
        asked = ill.count("/healthz")
        wait_until(lambda: node.get("/").status == 200 and ill.count("/") > 0, what="it is used")
        self.assertEqual(in_force(node, ill), "up")
        self.assertLessEqual(ill.count("/healthz"), asked + 1)  # one may have been under way

    def test_flaps_are_damped_and_shown(self):
        """Up and down once a second, it is soon left alone rather than used half of the time."""
        flips = threading.Event()
        origin = self.ill(lambda x: x.reply(503 if flips.is_set() else 200))
        node = self.before([origin, self.well()], rise=1, fall=1)
        self.addCleanup(flips.set)
        for _ in range(6):
            flips.set()
            wait_force("down", node, origin)
            if origin_of(node, origin)["flapping"]:
                break
            flips.clear()
            wait_until(lambda: origin_of(node, origin)["verdict"] == "up", what="its checks succeed again")
        self.assertTrue(origin_of(node, origin)["flapping"])
        flips.clear()
        wait_until(lambda: origin_of(node, origin)["verdict"] == "up", what="its checks succeed again")
        self.assertEqual((in_force(node, origin), origin_of(node, origin)["why"]), ("down", "flapping"))
        self.assertGreater(origin_of(node, origin)["penalty"], 750)
        used = origin.count("/")
        for _ in range(10):
            node.get("/")
        self.assertEqual(origin.count("/"), used)

    def test_when_all_are_down_all_are_used(self):
        """Better a few answers than none: panic."""
        origins = [self.ill(lambda x: x.reply(503)) for _ in range(2)]
        node = self.before(origins)
        wait_force("down", node, origins)
        self.assertTrue(origin_of(node, origins[0])["panic"])
        for _ in range(10):
            self.assertEqual(node.get("/").status, 200)


if __name__ == "__main__":
    unittest.main()
