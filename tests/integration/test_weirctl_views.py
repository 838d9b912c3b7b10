"""weirctl's view of a farm, against a node that is a script: pictures, exit statuses, JSON, words, reloads, top."""
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import threading
import unittest

from lib.ctl import weirctl, weirctl_binary
from lib.fake_admin import FakeAdmin, sample
from lib.schema import check
from lib.wait import wait_until

FINE, DEGRADED, DOWN, USAGE = 0, 1, 2, 3
ORIGIN = ("app", "http://10.0.0.3:3000")


class AdminCase(unittest.TestCase):
    maxDiff = 4000

    def admin(self, **answers):
        fake = FakeAdmin(**answers)
        self.addCleanup(fake.stop)
        return fake

    def run_at(self, fake, *args, status=FINE, **kw):
        done = weirctl(*args, socket=fake.socket, **kw)
        self.assertEqual(done.returncode, status, (args, done.stdout, done.stderr))
        return done


def fine(**members):
    farm = sample()
    farm.update(status="fine", faults=[], **members)
    return farm


def fault(severity, code):
    return {"severity": severity, "code": code, "where": "x", "what": "y"}


class Shown(AdminCase):
    def test_the_sample_is_what_a_node_would_answer(self):
        check(sample(), "farm")

    def test_status_says_what_is_wrong_first(self):
        fake = self.admin()
        text = self.run_at(fake, "status", status=DEGRADED, environment={"COLUMNS": "100"}).stdout
        self.assertTrue(text.startswith("shop  degraded  2 of 3 nodes ready"), text)
        for part in ("faults", "nodes", "origins", "words in force", "redis"):
            self.assertIn("\n\n%s\n" % part, text)
        self.assertLess(text.index("connection refused"), text.index("VERSION"))
        self.assertRegex(text, r"(?m)^  origin +app http://10\.0\.0\.3:3000 +drain +ana +25m +new kernel$")
        self.assertRegex(text, r"(?m)^  redis +cluster +6 up +16,384 of 16,384$")
        self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_exit_statuses_are_by_what_is_of_concern(self):
        rows = (([], FINE, FINE, FINE, FINE),
                ([fault("info", "origin_held")], FINE, FINE, FINE, FINE),
                ([fault("degraded", "twin")], DEGRADED, DEGRADED, FINE, FINE),
                ([fault("degraded", "origin_down")], DEGRADED, FINE, DEGRADED, FINE),
                ([fault("down", "upstream_down")], DOWN, FINE, DOWN, FINE),
                ([fault("down", "nodes_none_ready"), fault("degraded", "redis_node")], DOWN, DOWN, FINE, FINE),
                ([fault("degraded", "words_pending")], DEGRADED, FINE, FINE, DEGRADED),
                ([fault("degraded", "redis_slots")], DEGRADED, FINE, FINE, FINE))
        fake = self.admin()
        for faults, *expected in rows:
            fake.answers["/v1/farm"] = dict(sample(), faults=faults)
            for command, status in zip(("status", "nodes", "origins", "words"), expected):
                with self.subTest(faults=faults, command=command):
                    self.run_at(fake, command, status=status)
                    self.run_at(fake, command, "--json", status=status)

    def test_json_keeps_to_the_schemas(self):
        fake = self.admin(**{"/v1/limits": {"limits": [], "top": []},
                             "/v1/config": {"hash": "00", "file": None, "config": {"listen": []}}})
        for command, schema in ((("status",), "farm"), (("nodes",), "weirctl-nodes"), (("origins",), "weirctl-origins"),
                                (("words",), "words"), (("config", "drift"), "weirctl-nodes"), (("top", "--once"), "farm")):
            with self.subTest(command=command):
                check(json.loads(weirctl(*command, "--json", socket=fake.socket).stdout), schema)

    def test_lists(self):
        fake = self.admin()
        self.assertRegex(self.run_at(fake, "nodes", status=DEGRADED).stdout, r"(?m)^  n1 \* +ready +0\.1\.0 ")
        shown = self.run_at(fake, "origins", "--upstream", "app", status=DEGRADED).stdout
        self.assertIn("2 down, 1 up", shown)
        self.assertIn("ana: drain, new kernel", shown)
        shown = self.run_at(fake, "origins", "--upstream", "other", status=DEGRADED).stdout
        self.assertNotIn("2 down", shown)
        for upstream, some in (("app", True), ("other", False)):
            shown = self.run_at(fake, "origins", "--json", "--upstream", upstream, status=DEGRADED).stdout
            self.assertEqual(bool(json.loads(shown)["origins"]), some, upstream)
        self.assertRegex(self.run_at(fake, "words").stdout, r"origin +app http://10.0.0.3:3000 +drain +ana")
        self.assertRegex(self.run_at(fake, "config", "drift", status=DEGRADED).stdout, r"(?m)^n3 +drift +77e0210000000002")
        fake.answers["/v1/farm"] = fine(words=[])
        self.assertEqual(self.run_at(fake, "words").stdout, "nothing is said\n")

    def test_the_configuration_is_shown_as_it_is_read(self):
        fake = self.admin(**{"/v1/config": {"hash": "0123", "file": "/etc/weir.yaml", "config": {"listen": [1]}}})
        head, _, rest = self.run_at(fake, "config").stdout.partition("\n")
        self.assertEqual(head, "# hash 0123, file /etc/weir.yaml")
        self.assertEqual(json.loads(rest), {"listen": [1]})

    def test_nothing_plays_with_the_terminal(self):
        evil = "\x1b[31m\x9b2J‮\x07"
        farm = sample()
        farm["farm"] = farm["nodes"][0]["id"] = farm["origins"][1]["reason"] = farm["words"][0]["reason"] = evil
        farm["faults"][0]["what"] = evil
        fake = self.admin(**{"/v1/farm": farm, "/v1/words": (400, {"error": evil})})
        for args in (("status",), ("nodes",), ("origins",), ("words",), ("top", "--once"), ("config", "drift"),
                     ("origins", "drain", *ORIGIN)):
            done = weirctl(*args, socket=fake.socket)
            for c in ("\x1b", "\x9b", "‮", "\x07"):
                self.assertNotIn(c, done.stdout + done.stderr, args)

    def test_answers_that_are_none(self):
        fake = self.admin()
        for answer, status in (((503, {"error": "no memory"}), DOWN), ((403, {"error": "the role does not reach"}), USAGE),
                               ([], USAGE), ({"nodes": 5, "faults": {}, "origins": [None, 3]}, FINE), (None, USAGE)):
            fake.answers["/v1/farm"] = answer
            self.run_at(fake, "status", status=status)


