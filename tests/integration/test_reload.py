"""SIGHUP swaps the whole configuration at once; what runs keeps what it began with; a bad file changes nothing."""
import threading

from lib.case import NodeCase
from lib.client import request
from lib.node import settings, upstream
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until


class Reload(NodeCase):
    def two(self):
        """A node before the first of two origins, and its settings before the first and the second."""
        one = self.origin(lambda x: x.reply(200, {}, b"one"))
        two = self.origin(lambda x: x.reply(200, {}, b"two"))
        first = settings(one)
        second = settings(two, listen=first["listen"])
        return self.node(first), first, second, one, two

    def test_new_requests_follow_the_new_file(self):
        node, _, second, _, _ = self.two()
        self.assertEqual(node.get("/").body, b"one")
        self.assertTrue(node.reload(second))
        self.assertEqual(node.get("/").body, b"two")

    def test_a_kept_connection_follows_with_its_next_request(self):
        node, _, second, _, _ = self.two()
        client = self.client(node)
        self.assertEqual(client.ask().body, b"one")
        self.assertTrue(node.reload(second))
        self.assertEqual(client.ask().body, b"two")

    def test_a_running_exchange_keeps_its_own(self):
        node, _, second, one, two = self.two()
        go = threading.Event()
        self.addCleanup(go.set)

        def slowly(x):
            x.send_head(200, {"Content-Length": "8", "Cache-Control": "no-store"})
            x.send(b"half")
            go.wait(30)
            x.send(b"rest")
        one.on("/slow", slowly)
        client = self.client(node)
        client.send(request(path="/slow"))
        head = client.head()
        self.assertTrue(node.reload(second))
        self.assertEqual(node.get("/").body, b"two")
        go.set()
        self.assertEqual(client.content(head).body, b"halfrest")

    def test_a_bad_file_changes_nothing_and_says_so(self):
        node, _, _, _, _ = self.two()
        mark = node.mark()
        self.assertFalse(node.reload("listen: [\n"))
        self.assertEqual(node.get("/").body, b"one")
        self.assertIn("weir.yaml", node.log()[mark:])

    def test_an_invalid_file_changes_nothing_and_names_every_error(self):
        node, first, second, _, _ = self.two()
        bad = dict(second, routes=[{"upstream": "nosuch"}], client={"idle_timout": "5s"})
        mark = node.mark()
        self.assertFalse(node.reload(bad))
        log = node.log()[mark:]
        self.assertIn("nosuch", log)
        self.assertIn("idle_timout", log)
        self.assertEqual(node.get("/").body, b"one")
        self.assertTrue(node.reload(second))
        self.assertEqual(node.get("/").body, b"two")

    def test_the_cache_survives_a_reload(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, b"kept"))
        config = settings(origin)
        node = self.node(config)
        node.get("/")
        self.assertTrue(node.reload(dict(config, head={"fields": 90})))
        self.assertTrue(node.get("/").hit)
        self.assertEqual(origin.count(), 1)

    def test_a_listener_may_be_added(self):
        node, first, _, _, _ = self.two()
        port = free_port()
        listen = first["listen"] + [{"address": "%s:%d" % (LOOPBACK, port)}]
        self.assertTrue(node.reload(dict(first, listen=listen)))
        first_address, node.address = node.address, (LOOPBACK, port)
        self.assertEqual(node.get("/").body, b"one")
        node.address = first_address
        self.assertEqual(node.get("/").body, b"one")

    def test_twenty_reloads_under_load_fail_no_request(self):
        node, first, second, _, _ = self.two()
        stop, failures, done = threading.Event(), [], [0]

        def load():
            while not stop.is_set():
                try:
                    with_client = node.client()
                    for _ in range(10):
                        answer = with_client.ask()
                        if answer.status != 200 or answer.body not in (b"one", b"two"):
                            failures.append(answer)
                        done[0] += 1
                    with_client.close()
                except Exception as e:
                    failures.append(e)
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for n in range(20):
                begun = done[0]
                self.assertTrue(node.reload((first, second)[n % 2]))
                wait_until(lambda: done[0] > begun + 3 or failures)  # each one is under load
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])

    def test_old_settings_and_their_connections_are_let_go(self):
        node, first, second, one, _ = self.two()
        node.get("/")
        for _ in range(5):
            node.reload(second)
            node.reload(first)
        node.get("/")
        files = node.open_files()
        for _ in range(10):
            node.reload(second)
            node.get("/")
            node.reload(first)
            node.get("/")
        self.assertLessEqual(node.open_files(), files + 6)

    def test_upstreams_keep_their_connections_over_a_reload_that_leaves_them_alone(self):
        origin = self.origin()
        config = settings([upstream(origin)], node={"workers": 1})
        node = self.node(config)
        node.get("/")
        self.assertTrue(node.reload(dict(config, head={"fields": 90})))
        self.assertEqual(node.get("/").status, 200)
        self.assertLessEqual(origin.connections, 2)
