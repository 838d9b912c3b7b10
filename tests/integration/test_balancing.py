"""Which origin gets a request, what happens when it fails, and how long one waits for a place."""
import collections
import threading
import time

from lib.case import NodeCase
from lib.client import request
from lib.node import settings
from lib.origin import raw
from lib.wait import wait_until

UNCACHED = {"Cache-Control": "no-store"}


class Balancing(NodeCase):
    def origins(self, count, handler=None):
        made = []
        for n in range(count):
            made.append(self.origin(handler or (lambda x, n=n: x.reply(200, UNCACHED, b"%d" % n))))
        return made

    def shares(self, node, requests, **kw):
        return collections.Counter(node.get("/", **kw).text for _ in range(requests))

    def front_of(self, origins, method, weights=None, **upstream):
        urls = [o.url + (" weight=%d" % w if w else "") for o, w in zip(origins, weights or [0] * len(origins))]
        balance = dict(upstream.pop("balance", {}), method=method)
        return self.node(settings([dict(name="app", origins=urls, balance=balance, **upstream)],
                                  node={"workers": 1}))

    def test_round_robin_is_even(self):
        shares = self.shares(self.front_of(self.origins(3), "round_robin"), 30)
        self.assertEqual(dict(shares), {"0": 10, "1": 10, "2": 10})

    def test_round_robin_by_weight_is_smooth(self):
        node = self.front_of(self.origins(2), "round_robin", [3, 1])
        order = [node.get("/").text for _ in range(8)]
        self.assertEqual(collections.Counter(order), {"0": 6, "1": 2})
        self.assertNotIn("0000", "".join(order))

    def test_random_uses_all(self):
        shares = self.shares(self.front_of(self.origins(3), "random"), 150)
        self.assertEqual(len(shares), 3)
        self.assertGreater(min(shares.values()), 15)

    def test_ewma2_uses_all_and_avoids_the_slow(self):
        origins = self.origins(2)
        slow = self.origin(lambda x: (time.sleep(0.15), x.reply(200, UNCACHED, b"slow")))  # also on a busy machine
        node = self.front_of(origins + [slow], "ewma2")
        shares = self.shares(node, 150)
        self.assertLess(shares["slow"], 30)
        self.assertGreater(min(shares["0"], shares["1"]), 15)

    def test_least_prefers_the_idle(self):
        go = threading.Event()
        self.addCleanup(go.set)
        stuck = self.origin(lambda x: (go.wait(30), x.reply(200, UNCACHED, b"stuck")))
        free = self.origin(lambda x: x.reply(200, UNCACHED, b"free"))
        node = self.front_of([stuck, free], "least")
        clients = []
        while stuck.count() == 0:  # until the one that sticks has its first request
            clients.append(self.client(node))
            clients[-1].send(request(path="/first/%d" % len(clients)))
            if free.count() > 20:
                self.fail("the idle origin never got a request")
            time.sleep(0.01)
        node.wait_access(len(clients) - 1)  # the others are over: one that is not would count for the idle one
        for n in range(20):
            self.assertEqual(node.get("/%d" % n).text, "free")

    def test_hash_binds_a_path_to_an_origin(self):
        origins = self.origins(4)
        node = self.front_of(origins, "hash")
        first = [node.get("/%d" % n).text for n in range(40)]
        self.assertEqual([node.get("/%d" % n).text for n in range(40)], first)
        self.assertEqual(len(set(first)), 4)

    def test_hash_moves_little_when_an_origin_goes(self):
        origins = self.origins(4)
        before = self.front_of(origins, "hash")
        after = self.front_of(origins[:3], "hash")
        pairs = [(before.get("/%d" % n).text, after.get("/%d" % n).text) for n in range(60)]
        moved = [a for a, b in pairs if a != b]
        self.assertEqual(set(moved) - {"3"}, set(), "requests moved between origins that stayed")

    def test_hash_on_a_field(self):
        node = self.front_of(self.origins(4), "hash", balance={"hash_on": "field", "hash_name": "X-User"})
        for user in "abcdef":
            self.assertEqual(len({node.get("/%d" % n, {"X-User": user}).text for n in range(5)}), 1)

    def test_a_sticky_cookie_brings_a_client_back(self):
        node = self.front_of(self.origins(4), "random", sticky={"cookie": "at"})
        first = node.get("/")
        cookie = first.fields["set-cookie"].partition(";")[0]
        self.assertTrue(cookie.startswith("at="))
        self.assertNotIn("127.", cookie)
        for _ in range(10):
            again = node.get("/", {"Cookie": "x=y; " + cookie})
            self.assertEqual(again.text, first.text)
            self.assertNotIn("set-cookie", again.fields)

    def test_a_forged_sticky_cookie_is_replaced(self):
        node = self.front_of(self.origins(2), "random", sticky={"cookie": "at"})
        self.assertIn("set-cookie", node.get("/", {"Cookie": "at=0000000000000000"}).fields)
        self.assertIn("set-cookie", node.get("/", {"Cookie": "at=x"}).fields)

    def test_a_sticky_cookie_does_not_bind_to_what_is_down(self):
        origins = self.origins(2)
        node = self.front_of(origins, "round_robin", sticky={"cookie": "at"})
        first = node.get("/")
        cookie = first.fields["set-cookie"].partition(";")[0]
        origins[int(first.text)].stop()
        self.assertEqual(node.get("/", {"Cookie": cookie}).text, "10"[int(first.text)])

    def test_backups_are_used_only_when_nothing_else_is_there(self):
        main, backup = self.origins(2)
        node = self.node(settings([{"name": "app", "origins": [main.url, backup.url + " backup"],
                                    "eject": {"fails": 1, "percent": "100%"}}]))
        self.assertEqual(self.shares(node, 10), {"0": 10})
        main.stop()
        node.get("/")
        self.assertEqual(node.get("/").text, "1")

    def test_an_origins_own_limit_of_connections_holds(self):
        most, now, lock = [0], [0], threading.Lock()

        def busy(x):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            x.reply(200, UNCACHED, b"ok")
        origin = self.origin(busy)
        node = self.node(settings([{"name": "app", "origins": [origin.url + " max_connections=2"]}]))
        clients = [self.client(node) for _ in range(20)]
        for client in clients:
            client.send(request())
        self.assertEqual({c.response().status for c in clients}, {200})
        self.assertLessEqual(most[0], 2)