class Said(AdminCase):
    def test_each_command_says_its_word(self):
        rows = {
            ("origins", "drain", *ORIGIN, "--reason", "new kernel", "--for", "30m"):
                {"target": "origin", "name": ORIGIN[0], "url": ORIGIN[1], "kind": "drain", "reason": "new kernel", "for_s": 1800},
            ("origins", "disable", *ORIGIN): {"target": "origin", "name": ORIGIN[0], "url": ORIGIN[1], "kind": "disable"},
            ("origins", "up", *ORIGIN): {"target": "origin", "name": ORIGIN[0], "url": ORIGIN[1], "kind": "up"},
            ("origins", "enable", *ORIGIN): {"target": "origin", "name": ORIGIN[0], "url": ORIGIN[1], "kind": "nothing"},
            ("origins", "weight", *ORIGIN, "7"):
                {"target": "origin", "name": ORIGIN[0], "url": ORIGIN[1], "kind": "weight", "weight": 7},
            ("origins", "weight", *ORIGIN, "default"):
                {"target": "origin", "name": ORIGIN[0], "url": ORIGIN[1], "kind": "nothing", "weight_only": True},
            ("maintenance", "on", "app"): {"target": "upstream", "name": "app", "kind": "maintenance"},
            ("maintenance", "off", "app"): {"target": "upstream", "name": "app", "kind": "nothing"},
            ("drain", "n2"): {"target": "node", "name": "n2", "kind": "drain"},
            ("unready", "n2", "--for", "1s"): {"target": "node", "name": "n2", "kind": "unready", "for_s": 1},
            ("ready", "n2"): {"target": "node", "name": "n2", "kind": "nothing"},
            ("undrain", "n2"): {"target": "node", "name": "n2", "kind": "nothing"},
            ("unready",): {"target": "node", "name": "n1", "kind": "unready"},
        }
        fake = self.admin(**{"/v1/words": {"outcome": "said", "number": 1}, "/v1/node": sample()["nodes"][0]})
        for args, word in rows.items():
            with self.subTest(args=args):
                self.run_at(fake, *args)
                self.assertEqual(fake.asked[-1], ("POST", "/v1/words", word))

    def test_what_is_not_safe_yet_is_1(self):
        fake = self.admin()
        for outcome, status in (("said", FINE), ("unconfirmed", DEGRADED), ("here_only", DEGRADED)):
            fake.answers["/v1/words"] = (202 if outcome == "here_only" else 200, {"outcome": outcome, "number": 5})
            self.run_at(fake, "origins", "drain", *ORIGIN, status=status)
            done = self.run_at(fake, "origins", "drain", *ORIGIN, "--json", status=status)
            check(json.loads(done.stdout), "said")
        fake.answers["/v1/words"] = (404, {"error": "there is no such origin"})
        self.run_at(fake, "origins", "drain", *ORIGIN, status=USAGE)

    def test_a_weight_that_is_none_is_3(self):
        fake = self.admin()
        for weight in ("0", "1001", "x", "7x", ""):
            self.run_at(fake, "origins", "weight", *ORIGIN, weight, status=USAGE)
        self.assertEqual(fake.asked, [])

    def test_this_node_drains_when_none_is_named(self):
        fake = self.admin(**{"/v1/drain": (202, {"outcome": "draining"})})
        self.run_at(fake, "drain", "--reason", "old disk")
        self.assertEqual(fake.asked, [("POST", "/v1/drain", {"reason": "old disk"})])


