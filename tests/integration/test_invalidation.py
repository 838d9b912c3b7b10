"""What is invalidated and purged: by unsafe methods, Location and Content-Location, cache groups, tags, prefixes, hosts;
softly and for good; and that a purge during a fetch wins (RFC 9111 4.4, RFC 9875)."""
import threading

from lib.case import NodeCase
from lib.client import request
from lib.rows import HIT, MISS, VALIDATED, RowsCase, ask, get, rows
from lib.wait import wait_until

FRESH = "Cache-Control: max-age=600"
TAG = '\nETag: "a"'


class Named(NodeCase):
    """RFC 9111 4.4: Location and Content-Location of the same origin too, and of no other."""
    HOST = "test.example"

    def setUp(self):
        self.answer = (201, {})
        self.origin_ = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600"}, b"x") if x.request.method == "GET"
                                   else x.reply(*self.answer, b"" if self.answer[0] == 304 else b"done"))
        self.weir = self.front(self.origin_)
        self.number = 0

    def invalidated(self, field, reference, status=201, method="POST", host=None):
        """Is /N/x, with ?q, gone after a request to /N/d/e that was answered with this?"""
        self.number += 1
        base = "/%d" % self.number
        fields = {"Host": host or self.HOST}
        for path in ("/x", "/x?q", "/x?r"):
            self.weir.get(base + path, fields)
        self.answer = (status, {field: reference.replace("{}", base)})
        self.weir.ask(method, base + "/d/e", fields)
        self.assertTrue(self.weir.get(base + "/x?r", fields).hit)
        return "".join(path for path in ("/x", "/x?q") if not self.weir.get(base + path, fields).hit)

    def test_of_the_same_origin(self):
        for field in "Location", "Content-Location":
            for reference in ("{}/x", "http://test.example{}/x", "HTTP://TEST.example{}/x", "http://test.example:80{}/x", "//test.example{}/x",
                              "../x", "./.././x", "{}/d/.././x", "{}/%78", "{}/x#part", "{}/x#a?q", "http://test.example.{}/x"):
                with self.subTest(field=field, reference=reference):
                    self.assertEqual(self.invalidated(field, reference), "/x")
            for reference in "{}/x?q", "../x?q#f", "http://test.example{}/x?q":
                with self.subTest(field=field, reference=reference):
                    self.assertEqual(self.invalidated(field, reference), "/x?q")

    def test_of_another_origin(self):
        for field in "Location", "Content-Location":
            for reference in ("http://other.example{}/x", "https://test.example{}/x", "http://test.example:81{}/x", "//other.example{}/x",
                              "http://test.example@other.example{}/x", "http://user@test.example{}/x"):
                with self.subTest(field=field, reference=reference):
                    self.assertEqual(self.invalidated(field, reference), "")

    def test_what_is_no_reference_to_it(self):
        for reference in "urn:x", "http:x", "{}/ x", "", "#x", "?", "http://", "//", "{}/x/", "{}/X", "{}/../../../x", "http://[{}/x":
            with self.subTest(reference=reference):
                self.assertEqual(self.invalidated("Location", reference), "")

    def test_with_a_port(self):
        self.assertEqual(self.invalidated("Location", "http://test.example:8080{}/x", host="test.example:8080"), "/x")
        self.assertEqual(self.invalidated("Location", "http://test.example{}/x", host="test.example:8080"), "")

    def test_only_where_the_target_itself_is_invalidated(self):
        for status in 200, 201, 204, 301, 303, 307:
            self.assertEqual(self.invalidated("Location", "{}/x", status), "/x", status)
        for status in 400, 404, 409, 500, 503:
            self.assertEqual(self.invalidated("Location", "{}/x", status), "", status)
        for method in "OPTIONS", "PROPFIND", "QUERY":
            self.assertEqual(self.invalidated("Location", "{}/x", 200, method), "", method)


