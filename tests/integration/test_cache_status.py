"""Cache-Status on every path, and the key for those who may ask for it. The rows of RFC 9211 are in test_rfc9211."""
import re
import threading

from lib.case import NodeCase
from lib.wait import wait_until

FRESH = {"Cache-Control": "max-age=600"}
KEY = {"Cache-Debug": "key"}
HERE = {"cache": {"debug_clients": ["127.0.0.0/8"]}}


def members(response):
    """The list as [(name, {parameter: value})], read by the grammar of structured fields."""
    text, out = response.fields.get("cache-status", ""), []
    bare = r'"(?:[^"\\]|\\["\\])*"|[A-Za-z*][!#$%&\'*+\-.^_`|~0-9A-Za-z:/]*|-?[0-9]+|\?[01]'
    while text:
        match = re.match(r"\s*(%s)((?:\s*;\s*[a-z*][a-z0-9_\-.*]*(?:=(?:%s))?)*)\s*(?:,|$)" % (bare, bare), text)
        assert match, "no structured field: %r" % text
        params = dict((p[0], p[1] or True) for p in re.findall(r";\s*([a-z*][a-z0-9_\-.*]*)(?:=(%s))?" % bare, match.group(2)))
        out.append((match.group(1).strip('"'), params))
        text = text[match.end():]
    return out


def ours(response):
    name, params = members(response)[-1]
    assert name == "weir", response
    return params


class Paths(NodeCase):
    def check(self, response, **expected):
        found = ours(response)
        ttl = found.pop("ttl", None)
        want_ttl = expected.pop("ttl", None)
        self.assertEqual(found, {k.replace("_", "-"): v for k, v in expected.items()}, response)
        if want_ttl is None:
            self.assertIsNone(ttl, response)
        else:
            self.assertLessEqual(int(ttl), want_ttl)
            self.assertGreaterEqual(int(ttl), want_ttl - 5)

    def test_miss_and_hit(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, b"x")))
        self.check(node.get("/"), fwd="uri-miss", stored=True, ttl=600)
        self.check(node.get("/"), hit=True, ttl=600)
        self.check(node.ask("HEAD", "/"), hit=True, ttl=600)

    def test_ttl_counts_the_age_it_came_with(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, Age="100"), b"x")))
        self.check(node.get("/"), fwd="uri-miss", stored=True, ttl=500)
        self.check(node.get("/"), hit=True, ttl=500)

    def test_a_variant_that_is_not_there(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, Vary="X-A"), b"x")))
        node.get("/", {"X-A": "1"})
        self.check(node.get("/", {"X-A": "2"}), fwd="vary-miss", stored=True, ttl=600)

    def test_validated(self):
        def handler(x):
            if "if-none-match" in x.request.fields:
                x.reply(304, {"ETag": '"1"', "Cache-Control": "max-age=600"})
            else:
                x.reply(200, {"ETag": '"1"', "Cache-Control": "max-age=0"}, b"x")
        node = self.front(self.origin(handler))
        self.check(node.get("/"), fwd="uri-miss", stored=True, ttl=0)
        self.check(node.get("/"), fwd="stale", fwd_status="304", stored=True, ttl=600)

    def test_replaced(self):
        node = self.front(self.origin(lambda x: x.reply(200, {"ETag": '"1"', "Cache-Control": "max-age=0"}, b"x")))
        node.get("/")
        self.check(node.get("/"), fwd="stale", stored=True, ttl=0)

    def test_stale_while_the_origin_fails(self):
        answers = [200, 503]

        def handler(x):
            status = answers.pop(0) if len(answers) > 1 else answers[0]
            x.reply(status, {"ETag": '"1"', "Cache-Control": "max-age=0, stale-if-error=600"}, b"x")
        origin = self.origin(handler)
        node = self.front(origin)
        node.get("/")
        self.check(node.get("/"), fwd="stale", fwd_status="503", detail="stale-if-error", ttl=0)
        origin.stop()
        self.check(node.get("/"), fwd="stale", detail="stale-if-error", ttl=0)

    def test_stale_while_it_is_revalidated(self):
        node = self.front(self.origin(lambda x: x.reply(200, {
            "ETag": '"1"', "Cache-Control": "max-age=0, stale-while-revalidate=600"}, b"x")))
        node.get("/")
        self.check(node.get("/"), hit=True, ttl=0)

    def test_a_client_that_forces_a_reload(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, b"x")),
                          [{"upstream": "app", "cache": {"client_directives": "all"}}])
        node.get("/")
        self.check(node.get("/", {"Cache-Control": "no-cache"}), fwd="request", stored=True, ttl=600)

    def test_what_is_not_stored_says_why(self):
        rows = [({"Cache-Control": "private"}, "private"), ({"Cache-Control": "no-store"}, "no-store"),
                (dict(FRESH, **{"Set-Cookie": "a=b"}), "set-cookie"), (dict(FRESH, Vary="*"), "vary-star"),
                ({}, "no-freshness")]
        for fields, detail in rows:
            node = self.front(self.origin(lambda x, f=fields: x.reply(200, f, b"x")))
            self.check(node.get("/"), fwd="uri-miss", detail=detail)

    def test_unsafe_methods_and_what_passes_the_cache_by(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, b"x")),
                          [{"upstream": "app", "match": {"paths": ["/off"]}, "cache": {"enabled": False}},
                           {"upstream": "app"}])
        self.check(node.ask("POST", "/", body=b"x"), fwd="method")
        self.check(node.ask("GET", "/", body=b"x"), fwd="bypass", detail="request-content")
        self.check(node.get("/off"), fwd="bypass", detail="route")

    def test_who_joined_a_fetch_says_so(self):
        gate = threading.Event()

        def handler(x):
            gate.wait(30)
            x.reply(200, FRESH, b"x")
        origin = self.origin(handler)
        node = self.front(origin, node={"workers": 1})
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(node.get("/"))) for _ in range(3)]
        for t in threads:
            t.start()
        origin.wait_count(1)
        late = threading.Thread(target=lambda: answers.append(node.get("/")))
        late.start()
        wait_until(lambda: origin.count() == 1)
        gate.set()
        for t in threads + [late]:
            t.join(40)
        self.assertEqual(origin.count(), 1)
        found = [ours(a) for a in answers]
        self.assertEqual(sum("fwd" in f and "collapsed" not in f for f in found), 1)
        for f in found:
            self.assertIn(f.get("fwd", "uri-miss"), ("uri-miss",))

    def test_our_own_errors_say_what_was_tried(self):
        origin = self.origin()
        node = self.front(origin, [{"upstream": "app", "cache": {"client_directives": "all"}}])
        self.check(node.get("/", {"Cache-Control": "only-if-cached"}), detail="only-if-cached")
        origin.stop()
        answer = node.get("/")
        self.assertEqual(answer.status, 502)
        self.check(answer, fwd="uri-miss")
        self.assertNotIn("cache-status", node.get("/", host="a b").fields)  # refused before

    def test_an_origins_caches_come_before_ours(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, **{
            "Cache-Status": '"far; away"; hit; ttl=7, Near; fwd=uri-miss'}), b"x")))
        for _ in range(2):
            self.assertEqual([n for n, _ in members(node.get("/"))], ["far; away", "Near", "weir"])

    def test_a_name_that_is_no_token_is_a_string(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, b"x")), forward={"pseudonym": "1st"})
        self.assertEqual(members(node.get("/"))[-1][0], "1st")

    def test_it_can_be_turned_off(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin, cache={"status_field": False, "debug_clients": ["127.0.0.0/8"]})
        self.assertNotIn("cache-status", node.get("/", KEY).fields)
        origin.stop()
        self.assertNotIn("cache-status", node.get("/other").fields)


