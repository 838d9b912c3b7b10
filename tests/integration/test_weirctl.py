"""weirctl: what it shows, what it changes, and the exit statuses that monitors look at."""
import json
import os
import pty
import shutil
import socket
import subprocess
import tempfile
import threading

from lib.case import NodeCase
from lib.ctl import weirctl, weirctl_binary, weirctl_json
from lib.wait import wait_until

HOUR = {"Cache-Control": "max-age=3600"}
FINE, DEGRADED, DOWN, USAGE = 0, 1, 2, 3


class Usage(NodeCase):
    def test_help_is_there_for_all_and_for_each(self):
        self.assertIn("weirctl cache stats", weirctl("--help").stdout)
        for command in (("cache", "stats"), ("cache", "get"), ("cache", "purge"), ("metrics",)):
            done = weirctl(*command, "--help")
            self.assertEqual(done.returncode, FINE)
            self.assertTrue(done.stdout.startswith("weirctl " + " ".join(command)), done.stdout)
        self.assertRegex(weirctl("--version").stdout, r"\Aweirctl \d")

    def test_what_it_does_not_know_is_3_and_asks_nobody(self):
        wrong = [(), ("cache",), ("cash", "stats"), ("cache", "stats", "more"), ("cache", "get"), ("--nonsense",),
                 ("cache", "purge"), ("cache", "purge", "--all", "--tag", "a"), ("cache", "purge", "--hard"),
                 ("cache", "stats", "--hard"), ("cache", "get", "http://a/", "--tag", "a"),
                 ("cache", "purge", "--all", "-H", "A: b"), ("metrics", "x")]
        for arguments in wrong:
            with self.subTest(arguments=arguments):
                done = weirctl(*arguments, socket="/nonexistent/weir.sock")
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertNotIn("nonexistent", done.stderr)
                self.assertEqual(done.stdout, "")


