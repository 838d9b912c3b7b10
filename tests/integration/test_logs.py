"""What a node tells about each request, and about itself."""
import json
import os
import re
import signal
import threading

from lib.case import NodeCase
from lib.client import request
from lib.wait import wait_until

COMBINED = re.compile(r'(\S+) (\S+) (\S+) \[([^]]+)\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"')
FRESH = {"Cache-Control": "max-age=600"}


class Access(NodeCase):
    def front(self, *args, **kw):
        """One worker, unless told otherwise: only then is the order of the lines that of the requests."""
        kw.setdefault("node", {"workers": 1})
        return super().front(*args, **kw)

    def lines(self, node, count, name=None):
        return node.wait_access(count, name)

    def test_combined(self):
        node = self.front(self.origin(lambda x: x.reply(404, {}, b"hello")))
        node.get("/a?b=c", {"Referer": "http://from.example/", "User-Agent": "test/1"})
        line = self.lines(node, 1)[0]
        match = COMBINED.match(line)
        self.assertIsNotNone(match, line)
        self.assertEqual(match.group(1), "127.0.0.1")
        self.assertEqual(match.group(5), "GET /a?b=c HTTP/1.1")
        self.assertEqual((match.group(6), match.group(7)), ("404", "5"))
        self.assertEqual((match.group(8), match.group(9)), ("http://from.example/", "test/1"))

    def test_what_a_client_sends_cannot_forge_a_line(self):
        node = self.front(self.origin())
        node.get("/", {"User-Agent": 'x" 200 1 "forged', "Referer": "\xe4\t\\"})
        node.get("/second")
        lines = self.lines(node, 2)
        self.assertEqual(len(lines), 2)
        self.assertIsNotNone(re.match(r'\S+ \S+ \S+ \[[^]]+\] "GET / HTTP/1.1" 200 \d+ "', lines[0]), lines[0])
        self.assertNotIn('x" 200', lines[0])

    def json_lines(self, node, count):
        return [json.loads(line) for line in self.lines(node, count)]

    def test_json(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"hello"))
        node = self.front(origin, log={"access": "json"})
        node.get("/a", {"User-Agent": 'a "quoted" \\ thing'})
        node.get("/a")
        first, second = self.json_lines(node, 2)
        self.assertEqual(first["status"], 200)
        self.assertEqual(first["method"], "GET")
        text = json.dumps(first)
        self.assertIn("/a", text)
        self.assertIn("uri-miss", text)
        self.assertIn("hit", json.dumps(second))

    def test_json_stays_json_whatever_comes(self):
        node = self.front(self.origin(), log={"access": "json"})
        for value in ('"', "\\", "\t", "\xe4\xff", "</script>", "\\u0000", "\x80"):
            node.get("/", {"User-Agent": value, "Referer": value})
        self.assertEqual(len(self.json_lines(node, 7)), 7)

    def test_refused_requests_are_logged_too(self):
        node = self.front(self.origin())
        client = self.client(node)
        client.send(b"GET / HTTP/1.1\r\nA : b\r\n\r\n")
        client.response()
        self.assertIn(" 400 ", self.lines(node, 1)[0])

    def test_a_client_that_leaves_is_logged(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, {"Cache-Control": "no-store"}, b"x")))
        node = self.front(origin)
        client = self.client(node)
        client.send(request())
        origin.wait_count(1)
        client.reset()
        self.assertIn(" 499 ", self.lines(node, 1)[0])

    def test_off(self):
        node = self.front(self.origin(), log={"access": "off"})
        node.get("/")
        node.signal(signal.SIGTERM)
        node.wait()
        self.assertEqual(node.access_log(), [])

    def test_every_request_is_one_line_after_the_end(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, b"x")), node={"workers": 4})
        client = self.client(node)
        for n in range(300):
            client.ask(path="/%d" % (n % 7))
        client.close()
        node.signal(signal.SIGTERM)
        node.wait()
        self.assertEqual(len(node.access_log()), 300)

    def test_a_file_is_opened_anew_on_sigusr1(self):
        node = self.front(self.origin(), log={"access_file": "access.log", "error_file": "error.log"})
        node.get("/before")
        self.assertIn("/before", self.lines(node, 1, "access.log")[0])
        os.rename(node.path("access.log"), node.path("access.old"))
        os.rename(node.path("error.log"), node.path("error.old"))
        node.signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(node.path("access.log")) and os.path.exists(node.path("error.log")),
                   what="the files are there again")
        node.get("/after")
        self.assertIn("/after", self.lines(node, 1, "access.log")[0])
        self.assertEqual(len(node.access_log("access.old")), 1)


class Trace(NodeCase):
    PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    def sent(self, fields, **top):
        origin = self.origin()
        self.front(origin, **top).get("/", fields)
        return origin.last().fields

    def test_a_trace_is_passed_on(self):
        sent = self.sent({"traceparent": self.PARENT, "tracestate": "a=b"}, forward={"trusted": ["127.0.0.0/8"]})
        self.assertEqual(sent.all("traceparent"), [self.PARENT])
        self.assertEqual(sent["tracestate"], "a=b")

    def test_a_malformed_traceparent_is_not_passed_on(self):
        for bad in ("00-0-0-01", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff-" + self.PARENT[3:], "x"):
            sent = self.sent({"traceparent": bad}, forward={"trusted": ["127.0.0.0/8"]})
            self.assertNotIn(bad, sent.all("traceparent"))

    def test_a_request_id_of_a_trusted_peer_is_kept(self):
        sent = self.sent({"X-Request-ID": "abc-123"}, forward={"trusted": ["127.0.0.0/8"]})
        self.assertEqual(sent["x-request-id"], "abc-123")

    def test_the_request_id_field_has_the_name_asked_for_or_none(self):
        self.assertIn("x-trace", self.sent({}, forward={"request_id_field": "X-Trace"}))
        self.assertNotIn("x-request-id", self.sent({}, forward={"request_id_field": ""}))


class Errors(NodeCase):
    def test_a_failing_origin_is_in_the_error_log_with_its_cause(self):
        origin = self.origin()
        origin.stop()
        node = self.front(origin)
        node.get("/")
        node.wait_log("refused")

    def test_the_level_decides(self):
        node = self.front(self.origin(), log={"level": "info"})
        node.get("/")
        self.assertRegex(node.log(), r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info ")
        self.assertNotIn(" debug ", node.log())

    def test_a_malformed_response_names_no_client_data_raw(self):
        node = self.front(self.origin(lambda x: (x.send(b"HTTP/1.1 200 \x1b[2J\r\n\r\n"), x.close())))
        node.get("/")
        self.assertNotIn("\x1b", node.log())