class Retries(NodeCase):
    def pair(self, **upstream):
        bad = self.origin(lambda x: x.reset())
        good = self.origin(lambda x: x.reply(200, UNCACHED, b"good"))
        upstream.setdefault("balance", {"method": "round_robin"})
        upstream.setdefault("eject", {"fails": 0})
        return bad, good, self.front([bad, good], upstream=upstream, node={"workers": 1})

    def test_safe_requests_are_tried_once_more_elsewhere(self):
        bad, good, node = self.pair()
        for method in ("GET", "HEAD", "OPTIONS"):
            for _ in range(2):
                self.assertEqual(node.ask(method, "/").status, 200)
        self.assertGreater(bad.count(), 0)

    def test_unsafe_requests_that_reached_an_origin_are_not(self):
        bad, good, node = self.pair()
        statuses = [node.ask("POST", "/", body=b"x").status for _ in range(4)]
        self.assertEqual(statuses.count(502), bad.count())
        self.assertEqual(statuses.count(200), good.count())
        self.assertEqual(bad.count() + good.count(), 4)

    def test_a_refused_connection_is_tried_elsewhere_whatever_the_method(self):
        bad, good, node = self.pair()
        bad.stop()
        for _ in range(4):
            self.assertEqual(node.ask("POST", "/", body=b"x").status, 200)
        self.assertEqual(good.count(), 4)

    def test_nothing_is_tried_again_after_a_byte_of_the_response(self):
        bad = self.origin(raw(b"HTTP/1.1 200 OK\r\nContent-", then="reset"))
        good = self.origin(lambda x: x.reply(200, UNCACHED, b"good"))
        node = self.front([bad, good], upstream={"balance": {"method": "round_robin"}, "eject": {"fails": 0}},
                          node={"workers": 1})
        statuses = [node.get("/").status for _ in range(4)]
        self.assertEqual(statuses.count(502), bad.count())
        self.assertGreater(bad.count(), 0)

    def test_retries_can_be_turned_off(self):
        bad, good, node = self.pair(retries={"attempts": 0})
        self.assertIn(502, [node.get("/").status for _ in range(2)])

    def test_retries_stop_when_their_budget_is_spent(self):
        down = [self.origin(lambda x: x.reset()) for _ in range(2)]
        node = self.front(down, upstream={"eject": {"fails": 0}, "retries": {"attempts": 1, "budget": "20%"}},
                          node={"workers": 1})
        for _ in range(60):
            self.assertIn(node.get("/").status, (502, 503))
        self.assertLess(sum(o.count() for o in down), 120)

    def test_error_statuses_are_retried_only_when_asked_for(self):
        bad = self.origin(lambda x: x.reply(503, UNCACHED, b"busy"))
        good = self.origin(lambda x: x.reply(200, UNCACHED, b"good"))
        eject = {"fails": 0}
        round_robin = {"method": "round_robin"}
        plain = self.front([bad, good], upstream={"balance": round_robin, "eject": eject}, node={"workers": 1})
        self.assertEqual({plain.get("/").status for _ in range(4)}, {200, 503})
        asked = self.front([bad, good], upstream={"balance": round_robin, "eject": eject,
                                                  "retries": {"on_status": True}}, node={"workers": 1})
        self.assertEqual({asked.get("/").status for _ in range(4)}, {200})