@rows
class Head(RowsCase):
    """RFC 9111 4.3.5"""
    STALE = "Cache-Control: max-age=0"
    rows = {
        "a 304 to HEAD freshens the stored GET": [
            get(STALE + TAG, MISS), ask("HEAD", VALIDATED, validation=(304, FRESH + TAG), status=200, body=b""), get(None, HIT, body=b"answer 1")],
        "a 200 with the stored tag freshens it": [
            get(STALE + TAG + "\nX-A: old", MISS),
            ask("HEAD", VALIDATED, validation=(200, FRESH + TAG + "\nX-A: new"), body=b"", fields={"x-a": "new"}),
            get(None, HIT, body=b"answer 1", fields={"x-a": "new"})],
        "a 200 with the stored date freshens it": [
            get(STALE + "\nLast-Modified: {-9999}", MISS),
            ask("HEAD", VALIDATED, validation=(200, FRESH + "\nLast-Modified: {-9999}"), body=b""), get(None, HIT, body=b"answer 1")],
        "a 200 without any validator does not": [
            get(STALE + TAG, MISS), ask("HEAD", VALIDATED, validation=(200, FRESH), body=b""), get(None, VALIDATED)],
        "a 200 with another tag does not": [
            get(STALE + TAG, MISS), ask("HEAD", VALIDATED, validation=(200, FRESH + '\nETag: "b"'), body=b""), get(None, VALIDATED)],
        "a 200 with another length does not": [
            get(STALE + TAG, MISS), ask("HEAD", VALIDATED, validation=(200, FRESH + TAG + "\nContent-Length: 99"), body=b""), get(None, VALIDATED)],
        "a 200 that has become private ends it": [
            get(STALE + TAG, MISS), ask("HEAD", VALIDATED, validation=(200, "Cache-Control: private" + TAG), body=b""), get(None, MISS)],
    }


class Counting(NodeCase):
    """An origin that numbers what it answers, with fields as they are set."""
    fields = {"Cache-Control": "max-age=600"}

    def handler(self, x):
        fields = self.paths.get(x.request.target, self.fields)
        self.answers += 1
        x.reply(200, fields, b"%d" % self.answers)

    def start(self, handler=None, routes=None, **top):
        self.answers = 0
        self.paths = getattr(self, "paths", {})
        self.upstream = self.origin(handler or self.handler)
        self.weir = self.front(self.upstream, routes, **top)
        return self.weir

    def purge(self, scope, what=None, mode="hard"):
        status, answer = self.weir.admin("POST", "/v1/cache/purge", dict({"scope": scope, "mode": mode}, **({scope: what} if what else {})))
        self.assertEqual(status, 200, answer)
        return answer["sequence"]

    @staticmethod
    def url(path):
        return "http://test.example" + path

    def assert_hit(self, path, body=None, fields=()):
        answer = self.weir.get(path, fields)
        self.assertTrue(answer.hit, (path, answer))
        if body is not None:
            self.assertEqual(answer.body, body)

    def assert_miss(self, path, fields=()):
        answer = self.weir.get(path, fields)
        self.assertIn("fwd=uri-miss", answer.cache_status, path)
        return answer


class Reach(Counting):
    def test_all_variants_go(self):
        self.fields = {"Cache-Control": "max-age=600", "Vary": "X-Kind"}
        node = self.start()
        for kind in ("a", "b", "c"):
            node.get("/", {"X-Kind": kind})
        node.ask("POST", "/", body=b"x")
        for kind in ("a", "b", "c"):
            self.assertFalse(node.get("/", {"X-Kind": kind}).hit)
            self.assert_hit("/", fields={"X-Kind": kind})

    def test_every_route_under_the_url_goes(self):
        beta = {"upstream": "app", "name": "beta", "match": {"fields": [{"name": "X-Beta", "value": "1"}]}}
        node = self.start(routes=[beta, {"upstream": "app", "name": "all"}])
        node.get("/", {"X-Beta": "1"})
        node.get("/")
        self.assert_hit("/")
        node.ask("PUT", "/", {"X-Beta": "1"}, b"x")
        self.assertFalse(node.get("/").hit)
        self.assertFalse(node.get("/", {"X-Beta": "1"}).hit)
        node.ask("PUT", "/", body=b"x")
        self.assertFalse(node.get("/", {"X-Beta": "1"}).hit)

    def test_what_is_keyed_without_its_query_goes_with_any_query(self):
        node = self.start(routes=[{"upstream": "app", "cache": {"key": {"query": "none"}}}])
        node.get("/a?x=1")
        node.get("/b")
        self.assert_hit("/a?x=2")
        node.ask("POST", "/a?x=3", body=b"x")
        self.assertFalse(node.get("/a?x=2").hit)
        self.assert_hit("/b")

    def test_a_request_that_may_not_ask_the_cache_invalidates(self):
        node = self.start(routes=[{"upstream": "app", "match": {"methods": ["POST"]}, "cache": {"enabled": False}, "name": "posts"},
                                  {"upstream": "app", "name": "all"}])
        node.get("/")
        node.ask("POST", "/", {"Authorization": "x"}, b"x")
        self.assertFalse(node.get("/").hit)

    def test_a_marker_goes_too(self):
        self.paths = {"/": {"Cache-Control": "private"}}
        node = self.start()
        node.get("/")
        self.assertIn("hit-for-miss", node.get("/").cache_status)
        self.purge("url", self.url("/"))
        self.assertNotIn("hit-for-miss", node.get("/").cache_status)