class Finding(NodeCase):
    def test_without_a_node_it_is_3(self):
        done = weirctl("cache", "stats", socket="/nonexistent/weir.sock")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("/nonexistent/weir.sock", done.stderr)

    def test_the_environment_names_the_node(self):
        node = self.front(self.origin())
        done = weirctl("cache", "stats", "--json", environment={"WEIR_SOCKET": node.admin_socket})
        self.assertEqual(json.loads(done.stdout)["node"]["pid"], node.pid)

    def test_a_session_has_a_place_of_its_own(self):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex("/run/weir/admin.sock") == 0:
                self.skipTest("a node of this machine is looked at first")
        folder = tempfile.mkdtemp(prefix="weir-test-")
        self.addCleanup(shutil.rmtree, folder)
        os.mkdir(os.path.join(folder, "weir"))
        node = self.front(self.origin(), admin={"socket": os.path.join(folder, "weir", "admin.sock")})

        def found():  # for a moment another test's node may be at the place of the machine's own
            done = weirctl("cache", "stats", "--json", environment={"XDG_RUNTIME_DIR": folder, "WEIR_SOCKET": ""})
            return json.loads(done.stdout)["node"]["pid"] == node.pid
        wait_until(found, 30, "the node of this session is found")

    def test_somebody_who_is_no_node_is_3(self):
        folder = tempfile.mkdtemp(prefix="weir-test-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "x.sock")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.listen()

        def answer():
            peer, _ = listener.accept()
            peer.recv(65536)
            peer.sendall(b"SSH-2.0-nonsense\r\n")
            peer.close()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        self.assertEqual(weirctl("cache", "stats", socket=path).returncode, USAGE)
        thread.join()


class Stats(NodeCase):
    def test_it_is_readable_and_aligned(self):
        origin = self.origin(lambda x: x.reply(200, HOUR, b"x" * 2000))
        node = self.front(origin)
        for _ in range(4):
            node.get("/")
        wait_until(lambda: node.admin()[1]["requests"]["lookups"] == 4)
        done = weirctl("cache", "stats", node=node)
        self.assertEqual(done.returncode, FINE)
        self.assertRegex(done.stdout, r"(?m)^node +weir \S+, pid %d, up \d+ s$" % node.pid)
        self.assertRegex(done.stdout, r"(?m)^  hit ratio +75\.0 %$")
        self.assertRegex(done.stdout, r"(?m)^  hits +3$")
        self.assertIn("of 256 MiB", done.stdout)
        self.assertNotIn("\033", done.stdout)
        ends = {len(line) for line in done.stdout.splitlines() if line.startswith("  ")}
        self.assertEqual(len(ends), 1, done.stdout)

    def test_colours_are_for_terminals(self):
        node = self.front(self.origin())
        for environment, coloured in (({"TERM": "xterm", "NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)):
            main, other = pty.openpty()
            done = subprocess.Popen([weirctl_binary(), "-s", node.admin_socket, "cache", "stats"], stdout=other,
                                    stdin=subprocess.DEVNULL, env=dict(os.environ, **environment))
            os.close(other)
            text = b""
            try:
                while data := os.read(main, 65536):
                    text += data
            except OSError:
                pass  # the last one at the other end has gone
            os.close(main)
            self.assertEqual(done.wait(), FINE)
            self.assertEqual(b"\033[" in text, coloured, text)

    def test_a_cache_that_is_off_is_1(self):
        node = self.front(self.origin(), cache={"memory": 0})
        done = weirctl("cache", "stats", node=node)
        self.assertEqual(done.returncode, DEGRADED)
        self.assertIn("the cache is off", done.stdout)

    def test_metrics_are_the_nodes(self):
        node = self.front(self.origin())
        self.assertIn("# TYPE weir_requests_total counter", weirctl("metrics", node=node).stdout)


class Get(NodeCase):
    def test_what_is_stored_is_shown(self):
        origin = self.origin(lambda x: x.reply(200, {
            "Cache-Control": "max-age=60, stale-while-revalidate=30", "ETag": '"v1"', "Vary": "Accept-Language"},
            b"x" * 3000))
        node = self.front(origin)
        node.get("/a", {"Accept-Language": "de"})
        done = weirctl("cache", "get", "test.example/a", "-H", "Accept-Language: de", "--fields", node=node)
        self.assertEqual(done.returncode, FINE)
        self.assertRegex(done.stdout, r"\Ahttp://test.example/a   route \S+\n  200  fresh, ")
        for piece in ("what such a request is answered by", "accept-language: de", "2.9 KiB identity", '"v1"',
                      "30 s while it is revalidated", "fields      Date: "):
            self.assertIn(piece, done.stdout)

    def test_nothing_stored_is_1(self):
        node = self.front(self.origin())
        done = weirctl("cache", "get", "http://test.example/b", node=node)
        self.assertEqual((done.returncode, done.stderr), (DEGRADED, ""))
        self.assertIn("nothing is stored", done.stdout)
        self.assertEqual(weirctl_json("cache", "get", "test.example/b", node=node, status=DEGRADED)["stored"], [])

    def test_a_marker_says_why(self):
        node = self.front(self.origin(lambda x: x.reply(200, {"Cache-Control": "private"}, b"x")))
        node.get("/")
        done = weirctl("cache", "get", "test.example", node=node)
        self.assertEqual(done.returncode, FINE)
        self.assertRegex(done.stdout, r"(?m)^    why +private$")

    def test_a_url_that_is_none_is_3(self):
        node = self.front(self.origin())
        done = weirctl("cache", "get", "http://a b/", node=node)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("the node says", done.stderr)

    def test_stored_fields_cannot_play_with_the_terminal(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(HOUR, ETag='"\x9b31m"'), b"x")))
        node.get("/")
        done = weirctl("cache", "get", "test.example/", node=node)
        self.assertIn('"\\xc2\\x9b31m"', done.stdout)


class Purge(NodeCase):
    def test_each_scope_purges_and_says_how(self):
        node = self.front(self.origin())
        number = 0
        for arguments in (("--url", "test.example/a"), ("--prefix", "/a"), ("--prefix", "http://test.example/a"),
                          ("--tag", "a", "--tag", "b"), ("--host", "test.example"), ("--all",), ("--all", "--hard")):
            with self.subTest(arguments=arguments):
                answer = weirctl_json("cache", "purge", *arguments, node=node)
                self.assertGreater(answer["sequence"], number)
                self.assertEqual(answer["mode"], "hard" if "--hard" in arguments else "soft")
                number = answer["sequence"]
        done = weirctl("cache", "purge", "--all", node=node)
        self.assertRegex(done.stdout, r"\Apurged, soft: .*sequence %d, took \d+\.\d{3} ms\n\Z" % (number + 1))

    def test_what_was_purged_says_so(self):
        node = self.front(self.origin(lambda x: x.reply(200, {
            "Cache-Control": "max-age=60, stale-if-error=60"}, b"x")))
        node.get("/")
        weirctl("cache", "purge", "--host", "test.example", node=node)
        shown = weirctl("cache", "get", "test.example/", node=node).stdout
        self.assertRegex(shown, r"(?m)^  200  stale, purged softly \d+ s ago")
        self.assertIn("validated first, but used for 1 min if the origin fails", shown)

    def test_several_kinds_at_once(self):
        node = self.front(self.origin())
        done = weirctl("cache", "purge", "--url", "a/1", "--url", "a/2", "--tag", "x", "--host", "b", node=node)
        self.assertEqual(done.returncode, FINE)
        self.assertEqual(len(done.stdout.splitlines()), 4)

    def test_what_the_node_refuses_is_3(self):
        node = self.front(self.origin())
        done = weirctl("cache", "purge", "--tag", "a b", node=node)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("a tag has", done.stderr)
