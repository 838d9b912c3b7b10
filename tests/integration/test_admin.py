"""The admin API: HTTP and JSON over a Unix socket on the control thread."""
import os
import pwd
import re
import stat
import threading
import urllib.parse

from lib.case import NodeCase
from lib.client import Client
from lib.ctl import weirctl
from lib.node import Node, settings
from lib.wait import wait_until

HOUR = {"Cache-Control": "max-age=3600"}


def entry(node, url, *fields):
    query = urllib.parse.urlencode([("url", url)] + [("field", f) for f in fields])
    return node.admin(path="/v1/cache/entry?" + query)


class Socket(NodeCase):
    def test_it_has_its_mode_and_goes_with_the_node(self):
        node = self.front(self.origin(), admin={"mode": "0600"})
        self.assertEqual(stat.S_IMODE(os.stat(node.admin_socket).st_mode), 0o600)
        self.assertEqual(node.admin()[0], 200)
        node.kill_now()
        node.wait()
        self.assertFalse(os.path.exists(node.admin_socket))

    def test_off_is_none(self):
        node = self.front(self.origin(), admin={"socket": "off"})
        self.assertFalse(os.path.exists(node.path("admin.sock")))
        self.assertEqual(node.get("/").status, 200)

    def test_a_named_socket_of_another_node_keeps_this_one_from_starting(self):
        first = self.front(self.origin())
        second = Node(settings(self.origin(), admin={"socket": first.admin_socket}))
        self.addCleanup(second.stop)
        second.expect_exit = 1
        second.spawn()
        self.assertEqual(second.wait(), 1)
        self.assertIn("another node listens there", second.log())
        self.assertEqual(first.admin()[0], 200)

    def test_what_a_killed_node_left_is_replaced(self):
        first = self.front(self.origin())
        first.expect_exit = -9
        first.process.kill()
        first.wait()
        self.assertTrue(os.path.exists(first.admin_socket))
        second = self.front(self.origin(), admin={"socket": first.admin_socket})
        self.assertEqual(second.admin()[1]["node"]["pid"], second.pid)

    def test_auto_takes_the_folder_of_the_session_when_there_is_no_other(self):
        node = Node(settings(self.origin(), admin={"socket": "auto"}))
        self.addCleanup(node.stop)
        node.environment["XDG_RUNTIME_DIR"] = node.dir
        node.start()
        found = re.search(r"admin socket at (\S+)|(no admin socket)", node.log())
        self.assertTrue(found, node.log())
        if found.group(2):  # as root, when another test or a service has /run/weir
            return
        self.assertIn(found.group(1), ["/run/weir/admin.sock", node.path("weir/admin.sock")])
        node.admin_socket = found.group(1)
        self.assertEqual(node.admin()[1]["node"]["pid"], node.pid)

    def test_a_relative_path_is_a_fault_of_the_configuration(self):
        node = Node(settings(self.origin(), admin={"socket": "here.sock"}))
        self.addCleanup(node.stop)
        node.expect_exit = 2
        node.spawn()
        self.assertEqual(node.wait(), 2)
        self.assertIn("admin.socket", node.log())

    def test_a_drain_keeps_it_until_the_end(self):
        release = threading.Event()
        origin = self.origin()
        origin.on("/slow", lambda x: (release.wait(40), x.reply(200, {}, b"late")))
        node = self.front(origin)
        client = self.client(node)
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        origin.wait_count(1, "/slow")
        node.signal(15)
        node.wait_log("draining")
        self.assertEqual(node.admin()[0], 200)
        release.set()
        self.assertEqual(client.response().body, b"late")
        client.close()
        self.assertEqual(node.wait(), 0)
        self.assertFalse(os.path.exists(node.admin_socket))