class Groups(Counting):
    """RFC 9875"""
    def answer(self, x):
        r = x.request
        if r.method != "GET":
            return x.reply(self.status, {"Cache-Group-Invalidation": r.fields.get("x-groups", "")}, b"done")
        self.answers += 1
        fields = {"Cache-Control": "max-age=600", "Cache-Groups": {"/a": '"one", "two";x', "/b": '"two"', "/c": '"three"', "/d": "two"}[r.path]}
        x.reply(200, fields, b"%d" % self.answers)

    def invalidate(self, groups, method="POST", status=200, host=None):
        self.status = status
        self.weir.ask(method, "/other", dict({"X-Groups": groups}, **({"Host": host} if host else {})), b"")

    def setUp(self):
        self.start(self.answer)
        for path in "/a", "/b", "/c", "/d":
            self.weir.get(path)

    def hits(self):
        return "".join(path for path in "abcd" if self.weir.get("/" + path).hit)

    def test_a_group_is_invalidated(self):
        self.invalidate('"two"')
        self.assertEqual(self.hits(), "cd")
        self.assertEqual(self.hits(), "abcd")

    def test_several_groups_are_invalidated(self):
        self.invalidate('"three", "one"')
        self.assertEqual(self.hits(), "bd")

    def test_groups_are_passed_on(self):
        self.assertEqual(self.weir.get("/a").fields["cache-groups"], '"one", "two";x')

    def test_a_list_that_does_not_parse_is_ignored(self):
        self.invalidate('"two", three')
        self.assertEqual(self.hits(), "abcd")

    def test_parameters_are_ignored(self):
        self.invalidate('"three";p=1')
        self.assertEqual(self.hits(), "abd")

    def test_safe_methods_invalidate_no_group(self):
        for method in "OPTIONS", "PROPFIND", "QUERY":
            self.invalidate('"two"', method)
        self.assertEqual(self.hits(), "abcd")

    def test_another_origin_has_other_groups(self):
        self.invalidate('"two"', host="other.example")
        self.assertEqual(self.hits(), "abcd")

    def test_it_is_said_explicitly_so_an_error_invalidates_too(self):
        self.invalidate('"two"', status=500)
        self.assertEqual(self.hits(), "cd")