class Keys(NodeCase):
    def key(self, response):
        value = ours(response).get("key")
        return None if value is None else value[1:-1].replace('\\"', '"').replace("\\\\", "\\")

    def test_those_who_may_are_told_the_key(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin, **HERE)
        for _ in range(2):
            self.assertEqual(self.key(node.get("/a?b=1", KEY)), "GET http://test.example/a?b=1")
        self.assertNotIn("cache-debug", origin.last().fields)

    def test_nobody_else_is(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        for cache in ({}, {"debug_clients": ["192.0.2.0/24"]}):
            node = self.front(origin, cache=cache)
            self.assertIsNone(self.key(node.get("/a", KEY)))
            self.assertNotIn("cache-debug", origin.last().fields)
        node = self.front(origin, **HERE)
        self.assertIsNone(self.key(node.get("/a")))
        self.assertIsNone(self.key(node.get("/a", {"Cache-Debug": "keys"})))

    def test_all_that_makes_it(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, **{"No-Vary-Search": 'params=("u")'}), b"x"))
        node = self.front(origin, [{"upstream": "app", "cache": {"key": {
            "host": "www.example", "query": "except", "parameters": ["x"], "cookies": ["lang"]}}}],
            forward={"trusted": ["127.0.0.0/8"]}, cache={"debug_clients": ["0.0.0.0/0"]})
        fields = dict(KEY, Cookie='lang="de"', **{"X-Forwarded-Prefix": "/p"})
        self.assertEqual(self.key(node.get("/a?x=1&u=2&b=3", fields)),
                         'GET http://www.example/a?b=3 forwarded X-Forwarded-Prefix=/p '
                         'with =cookies lang="de" no-vary-search params=u')
        text = self.key(node.ask("QUERY", "/q", dict(KEY, **{"Content-Type": "a/b"}), b"body"))
        self.assertTrue(text.startswith("QUERY http://www.example/q with"), text)
        self.assertIn(" content ", text)

    def test_a_long_key_is_cut_and_still_a_string(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin, **HERE)
        text = self.key(node.get("/a?" + '"' * 3000, KEY))
        self.assertEqual(len(text), 1024)

    def test_errors_tell_it_too_and_passes_do_not(self):
        origin = self.origin()
        node = self.front(origin, **HERE)
        self.assertIsNone(self.key(node.ask("POST", "/a", KEY, b"x")))
        origin.stop()
        self.assertEqual(self.key(node.get("/a", KEY)), "GET http://test.example/a")