class Reload(NodeCase):
    def test_it_moves(self):
        origin = self.origin()
        node = self.front(origin)
        old, new = node.admin_socket, node.path("other.sock")
        self.assertTrue(node.reload(settings(origin, listen=self.listen(node), admin={"socket": new})))
        self.assertFalse(os.path.exists(old))
        self.assertEqual(node.admin_socket, new)
        self.assertEqual(node.admin()[0], 200)

    def test_it_can_be_turned_off_and_on(self):
        origin = self.origin()
        node = self.front(origin)
        path = node.admin_socket
        self.assertTrue(node.reload(settings(origin, listen=self.listen(node), admin={"socket": "off"})))
        self.assertFalse(os.path.exists(path))
        self.assertTrue(node.reload(settings(origin, listen=self.listen(node), admin={"socket": path})))
        self.assertEqual(node.admin()[0], 200)

    def test_its_mode_changes(self):
        origin = self.origin()
        node = self.front(origin)
        self.assertTrue(node.reload(settings(origin, listen=self.listen(node), admin={"mode": "0600"})))
        self.assertEqual(stat.S_IMODE(os.stat(node.admin_socket).st_mode), 0o600)
        node.kill_now()
        node.wait()
        self.assertFalse(os.path.exists(node.admin_socket))

    def test_one_that_cannot_be_had_changes_nothing(self):
        origin = self.origin()
        node, other = self.front(origin), self.front(origin)
        path = node.admin_socket
        self.assertFalse(node.reload(settings(origin, listen=self.listen(node), admin={"socket": other.admin_socket})))
        node.admin_socket = path
        self.assertEqual(node.admin()[1]["node"]["pid"], node.pid)
        self.assertEqual(other.admin()[1]["node"]["pid"], other.pid)

    def listen(self, node):
        return [{"address": "%s:%d" % node.address}]