class Purges(Counting):
    def setUp(self):
        self.paths = {
            "/a": {"Cache-Control": "max-age=600", "Surrogate-Key": "news sport", "ETag": '"a"'},
            "/b": {"Cache-Control": "max-age=600", "Cache-Tag": "news, x"},
            "/a/b": {"Cache-Control": "max-age=600", "X-Kept": "1"},
            "/swr": {"Cache-Control": "max-age=600, stale-while-revalidate=600", "Surrogate-Key": "soft"},
            "/sie": {"Cache-Control": "max-age=600, stale-if-error=600", "Surrogate-Key": "soft"},
        }
        self.start()

    def test_a_tag(self):
        for path in "/a", "/b", "/a/b":
            self.weir.get(path)
        self.purge("tag", "news")
        self.assertFalse(self.weir.get("/a").hit)
        self.assertFalse(self.weir.get("/b").hit)
        self.assert_hit("/a/b")
        self.purge("tag", "x")
        self.assert_hit("/a")
        self.assertFalse(self.weir.get("/b").hit)

    def test_tags_are_for_us_and_not_sent_on(self):
        for _ in range(2):
            self.assertNotIn("surrogate-key", self.weir.get("/a").fields)
            self.assertNotIn("cache-tag", self.weir.get("/b").fields)
        self.assertEqual(self.weir.get("/a/b").fields["x-kept"], "1")

    def test_tags_are_sent_on_if_they_shall_be(self):
        self.start(cache={"tag_fields_forward": True})
        for _ in range(2):
            self.assertEqual(self.weir.get("/a").fields["surrogate-key"], "news sport")
        self.purge("tag", "sport")
        self.assertFalse(self.weir.get("/a").hit)

    def test_other_fields_may_carry_tags(self):
        self.paths["/a"] = {"Cache-Control": "max-age=600", "X-Tags": "p,q", "Surrogate-Key": "r"}
        self.start(cache={"tag_fields": ["X-Tags"]})
        answer = self.weir.get("/a")
        self.assertNotIn("x-tags", answer.fields)
        self.assertIn("surrogate-key", answer.fields)
        self.purge("tag", "r")
        self.assert_hit("/a")
        self.purge("tag", "q")
        self.assertFalse(self.weir.get("/a").hit)

    def test_a_prefix_a_host_and_everything(self):
        for path in "/a", "/b", "/a/b":
            self.weir.get(path)
        self.purge("prefix", self.url("/a/"))
        self.assert_hit("/a")
        self.assertFalse(self.weir.get("/a/b").hit)
        self.purge("prefix", "/a")
        self.assertFalse(self.weir.get("/a").hit)
        self.assertFalse(self.weir.get("/a/b").hit)
        self.assert_hit("/b")
        self.purge("host", "other.example")
        self.assert_hit("/b")
        self.purge("host", "test.example")
        self.assertFalse(self.weir.get("/b").hit)
        self.assert_hit("/b")
        self.purge("all")
        for path in "/a", "/b", "/a/b":
            self.assertFalse(self.weir.get(path).hit)
            self.assert_hit(path)

    def test_a_soft_purge_makes_stale_what_may_then_serve_while_it_is_fetched(self):
        self.weir.get("/swr")
        self.purge("tag", "soft", "soft")
        answer = self.weir.get("/swr")
        self.assertTrue(answer.hit)
        self.assertRegex(answer.cache_status, r"ttl=(0|-\d+)")
        self.upstream.wait_count(2, "/swr")
        wait_until(lambda: self.weir.get("/swr").body != answer.body, 30, "the new one")
        self.assertEqual(self.upstream.count("/swr"), 2)
        self.assert_hit("/swr", b"2")

    def test_what_is_purged_softly_is_validated(self):
        self.weir.get("/a")
        self.purge("url", self.url("/a"), "soft")
        answer = self.weir.get("/a")
        self.assertIn("fwd=stale", answer.cache_status)
        self.assertEqual(self.upstream.last("/a").fields["if-none-match"], '"a"')

    def test_what_is_purged_for_good_is_not_even_a_condition(self):
        self.weir.get("/a")
        self.purge("url", self.url("/a"))
        self.assertIn("fwd=uri-miss", self.weir.get("/a").cache_status)
        self.assertNotIn("if-none-match", self.upstream.last("/a").fields)

    def test_on_errors_what_is_purged_softly_serves_and_what_is_purged_for_good_does_not(self):
        self.weir.get("/sie")
        self.purge("tag", "soft", "soft")
        self.upstream.on("/sie", lambda x: x.reply(503, {}, b"down"))
        self.assertEqual(self.weir.get("/sie").body, b"1")
        self.purge("tag", "soft")
        self.assert_status(self.weir.get("/sie"), 503)

    def test_a_304_brings_new_tags_or_leaves_the_old(self):
        tags = ["a b"]

        def answer(x):
            fields = {"Cache-Control": "max-age=600", "ETag": '"v"'}
            if tags[0]:
                fields["Surrogate-Key"] = tags[0]
            x.reply(304 if "if-none-match" in x.request.fields else 200, fields, b"" if "if-none-match" in x.request.fields else b"x")
        self.upstream.on("/v", answer)
        self.weir.get("/v")
        tags[0] = None
        self.purge("tag", "a", "soft")
        self.assertIn("fwd-status=304", self.weir.get("/v").cache_status)
        self.assert_hit("/v")
        tags[0] = "c"
        self.purge("tag", "b", "soft")
        self.assertIn("fwd-status=304", self.weir.get("/v").cache_status)
        self.purge("tag", "a", "soft")
        self.purge("tag", "b", "soft")
        self.assert_hit("/v")
        self.purge("tag", "c", "soft")
        self.assertFalse(self.weir.get("/v").hit)