class Reloading(AdminCase):
    """Nodes that follow an order some looks later, as each test says."""

    def farm(self, behave):
        farm, self.orders, number = fine(), [], 100

        def words(word):
            nonlocal number
            number += 1
            self.orders.append(word["name"])
            for node in farm["nodes"]:
                if word["name"] in ("", node["id"]):
                    node["order"] = number
            return {"outcome": "said", "number": number}

        def look(_):
            for node in farm["nodes"]:
                if "order" in node:
                    behave(node, node["order"])
            return farm
        for node in farm["nodes"]:
            node["ready"] = True
        return self.admin(**{"/v1/words": words, "/v1/farm": look})

    @staticmethod
    def good(node, order):
        node["config"]["last_reload"] = {"order": order, "ok": True, "error": None, "at": 1}

    def test_rolling_takes_one_after_the_other_the_asked_one_last(self):
        fake = self.farm(self.good)
        done = self.run_at(fake, "reload", "--rolling", "--json")
        answer = json.loads(done.stdout)
        check(answer, "weirctl-reload")
        self.assertEqual(self.orders, ["n2", "n3", "n1"])
        self.assertEqual([n["id"] for n in answer["nodes"]], ["n2", "n3", "n1"])

    def test_it_waits_until_a_node_is_ready_again(self):
        seen = []

        def behave(node, order):
            self.good(node, order)
            seen.append(node["id"])
            node["ready"] = seen.count(node["id"]) > 2
        fake = self.farm(behave)
        self.run_at(fake, "reload", "--rolling")
        self.assertEqual(self.orders, ["n2", "n3", "n1"])
        self.assertGreater(seen.count("n2"), 2)

    def test_it_stops_at_the_first_failure(self):
        def behave(node, order):
            self.good(node, order)
            if node["id"] == "n3":
                node["config"]["last_reload"].update(ok=False, error="line 3: no such key")
        fake = self.farm(behave)
        done = self.run_at(fake, "reload", "--rolling", status=DOWN)
        self.assertRegex(done.stdout, r"\An2: reloaded in .*\nn3: failed: line 3: no such key\nstopped: 1 of 3 nodes")
        self.assertEqual(self.orders, ["n2", "n3"])

    def test_a_node_that_says_nothing_is_a_failure(self):
        fake = self.farm(lambda node, order: None)
        done = self.run_at(fake, "reload", "n2", "--timeout", "300ms", status=DOWN)
        self.assertIn("n2: failed: it does not tell in time", done.stdout)

    def test_an_older_order_is_not_this_one(self):
        fake = self.farm(lambda node, order: self.good(node, order - 1))
        self.run_at(fake, "reload", "n2", "--timeout", "300ms", status=DOWN)

    def test_all_at_once_is_one_word(self):
        fake = self.farm(self.good)
        self.run_at(fake, "reload", "--all")
        self.assertEqual(self.orders, [""])

    def test_a_node_that_is_not_there(self):
        fake = self.farm(self.good)
        self.run_at(fake, "reload", "n9", status=USAGE)
        self.assertEqual(self.orders, [])

    def test_this_node_answers_itself(self):
        fake = self.admin(**{"/v1/reload": {"ok": True, "error": None, "config": "00ff", "took_ms": 12}})
        self.assertIn("12 ms", self.run_at(fake, "reload").stdout)
        fake.answers["/v1/reload"] = (409, {"ok": False, "error": "line 1", "config": "00ff", "took_ms": 1})
        self.assertIn("line 1", self.run_at(fake, "reload", status=DOWN).stderr)


class Screen:
    """weirctl top on a terminal of its own; what it has written, with the movements of the cursor in it."""

    def __init__(self, *args, lines=24, columns=100, term="xterm"):
        self.main, other = pty.openpty()
        self.resize(lines, columns)
        self.text = b""
        self.process = subprocess.Popen([weirctl_binary(), "top", *args], stdin=other, stdout=other, stderr=subprocess.PIPE,
                                        env=dict(os.environ, TERM=term, LC_ALL="C.UTF-8"), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(other)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            while data := os.read(self.main, 65536):
                self.text += data
        except OSError:
            pass

    def resize(self, lines, columns):
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys):
        self.text = b""
        os.write(self.main, keys.encode())

    def shows(self, text):
        wait_until(lambda: text.encode() in self.text, what="%r on the screen: %r" % (text, self.text[-2000:]))

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.process.stderr.close()
        self.thread.join()
        os.close(self.main)