class Requests(NodeCase):
    def setUp(self):
        self.node_ = self.front(self.origin())

    def test_an_unknown_endpoint_is_404(self):
        status, answer = self.node_.admin(path="/v1/nothing")
        self.assertEqual(status, 404)
        self.assertIn("endpoint", answer["error"])

    def test_another_method_is_405(self):
        self.assertEqual(self.node_.admin("POST", "/v1/cache/stats")[0], 405)
        self.assertEqual(self.node_.admin("GET", "/v1/cache/purge")[0], 405)

    def test_content_that_is_no_json_is_400(self):
        for content in ("", "{", "[]", "1", '{"scope":"all","scope":"url"}', "\xff", "{}x"):
            with self.subTest(content=content):
                self.assertEqual(self.node_.admin("POST", "/v1/cache/purge", content)[0], 400)

    def test_purges_that_are_not_meant_so_are_400(self):
        wrong = [
            {}, {"scope": "everything"}, {"scope": 1}, {"scope": "all", "mode": "medium"}, {"scope": "all", "mode": 1},
            {"scope": "all", "url": "http://a/"}, {"scope": "url"}, {"scope": "url", "url": 7},
            {"scope": "url", "url": []}, {"scope": "url", "url": ["http://a/", 1]}, {"scope": "url", "url": "/a"},
            {"scope": "url", "url": "ftp://a/"}, {"scope": "url", "url": "http://a/%zz"},
            {"scope": "url", "url": ["http://a/", "http://a/../.."]}, {"scope": "prefix", "prefix": "news"},
            {"scope": "prefix", "prefix": "http://a/b?c"}, {"scope": "prefix", "prefix": "/" + "x" * 5000},
            {"scope": "host", "host": "a b"}, {"scope": "host", "host": ""}, {"scope": "tag", "tag": ""},
            {"scope": "tag", "tag": "a b"}, {"scope": "tag", "tag": ["ok", "x" * 2000]},
            {"scope": "tag", "tags": ["a"]}, {"scope": "all", "soft": True},
        ]
        for body in wrong:
            with self.subTest(body=str(body)[:80]):
                status, answer = self.node_.admin("POST", "/v1/cache/purge", body)
                self.assertEqual(status, 400, answer)
                self.assertTrue(answer["error"])
        self.assertEqual(self.node_.admin()[1]["purges"]["sequence"], 0)

    def test_content_beyond_64_kib_is_413(self):
        self.assertEqual(self.node_.admin("POST", "/v1/cache/purge", b"x" * 70000)[0], 413)

    def test_a_request_that_is_no_http_ends_its_connection_alone(self):
        with Client(self.node_.admin_socket) as client:
            client.send(b"\x16\x03\x01 nonsense\r\n\r\n")
            try:
                client.source.rest()
            except ConnectionError:
                pass
        self.assertEqual(self.node_.admin()[0], 200)

    def test_a_slow_client_holds_nobody_up(self):
        slow = [Client(self.node_.admin_socket) for _ in range(20)]
        for client in slow:
            self.addCleanup(client.close)
            client.send(b"POST /v1/cache/purge HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        self.assertEqual(self.node_.admin()[0], 200)
        self.assertEqual(self.node_.get("/").status, 200)
        for client in slow:
            client.send(b" " * 99)
            self.assertEqual(client.response().status, 400)

    def test_a_connection_may_be_used_again(self):
        with Client(self.node_.admin_socket) as client:
            for _ in range(3):
                client.send(b"GET /v1/cache/stats HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(client.response().status, 200)


class Stats(NodeCase):
    def test_it_counts_what_happened(self):
        origin = self.origin()
        origin.on("/a", lambda x: x.reply(200, HOUR, b"x" * 1000))
        origin.on("/private", lambda x: x.reply(200, {"Cache-Control": "private"}, b"x" * 10))
        node = self.front(origin)
        for path in ("/a", "/a", "/a", "/private", "/private"):
            self.assert_status(node.get(path), 200)
        self.assert_status(node.ask("POST", "/b"), 200)
        s = wait_until(lambda: self.settled(node, 6), what="six look-ups are counted")
        self.assertEqual(s["requests"]["hits"], 2)
        self.assertEqual(s["requests"]["passes_by_reason"]["method"], 1)
        self.assertEqual(s["requests"]["passes_by_reason"]["hit-for-miss"], 1)
        self.assertEqual(s["requests"]["passes"], sum(s["requests"]["passes_by_reason"].values()))
        self.assertAlmostEqual(s["requests"]["hit_ratio"], 2 / 6)
        self.assertEqual(s["content"]["hit_bytes"], 2000)
        self.assertEqual(s["content"]["forwarded_bytes"], 1000 + 20 + len("origin"))
        self.assertTrue(s["enabled"])
        self.assertEqual(s["stored"]["fills"], 0)
        self.assertEqual(s["stored"]["markers"], 1)
        self.assertEqual(s["memory"]["limit_bytes"], 256 << 20)
        self.assertGreater(s["memory"]["used_bytes"], 1000)
        self.assertEqual(s["node"]["pid"], node.pid)

    def settled(self, node, lookups):
        stats = node.admin()[1]
        return stats if stats["requests"]["lookups"] == lookups else None

    def test_a_fetch_under_way_is_seen(self):
        release = threading.Event()
        origin = self.origin(lambda x: (release.wait(40), x.reply(200, HOUR, b"late")))
        node = self.front(origin)
        client = self.client(node)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        origin.wait_count(1)
        self.assertEqual(node.admin()[1]["stored"]["fills"], 1)
        release.set()
        client.response()
        wait_until(lambda: node.admin()[1]["stored"]["fills"] == 0, what="the fetch is over")

    def test_a_node_without_a_cache_says_so(self):
        node = self.front(self.origin(), cache={"memory": 0})
        s = node.admin()[1]
        self.assertFalse(s["enabled"])
        self.assertIsNone(s["requests"]["hit_ratio"])
        self.assertEqual(node.admin("POST", "/v1/cache/purge", {"scope": "all"})[0], 409)
        self.assertEqual(entry(node, "http://a/")[1]["stored"], [])


class Metrics(NodeCase):
    def test_they_are_what_prometheus_reads(self):
        origin = self.origin(lambda x: x.reply(200, HOUR, b"x"))
        node = self.front(origin)
        node.get("/")
        node.get("/")
        status, text = node.admin(path="/metrics")
        self.assertEqual(status, 200)
        names = set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                self.assertRegex(line, r"\A# TYPE weir_\w+ (counter|gauge)\Z")
                names.add(line.split()[2])
            elif not line.startswith("# HELP "):
                found = re.fullmatch(r'(weir_\w+)(\{\w+="[^"\\]*"(,\w+="[^"\\]*")*\})? (-?\d+)', line)
                self.assertTrue(found, line)
                self.assertIn(found.group(1), names)
        self.assertRegex(text, r"(?m)^weir_cache_hits_total 1$")
        self.assertRegex(text, r"(?m)^weir_requests_total 2$")
        self.assertRegex(text, r"(?m)^weir_cache_stored_responses 1$")
        self.assertRegex(text, r"(?m)^weir_members_live 1$")
        self.assertRegex(text, r'(?m)^weir_origin_up\{upstream="\w+",url="%s"\} 1$' % re.escape(origin.url))
        self.assertRegex(text, r'(?m)^weir_origin_requests_by_origin_total\{upstream="\w+",url="[^"]*"\} 1$')


class Entry(NodeCase):
    def url(self, path):
        return "http://test.example" + path

    def test_it_tells_what_is_stored(self):
        origin = self.origin()
        origin.on("/a", lambda x: x.reply(200, {
            "Cache-Control": "max-age=60, stale-while-revalidate=7, stale-if-error=9", "ETag": '"v1"', "Age": "10"},
            b"x" * 3000))
        node = self.front(origin)
        node.get("/a?b=1")
        status, answer = entry(node, self.url("/c/../%61?b=1"))
        self.assertEqual(status, 200)
        self.assertEqual(answer["url"], self.url("/a?b=1"))
        self.assertTrue(answer["route"]["caches"])
        self.assertEqual(answer["route"]["key"]["query"], "all")
        (s,) = answer["stored"]
        self.assertEqual((s["kind"], s["status"], s["state"], s["chosen"]), ("response", 200, "fresh", True))
        self.assertEqual((s["lifetime_s"], s["stale_while_revalidate_s"], s["stale_if_error_s"]), (60, 7, 9))
        self.assertIn(s["age_s"], (10, 11))
        self.assertEqual(s["ttl_s"], 60 - s["age_s"])
        self.assertEqual((s["etag"], s["body_bytes"]), ('"v1"', 3000))
        self.assertGreater(s["cost_bytes"], 3000)
        self.assertIn(["ETag", '"v1"'], s["fields"])

    def test_forms_are_told_with_their_sizes(self):
        text = b"words that come again and again, " * 1000
        node = self.front(self.origin(lambda x: x.reply(200, dict(HOUR, **{"Content-Type": "text/plain"}), text)))
        node.get("/", {"Accept-Encoding": "gzip"})

        def coded():
            node.get("/", {"Accept-Encoding": "gzip"})
            (s,) = entry(node, self.url("/"), "Accept-Encoding: gzip")[1]["stored"]
            forms = {f["coding"]: f["bytes"] for f in s["forms"]}
            return forms if "gzip" in forms else None
        forms = wait_until(coded, what="the content is there in gzip")
        self.assertLess(forms["gzip"], len(text) / 5)
        self.assertGreater(node.admin()[1]["stored"]["forms"], 0)

    def test_looking_is_no_use(self):
        node = self.front(self.origin(lambda x: x.reply(200, HOUR, b"x")))
        node.get("/")
        wait_until(lambda: node.admin()[1]["requests"]["lookups"] == 1, what="the request is counted")
        before = node.admin()[1]["requests"]
        for _ in range(5):
            self.assertEqual(entry(node, self.url("/"))[1]["stored"][0]["uses"], 0)
        self.assertEqual(node.admin()[1]["requests"], before)

    def test_variants_tell_what_they_are_for_and_which_one_a_request_gets(self):
        origin = self.origin(lambda x: x.reply(200, dict(HOUR, Vary="Accept-Language"), b"x"))
        node = self.front(origin)
        for language in ("de", "en"):
            node.get("/", {"Accept-Language": language})
        node.get("/")
        _, answer = entry(node, self.url("/"), "Accept-Language: de")
        chosen = {s["variant"]["accept-language"]: s["chosen"] for s in answer["stored"]}
        self.assertEqual(chosen, {"de": True, "en": False, None: False})
        _, answer = entry(node, self.url("/"))
        self.assertEqual([s["variant"]["accept-language"] for s in answer["stored"] if s["chosen"]], [None])

    def test_a_marker_tells_why(self):
        node = self.front(self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"x")))
        node.get("/")
        (s,) = entry(node, self.url("/"))[1]["stored"]
        self.assertEqual((s["kind"], s["why"], s["state"]), ("marker", "no-store", "in-force"))
        self.assertGreater(s["ttl_s"], 100)

    def test_what_a_proxy_in_front_handed_on_as_http_is_found_as_https(self):
        node = self.front(self.origin(lambda x: x.reply(200, HOUR, b"x")))
        node.get("/")
        _, answer = entry(node, self.url("/").replace("http:", "https:"))
        self.assertEqual([s["scheme"] for s in answer["stored"]], ["http"])

    def test_the_routes_rules_make_the_key(self):
        origin = self.origin(lambda x: x.reply(200, HOUR, b"x"))
        node = self.front(origin, routes=[{
            "upstream": "app",
            "cache": {"key": {"query": "except", "parameters": ["utm_*"], "sort": True, "cookies": ["lang"]}}}])
        node.get("/?b=1&a=2&utm_x=3", {"Cookie": "lang=de"})
        _, answer = entry(node, self.url("/?utm_y=9&a=2&b=1"), "Cookie: lang=de")
        self.assertEqual(len(answer["stored"]), 1)
        self.assertEqual(answer["route"]["key"]["cookies"], ["lang"])
        self.assertEqual(entry(node, self.url("/?a=2&b=1"))[1]["stored"], [])

    def test_what_is_stored_in_slices_is_told_as_ranges(self):
        size, part = 10 * 65536 + 5, 65536

        def parts(x):
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", x.request.fields["range"]).groups())
            last = min(last, size - 1)
            x.reply(206, dict(HOUR, ETag='"v"', **{"Content-Range": "bytes %d-%d/%d" % (first, last, size)}),
                    b"x" * (last - first + 1))
        node = self.front(self.origin(parts), routes=[{"upstream": "app", "cache": {"slice": "64KiB"}}])
        for first in (part + 1, 2 * part + 1, size - 1):
            self.assertEqual(node.get("/", {"Range": "bytes=%d-%d" % (first, first)}).status, 206)
        wait_until(lambda: node.admin()[1]["stored"]["responses"] == 3, what="three slices are stored")
        (s,) = entry(node, self.url("/"))[1]["stored"]
        self.assertEqual((s["kind"], s["stored"], s["fresh"], s["size_bytes"], s["complete_bytes"], s["body_bytes"]),
                         ("slices", 3, 3, part, size, 2 * part + 5))
        self.assertEqual(s["ranges"], [[part, 3 * part - 1], [10 * part, size - 1]])
        self.assertEqual(s["etag"], '"v"')
        shown = weirctl("cache", "get", "test.example/", node=node).stdout
        self.assertIn("slices of 64 KiB: 3 stored, 3 fresh; 128 KiB of 640 KiB", shown)
        self.assertIn("65536-196607, 655360-655364", shown)
        self.assertEqual(node.admin("POST", "/v1/cache/purge", {"scope": "all", "mode": "hard"})[0], 200)
        self.assertEqual(entry(node, self.url("/"))[1]["stored"], [])

    def test_a_url_no_route_takes_has_none(self):
        node = self.front(self.origin(), routes=[{"upstream": "app", "match": {"hosts": ["only.example"]}}])
        status, answer = entry(node, "http://other.example/")
        self.assertEqual(status, 200)
        self.assertIsNone(answer["route"])
        self.assertEqual(answer["stored"], [])

    def test_what_is_asked_wrongly_is_400(self):
        node = self.front(self.origin())
        for url in ("", "/a", "http://", "http://a/../..", "http://a b/", "mailto:x", "*"):
            with self.subTest(url=url):
                self.assertEqual(entry(node, url)[0], 400)
        self.assertEqual(node.admin(path="/v1/cache/entry")[0], 400)
        self.assertEqual(entry(node, "http://a/", "no field")[0], 400)
        self.assertEqual(entry(node, "http://a/", *["A: b"] * 40)[0], 400)

    def test_values_that_are_no_utf8_are_told_all_the_same(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(HOUR, ETag='"\xe9\x80"'), b"x")))
        node.get("/")
        self.assertEqual(entry(node, self.url("/"))[1]["stored"][0]["etag"], '"\xe9\x80"')