class During(NodeCase):
    """A purge while a fetch is under way."""
    FIELDS = {"Cache-Control": "max-age=600", "Content-Length": "8", "Surrogate-Key": "t", "Cache-Groups": '"g"'}

    def serve(self, x):
        if x.request.method != "GET":
            return x.reply(200, {"Cache-Group-Invalidation": '"g"'} if x.request.path == "/group" else {}, b"ok")
        with self.lock:
            self.gets += 1
            mine = self.gets
        if mine > 1:
            return x.reply(200, self.FIELDS, b"new %4d" % mine)
        if self.early:
            self.go.wait(30)
        x.send_head(200, self.FIELDS)
        x.send(b"old ")
        if not self.early:
            self.go.wait(30)
        x.send(b"   1")

    def run_with(self, early, purge):
        """One client's fetch is held in its head or in its body while the purge comes; then another client asks."""
        self.early, self.gets, self.lock, self.go = early, 0, threading.Lock(), threading.Event()
        self.addCleanup(self.go.set)
        origin = self.origin(self.serve)
        node = self.front(origin)
        first = self.client(node)
        first.send(request(path="/x"))
        if early:
            origin.wait_count(1, "/x")
        else:
            first.head()
        purge(node)
        second = node.get("/x")  # not held by the first fetch
        self.assertEqual(second.body, b"new    2")
        self.assertNotIn("collapsed", second.cache_status)
        self.go.set()
        if early:
            answer = first.response()
            self.assertEqual(answer.body, b"old    1")
            self.assertNotIn("stored", answer.cache_status)
        else:
            self.assertEqual(first.source.exactly(8), b"old    1")
        third = node.get("/x")  # the late writer has not replaced what is newer
        self.assertEqual((third.body, third.hit), (b"new    2", True), third)
        self.assertEqual(origin.count("/x"), 2 + self.extra)

    extra = 0

    def purge_by(self, scope, what=None, mode="hard"):
        def run(node):
            text = {"url": "http://test.example/x", "host": "test.example", "prefix": "/", "tag": "t", "all": None}[scope]
            status, answer = node.admin("POST", "/v1/cache/purge", dict({"scope": scope, "mode": mode}, **({scope: text} if text else {})))
            self.assertEqual(status, 200, answer)
        return run

    def test_an_unsafe_method_in_the_head(self):
        self.extra = 1
        self.run_with(True, lambda node: node.ask("POST", "/x", body=b"x"))

    def test_an_unsafe_method_in_the_body(self):
        self.extra = 1
        self.run_with(False, lambda node: node.ask("POST", "/x", body=b"x"))

    def test_a_group_in_the_body(self):
        self.run_with(False, lambda node: node.ask("POST", "/group", body=b"x"))

    def test_purges_in_the_head(self):
        for scope in "url", "host", "prefix", "all":
            for mode in "soft", "hard":
                with self.subTest(scope=scope, mode=mode):
                    self.run_with(True, self.purge_by(scope, mode=mode))

    def test_purges_in_the_body(self):
        for scope in "url", "host", "prefix", "tag", "all":
            for mode in "soft", "hard":
                with self.subTest(scope=scope, mode=mode):
                    self.run_with(False, self.purge_by(scope, mode=mode))

    def test_who_joined_before_a_tag_was_known_does_not_get_what_was_purged_by_it(self):
        self.early, self.gets, self.lock, self.go = True, 0, threading.Lock(), threading.Event()
        self.addCleanup(self.go.set)
        origin = self.origin(self.serve)
        node = self.front(origin)
        first = self.client(node)
        first.send(request(path="/x"))
        origin.wait_count(1, "/x")
        self.purge_by("tag")(node)
        second = self.client(node)  # nobody knows yet that the fetch under way brings this tag
        second.send(request(path="/x"))
        wait_until(lambda: node.admin()[1]["requests"]["collapsed"] == 1, 30, "the second client has joined")
        self.go.set()
        self.assertEqual(first.response().body, b"old    1")
        self.assertEqual(second.response().body, b"new    2")
        self.assertEqual(node.get("/x").body, b"new    2")
