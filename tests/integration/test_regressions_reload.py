"""Faults found by reading: reloads and signals that cross each other."""
import signal
import threading

from lib.case import NodeCase
from lib.node import run_weir, settings
from lib.wait import wait_until


class Crossing(NodeCase):
    def fixed(self, body, listen):
        return settings([], [{"respond": {"status": 200, "body": body}}], listen=listen)

    def test_a_reload_asked_for_during_a_reload_is_not_forgotten(self):
        first = self.fixed("0", None)
        node = self.node(first)
        for n in range(1, 30):
            node.write(self.fixed(str(n), first["listen"]))
            node.signal(signal.SIGHUP)
        wait_until(lambda: node.get("/").body == b"29", what="the last file is in force")

    def test_a_drain_during_reloads_ends_the_node_cleanly(self):
        for _ in range(5):
            first = self.fixed("0", None)
            node = self.node(first)
            node.write(self.fixed("1", first["listen"]))
            node.signal(signal.SIGHUP)
            node.signal(signal.SIGTERM)
            node.signal(signal.SIGHUP)
            self.assertEqual(node.wait(), 0)

    def test_a_hundred_reloads_under_traffic_fail_no_request(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=1" if "k" in x.request.path else
                                                     "no-store"}, x.request.path.encode()))
        config = settings(origin)
        node = self.node(config)
        stop, failed, done = threading.Event(), [], []

        def traffic(number):
            n = 0
            with node.client() as client:
                while not stop.is_set():
                    path = "/%s%d" % ("k" if n % 2 else "p", n % 7 + number)
                    try:
                        answer = client.ask(path=path)
                    except Exception as e:
                        failed.append(e)
                        return
                    if answer.status != 200 or answer.body != path.encode():
                        failed.append(answer)
                    n += 1
            done.append(n)
        threads = [threading.Thread(target=traffic, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        try:
            for n in range(100):
                node.write(dict(config, head={"fields": 90 + n % 20}))
                mark = node.mark()
                node.signal(signal.SIGHUP)
                if n % 3 == 0:
                    node.wait_log("reloaded", mark)
        finally:
            stop.set()
            for t in threads:
                t.join(40)
        self.assertEqual(failed, [])
        self.assertGreater(sum(done), 100)


class Bounds(NodeCase):
    def test_names_that_do_not_fit_into_a_head_are_refused(self):
        node = self.node(settings([], [{"respond": {"status": 200}}]))
        for key, name in (("pseudonym", "p"), ("request_id_field", "X")):
            node.write(dict(settings([], [{"respond": {"status": 200}}]), forward={key: name * 65}))
            checked = run_weir("check", node.config_file)
            self.assertEqual(checked.returncode, 2)
            self.assertIn("64", checked.stderr)