class Audit(NodeCase):
    def test_each_change_is_logged_with_who_asked(self):
        node = self.front(self.origin())
        status, answer = node.admin("POST", "/v1/cache/purge", {"scope": "tag", "tag": ["a\x7fb"[0], "news"],
                                                                "mode": "hard"})
        self.assertEqual(status, 200)
        self.assertEqual((answer["scope"], answer["mode"]), ("tag", "hard"))
        self.assertGreaterEqual(answer["took_us"], 0)
        found = node.wait_log(r'audit: who=(\S+) from=unix:(\d+) did=purge target="hard tag \[\\"a\\",\\"news\\"\]" '
                              r'outcome="sequence (\d+)"')
        self.assertEqual(found.group(1), pwd.getpwuid(os.getuid()).pw_name)
        self.assertEqual(int(found.group(2)), os.getpid())
        self.assertEqual(int(found.group(3)), answer["sequence"])

    def test_numbers_rise(self):
        node = self.front(self.origin())
        numbers = [node.admin("POST", "/v1/cache/purge", body)[1]["sequence"] for body in (
            {"scope": "all"}, {"scope": "host", "host": "EXAMPLE.org:80"}, {"scope": "prefix", "prefix": "/news/"},
            {"scope": "prefix", "prefix": "https://example.org/%6eews"}, {"scope": "url", "url": "http://a/b?c"})]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(node.admin()[1]["purges"]["sequence"], numbers[-1])