class Ejection(NodeCase):
    def test_an_origin_that_fails_in_a_row_is_left_out_for_a_while(self):
        bad = self.origin(lambda x: x.reply(500, UNCACHED, b"bad"))
        good = self.origin(lambda x: x.reply(200, UNCACHED, b"good"))
        node = self.front([bad, good], upstream={"balance": {"method": "round_robin"},
                                               "eject": {"fails": 3, "base": "60s", "percent": "50%"}},
                          node={"workers": 1})
        for _ in range(20):
            node.get("/")
        self.assertEqual(bad.count(), 3)
        self.assertEqual([node.get("/").status for _ in range(5)], [200] * 5)

    def test_it_comes_back(self):
        healthy = threading.Event()
        origin = self.origin(lambda x: x.reply(200 if healthy.is_set() else 500, UNCACHED, b"x"))
        good = self.origin(lambda x: x.reply(200, UNCACHED, b"good"))
        node = self.front([origin, good], upstream={"balance": {"method": "round_robin"},
                                                    "eject": {"fails": 2, "base": "300ms"}}, node={"workers": 1})
        for _ in range(10):
            node.get("/")
        self.assertEqual(origin.count(), 2)
        healthy.set()
        begun = time.monotonic()
        while origin.count() < 4:
            self.assertLess(time.monotonic() - begun, 10, "the origin never came back")
            self.assertEqual(node.get("/").status, 200)
            time.sleep(0.02)

    def test_never_more_of_the_pool_than_allowed(self):
        origins = [self.origin(lambda x: x.reply(500, UNCACHED, b"bad")) for _ in range(2)]
        node = self.front(origins, upstream={"balance": {"method": "round_robin"},
                                             "eject": {"fails": 1, "percent": "50%", "base": "60s"}},
                          node={"workers": 1})
        self.assertEqual([node.get("/").status for _ in range(10)], [500] * 10)

    def test_4xx_is_no_failure(self):
        origins = [self.origin(lambda x: x.reply(404, UNCACHED, b"no")) for _ in range(2)]
        node = self.front(origins, upstream={"balance": {"method": "round_robin"}, "eject": {"fails": 1}},
                          node={"workers": 1})
        for _ in range(20):
            node.get("/")
        self.assertEqual([o.count() for o in origins], [10, 10])

    def test_a_down_origin_costs_no_client_an_error(self):
        origins = [self.origin(lambda x: x.reply(200, UNCACHED, b"ok")) for _ in range(2)]
        node = self.front(origins, upstream={"eject": {"fails": 2, "base": "60s"}})
        origins[0].stop()
        self.assertEqual({node.get("/").status for _ in range(30)}, {200})


class Queue(NodeCase):
    def busy(self, **connections):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, UNCACHED, b"ok")))
        connections = dict({"max": 1}, **connections)
        # Not cached: a fetch that may be stored goes on without its client.
        routes = [{"upstream": "app", "cache": {"enabled": False}}]
        return go, origin, self.front(origin, routes, upstream={"connections": connections}, node={"workers": 1})

    def test_requests_wait_for_a_connection(self):
        go, origin, node = self.busy()
        clients = [self.client(node) for _ in range(5)]
        for n, client in enumerate(clients):
            client.send(request(path="/%d" % n))
        origin.wait_count(1)
        go.set()
        self.assertEqual([c.response().status for c in clients], [200] * 5)
        self.assertEqual(origin.connections, 1)

    def test_not_longer_than_their_deadline(self):
        go, origin, node = self.busy(queue_timeout="300ms")
        first, second = self.client(node), self.client(node)
        first.send(request(path="/1"))
        origin.wait_count(1)
        second.send(request(path="/2"))
        self.assertEqual(second.response().status, 503)
        go.set()
        self.assertEqual(first.response().status, 200)

    def test_and_not_more_of_them_than_the_queue_holds(self):
        go, origin, node = self.busy(queue=2)
        clients = [self.client(node) for _ in range(6)]
        clients[0].send(request(path="/0"))
        origin.wait_count(1)
        for n, client in enumerate(clients[1:]):
            client.send(request(path="/waiting/%d" % n))
        wait_until(lambda: sum(c.readable(0.01) for c in clients[1:]) >= 3, what="three are refused")
        refused = [c for c in clients[1:] if c.readable(0.1)]
        self.assertEqual([c.response().status for c in refused], [503] * 3)
        go.set()

    def test_a_waiting_client_that_leaves_gives_its_place_up(self):
        go, origin, node = self.busy()
        first, second, third = (self.client(node) for _ in range(3))
        first.send(request(path="/1"))
        origin.wait_count(1)
        second.send(request(path="/2"))
        self.assertFalse(second.readable(0.1))
        second.reset()
        node.wait_access(1)  # weir has seen that the client left: its line is written
        third.send(request(path="/3"))
        go.set()
        self.assertEqual(third.response().status, 200)
        self.assertEqual(origin.count("/2"), 0)

    def test_a_connect_that_hangs_is_504(self):
        node = self.node(settings([{"name": "app", "origins": ["http://192.0.2.1:9"],
                                    "timeouts": {"connect": "300ms"}, "retries": {"attempts": 0}}]))
        self.assertIn(node.get("/").status, (502, 504))  # 502 where there is no route at all