class Top(AdminCase):
    def screen(self, *args, **kw):
        screen = Screen(*args, **kw)
        self.addCleanup(screen.end)
        return screen

    def test_without_a_terminal_it_says_so(self):
        fake = self.admin()
        self.assertIn("--once", self.run_at(fake, "top", status=USAGE).stderr)

    def test_one_picture_for_scripts(self):
        fake = self.admin()
        text = self.run_at(fake, "top", "--once", "--sort", "requests", status=DEGRADED).stdout
        self.assertIn("by requests", text)
        self.assertNotIn("\x1b", text)
        self.run_at(fake, "top", "--once", "--sort", "size", status=USAGE)

    def test_two_looks_give_rates(self):
        counts = iter((1000, 1050, 1100))

        def farm(_):
            now = fine()
            now["origins"][0]["requests"] = next(counts)
            return now
        fake = self.admin(**{"/v1/farm": farm})
        text = self.run_at(fake, "top", "--once", "--interval", "250ms").stdout
        rate = float(text[text.index("http://10.0.0.1"):].splitlines()[0].split()[5].replace(",", ""))
        self.assertTrue(20 < rate <= 200, text)

    def test_keys_are_obeyed(self):
        fake = self.admin()
        screen = self.screen("--socket", fake.socket, "--interval", "250ms")
        screen.shows("by name")
        screen.press("r")
        screen.shows("requests")
        screen.press("/")
        screen.shows("Enter")
        screen.press("n2\n")
        screen.shows("q quit")
        screen.press("q")
        self.assertEqual(screen.process.wait(30), FINE)
        self.assertEqual(screen.process.stderr.read(), b"")

    def test_the_picture_follows_the_size_of_the_terminal(self):
        fake = self.admin()
        screen = self.screen("--socket", fake.socket, columns=60)
        screen.shows("REQ/S")
        self.assertNotIn(b"MEMORY", screen.text)
        screen.text = b""
        screen.resize(30, 140)
        screen.shows("MEMORY")
        screen.resize(3, 10)
        screen.press("q")
        self.assertEqual(screen.process.wait(30), FINE)

    def test_when_the_node_goes_the_last_picture_stays(self):
        fake = self.admin()
        screen = self.screen("--socket", fake.socket, "--interval", "250ms")
        screen.shows("by name")
        fake.stop()
        screen.shows("no answer")
        screen.press("q")
        self.assertEqual(screen.process.wait(30), FINE)
        self.assertEqual(screen.process.stderr.read(), b"")

    def test_a_terminal_that_nobody_knows(self):
        fake = self.admin()
        screen = self.screen("--socket", fake.socket, term="no-such-terminal")
        self.assertEqual(screen.process.wait(30), USAGE)
        self.assertIn(b"TERM", screen.process.stderr.read())


class Completion(AdminCase):
    """The bash function itself, as bash calls it."""

    def complete(self, line, *args):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf/completion/weirctl")
        text = 'source %s; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weirctl; printf "%%s\\n" "${COMPREPLY[@]}"' % script
        done = subprocess.run(["bash", "--norc", "-c", text, "bash", weirctl_binary(), *line], capture_output=True, text=True,
                              cwd=os.path.dirname(script), env=dict(os.environ, **dict((("WEIR_SOCKET", "/nonexistent"), *args))))
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands_and_options(self):
        self.assertEqual(self.complete(["sta"]), ["status"])
        self.assertEqual(self.complete(["origins", "d"]), ["drain", "disable"])
        self.assertEqual(self.complete(["-s", "x", "cache", ""]), ["stats", "get", "purge"])
        self.assertIn("--rolling", self.complete(["reload", "--"]))
        self.assertNotIn("--rolling", self.complete(["status", "--"]))
        self.assertEqual(self.complete(["top", "--sort", "re"]), ["requests"])

    def test_files(self):
        self.assertEqual(self.complete(["--socket", "weirc"]), ["weirctl"])

    def test_names_come_from_the_farm(self):
        place = ("WEIR_SOCKET", self.admin().socket)
        self.assertEqual(self.complete(["reload", "n"], place), ["n1", "n2", "n3"])
        self.assertEqual(self.complete(["origins", "drain", ""], place), ["app"])
        self.assertEqual(self.complete(["origins", "drain", "app", "http", ":", "//10.0.0.3"], place), ["//10.0.0.3:3000"])
        self.assertEqual(self.complete(["reload", "n"]), [])
