"""The rules of a route's key: what counts, and that the origin is asked just for what was keyed."""
from lib.case import NodeCase

FRESH = {"Cache-Control": "max-age=600"}


def echo(x):
    """Answers with what a poisoner would want to put into others' answers: target and host as received."""
    x.reply(200, FRESH, ("%s|%s|%s" % (x.request.target, x.request.fields["host"],
                                       x.request.fields.get("x-forwarded-host"))).encode())


def route(**key):
    return [{"upstream": "app", "cache": {"key": key}}]


class Parameters(NodeCase):
    def test_those_that_do_not_count_are_neither_keyed_nor_sent(self):
        origin = self.origin(echo)
        node = self.front(origin, route(query="except", parameters=["utm_*", "fbclid"]))
        self.assertFalse(node.get("/a?utm_source=x&id=1&fbclid=2").hit)
        self.assertEqual(origin.last().target, "/a?id=1")
        for path in ("/a?id=1", "/a?id=1&utm_campaign=%3Cscript%3E", "/a?fbclid&id=1"):
            self.assertTrue(node.get(path).hit, path)
        self.assertFalse(node.get("/a?id=2").hit)
        self.assertFalse(node.get("/a?utm_source=x").hit)
        self.assertEqual(origin.last().target, "/a")

    def test_only_those_that_count(self):
        origin = self.origin(echo)
        node = self.front(origin, route(query="only", parameters=["id"]))
        node.get("/a?x=1&id=7&y")
        self.assertEqual(origin.last().target, "/a?id=7")
        self.assertTrue(node.get("/a?id=7").hit)
        node.get("/a?x")
        self.assertEqual(origin.last().target, "/a")

    def test_none(self):
        origin = self.origin(echo)
        node = self.front(origin, route(query="none"))
        node.get("/a?x=1")
        self.assertEqual(origin.last().target, "/a")
        self.assertTrue(node.get("/a?y").hit)
        self.assertTrue(node.get("/a").hit)

    def test_sorted(self):
        origin = self.origin(echo)
        node = self.front(origin, route(sort=True))
        node.get("/a?b=2&a=1&b=1")
        self.assertEqual(origin.last().target, "/a?a=1&b=2&b=1")
        self.assertTrue(node.get("/a?a=1&b=2&b=1").hit)
        self.assertTrue(node.get("/a?b=2&b=1&a=1").hit)
        self.assertFalse(node.get("/a?b=1&b=2&a=1").hit)

    def test_a_parameter_in_disguise_is_one_that_counts(self):
        origin = self.origin(echo)
        node = self.front(origin, route(query="except", parameters=["utm_*"]))
        node.get("/a")
        for path in ("/a?%75tm_source=1", "/a?x;utm_source=1", "/a?UTM_source=1"):
            self.assertFalse(node.get(path).hit, path)
            self.assertEqual(origin.last().target, path)

    def test_one_cloaked_in_another_goes_with_it(self):
        origin = self.origin(echo)
        node = self.front(origin, route(query="except", parameters=["utm_*"]))
        node.get("/a?utm_content=1;callback=evil&id=1")
        self.assertEqual(origin.last().target, "/a?id=1")

    def test_passes_after_a_look_up_are_sent_as_keyed_too(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "private"}, b"x"))
        node = self.front(origin, route(query="except", parameters=["utm_*"]))
        for method in ("GET", "GET", "HEAD"):
            node.ask(method, "/a?utm_x=1&b")
            self.assertEqual(origin.last().target, "/a?b")

    def test_what_does_not_ask_the_cache_is_sent_as_it_came(self):
        origin = self.origin(echo)
        node = self.front(origin, route(query="none", host="www.example"))
        node.ask("POST", "/a?utm_x=1", body=b"x", host="a.example")
        self.assertEqual((origin.last().target, origin.last().fields["host"]), ("/a?utm_x=1", "a.example"))
        node.ask("GET", "/a?utm_x=1", body=b"fat", host="a.example")
        self.assertEqual((origin.last().target, origin.last().fields["host"]), ("/a?utm_x=1", "a.example"))

    def test_an_unsafe_method_invalidates_what_the_rules_make_of_its_target(self):
        origin = self.origin(echo)
        node = self.front(origin, route(query="except", parameters=["utm_*"]))
        node.get("/a?id=1")
        node.ask("POST", "/a?utm_x=1&id=1", body=b"x")
        self.assertFalse(node.get("/a?id=1").hit)

    def test_a_rewrite_gets_what_was_keyed(self):
        origin = self.origin(echo)
        node = self.front(origin, [{"upstream": "app", "rewrite": {"add_prefix": "/app"},
                                    "cache": {"key": {"query": "only", "parameters": ["id"]}}}])
        node.get("/a?x&id=1")
        self.assertEqual(origin.last().target, "/app/a?id=1")


class Hosts(NodeCase):
    def test_an_alias_is_keyed_and_sent(self):
        origin = self.origin(echo)
        node = self.front(origin, route(host="www.example"))
        self.assertFalse(node.get("/", host="a.example").hit)
        second = node.get("/", host="b.example:81")
        self.assertTrue(second.hit)
        self.assertEqual(second.body, b"/|www.example|www.example")
        self.assertNotIn("a.example", repr(origin.last().fields))

    def test_the_upstreams_own_host_wins(self):
        origin = self.origin(echo)
        node = self.front(origin, route(host="www.example"), upstream={"host": "internal"})
        self.assertEqual(node.get("/", host="a.example").body, b"/|internal|www.example")


class Selectors(NodeCase):
    def test_cookies_count(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.fields.get("cookie", "-").encode()))
        node = self.front(origin, route(cookies=["lang"]))
        node.get("/", {"Cookie": "sid=1; lang=en"})
        other = node.get("/", {"Cookie": "lang=en; sid=2"})
        self.assertTrue(other.hit)
        self.assertEqual(other.body, b"sid=1; lang=en")
        for cookie in ("lang=de", "lang=en; lang=de", "lang=", "Lang=en"):
            self.assertFalse(node.get("/", {"Cookie": cookie}).hit, cookie)
        self.assertTrue(node.get("/").hit)  # none is as good as one without that name

    def test_fields_count(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.fields.get("x-plan", "-").encode()))
        node = self.front(origin, route(fields=["X-Plan"]))
        self.assertEqual(node.get("/", {"X-Plan": "gold"}).body, b"gold")
        self.assertEqual(node.get("/", {"x-plan": "free"}).body, b"free")
        self.assertEqual(node.get("/").body, b"-")
        again = node.get("/", {"X-Plan": "gold"})
        self.assertTrue(again.hit)
        self.assertEqual(again.body, b"gold")
