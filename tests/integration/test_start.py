"""Starting: the command line, what is wrong with a file, and what cannot be listened on."""
import os
import re
import socket
import stat
import tempfile

from lib import node as nodes
from lib.case import NodeCase
from lib.client import get
from lib.node import run_weir, settings
from lib.ports import LOOPBACK, free_port


class CommandLine(NodeCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weir.yaml")
            with open(path, "w") as f:
                f.write(text)
            return run_weir("check", path)

    GOOD = ("listen:\n  - address: 127.0.0.1:8080\nupstreams:\n  - name: app\n    origins: [http://127.0.0.1:3000]\n"
            "routes:\n  - upstream: app\n")

    def test_version(self):
        done = run_weir("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^weir \d+\.\d+\.\d+")

    def test_help_and_nonsense(self):
        self.assertIn("--config", run_weir("--help").stdout)
        done = run_weir("--nonsense")
        self.assertEqual(done.returncode, 3)
        self.assertIn("nonsense", done.stderr)

    def test_without_arguments_it_says_what_it_needs(self):
        done = run_weir()
        self.assertEqual(done.returncode, 3)
        self.assertIn("--config", done.stderr + done.stdout)

    def test_check_accepts_a_good_file_and_starts_nothing(self):
        done = self.check(self.GOOD)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_check_reports_every_error_with_its_line_and_the_nearest_key(self):
        done = self.check(self.GOOD + "    webscoket: true\nclient:\n  idle_timeout: 5 parsecs\nnode:\n  workers: many\n")
        self.assertNotEqual(done.returncode, 0)
        out = done.stderr + done.stdout
        for expected in ("weir.yaml:8", "weir.yaml:10", "weir.yaml:12", "webscoket", "websocket", "idle_timeout"):
            self.assertIn(expected, out)

    def test_check_knows_the_fields_of_the_access_log(self):
        done = self.check(self.GOOD + "log:\n  access: json\n  fields: [status, statuss]\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn('log.fields[1]: no field "statuss"', done.stderr)
        self.assertEqual(self.check(self.GOOD + "log:\n  access: json\n  fields: [status]\n").returncode, 0)

    def test_check_of_a_missing_file(self):
        done = run_weir("check", "/does/not/exist.yaml")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/does/not/exist.yaml", done.stderr + done.stdout)

    def test_a_node_with_a_bad_file_ends_with_2(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(self.GOOD.replace("upstream: app", "upstream: nosuch"))
            f.flush()
            done = run_weir("--config", f.name)
        self.assertEqual(done.returncode, 2)
        self.assertIn("nosuch", done.stderr)

    def test_the_files_that_come_with_weir_are_good(self):
        conf = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf")
        names = [n for n in os.listdir(conf) if n.endswith(".yaml")]
        self.assertIn("weir.yaml", names)
        with tempfile.NamedTemporaryFile("w") as secret:  # their own are made when weir is set up
            secret.write("0123456789abcdef" * 4)
            secret.flush()
            for name in names:
                with open(os.path.join(conf, name)) as f:
                    done = self.check(re.sub(r"_file: /\S+", "_file: " + secret.name, f.read()))
                self.assertEqual(done.returncode, 0, name + ": " + done.stderr)

    def test_listen_and_origin_without_a_file(self):
        one = self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"one"))
        two = self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"two"))
        port = free_port()
        node = self.node(args=["--listen", "%s:%d" % (LOOPBACK, port), "--origin", one.url, "--origin", two.url])
        self.assertEqual({get((LOOPBACK, port)).text for _ in range(40)}, {"one", "two"})
        self.assertTrue(node.running)


class Listening(NodeCase):
    def test_it_says_where_it_listens(self):
        config = settings(self.origin())
        node = self.node(config)
        self.assertIn("listening on " + config["listen"][0]["address"], node.log())

    def test_a_port_that_is_taken_is_named_with_its_cause(self):
        with socket.socket() as taken:
            taken.bind((LOOPBACK, 0))
            taken.listen()
            address = "%s:%d" % taken.getsockname()
            node = nodes.Node(settings(self.origin(), listen=[{"address": address}]))
            self.addCleanup(node.stop)
            node.spawn()
            node.expect_exit = node.wait()
            self.assertNotEqual(node.expect_exit, 0)
            self.assertIn(address, node.log())
            self.assertRegex(node.log().lower(), "address already in use")

    def test_an_address_that_is_not_ours_is_named_with_its_cause(self):
        node = nodes.Node(settings(self.origin(), listen=[{"address": "192.0.2.1:8080"}]))
        self.addCleanup(node.stop)
        node.spawn()
        node.expect_exit = node.wait()
        self.assertNotEqual(node.expect_exit, 0)
        self.assertIn("192.0.2.1:8080", node.log())
        self.assertRegex(node.log().lower(), "cannot assign requested address")

    def test_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weir.sock")
            node = self.node(settings(self.origin(), listen=[{"address": "unix:" + path, "mode": "0600"}]))
            self.assertEqual(get(path).body, b"origin")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            node.stop()

    def test_a_unix_socket_left_behind_is_taken_over(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weir.sock")
            with socket.socket(socket.AF_UNIX) as old:
                old.bind(path)
            node = self.node(settings(self.origin(), listen=[{"address": "unix:" + path}]))
            self.assertEqual(get(path).body, b"origin")
            node.stop()

    def test_ipv6(self):
        port = free_port("::1")
        self.node(settings(self.origin(), listen=[{"address": "[::1]:%d" % port}]))
        self.assertEqual(get(("::1", port)).body, b"origin")

    def test_several_listeners(self):
        ports = [free_port(), free_port()]
        self.node(settings(self.origin(), listen=[{"address": "%s:%d" % (LOOPBACK, p)} for p in ports]))
        for port in ports:
            self.assertEqual(get((LOOPBACK, port)).body, b"origin")

    def test_all_addresses_of_both_families(self):
        port = free_port("::1")
        self.node(settings(self.origin(), listen=[{"address": ":%d" % port}]))
        self.assertEqual(get(("::1", port)).body, b"origin")
        self.assertEqual(get((LOOPBACK, port)).body, b"origin")

    def test_many_workers_all_serve(self):
        node = self.front(self.origin(), node={"workers": 8})
        self.assertEqual({node.get("/").status for _ in range(100)}, {200})
        threads = len(os.listdir("/proc/%d/task" % node.pid))
        self.assertGreaterEqual(threads, 8)

    def test_every_loop_sleeps_when_there_is_nothing_to_do(self):
        node = self.front(self.origin(), node={"workers": 4})
        node.get("/")
        before = node.cpu_seconds()
        client = self.client(node)
        self.assertFalse(client.readable(1))
        self.assertLess(node.cpu_seconds() - before, 0.2)
        self.assertIsNone(re.search(r" error ", node.log()))
