"""Purging: over the admin socket, and by the method PURGE from clients that may."""
import json
import threading
import urllib.parse

from lib.case import NodeCase
from lib.client import ask, get
from lib.wait import wait_until

HOUR = {"Cache-Control": "max-age=3600"}


class Purging(NodeCase):
    """An origin whose answers are numbered, and a node that has the first of them stored."""

    def begin(self, fields=(), hosts=("test.example",), paths=("/a",), routes=None, **top):
        self.served = {}
        self.fields = dict(HOUR, **dict(fields))
        self.lock = threading.Lock()

        def answer(x):
            key = (x.request.fields["host"], x.request.target)
            with self.lock:
                self.served[key] = n = self.served.get(key, 0) + 1
            x.reply(200, self.fields, b"%d" % n)
        self.from_origin = self.origin(answer)
        self.front_ = self.front(self.from_origin, routes=routes, **top)
        for host in hosts:
            for path in paths:
                self.assertFalse(self.ask(path, host=host).hit)
        return self.front_

    def ask(self, path="/a", host="test.example", fields=()):
        return get(self.front_.address, path, fields, host=host)

    def purge(self, scope, what=None, mode="soft"):
        body = {"scope": scope, "mode": mode}
        if what is not None:
            body[scope] = what
        status, answer = self.front_.admin("POST", "/v1/cache/purge", body)
        self.assertEqual(status, 200, answer)
        return answer["sequence"]

    def stored(self, path="/a", host="test.example"):
        query = urllib.parse.urlencode({"url": "http://%s%s" % (host, path)})
        return self.front_.admin(path="/v1/cache/entry?" + query)[1]["stored"]

    def assert_gone(self, path="/a", host="test.example"):
        self.assertFalse(self.ask(path, host=host).hit, (host, path))

    def assert_there(self, path="/a", host="test.example"):
        self.assertTrue(self.ask(path, host=host).hit, (host, path))


class Scopes(Purging):
    def test_a_url_goes_with_all_its_variants_and_nothing_else(self):
        self.begin({"Vary": "Accept-Language"}, paths=("/a", "/a?b=1", "/ab"))
        self.ask(fields={"Accept-Language": "de"})
        self.purge("url", "http://TEST.example:80/x/../%61")
        for fields in ({}, {"Accept-Language": "de"}):
            self.assertFalse(self.ask(fields=fields).hit)
        self.assert_there("/a?b=1")
        self.assert_there("/ab")

    def test_a_url_is_purged_under_both_schemes(self):
        self.begin()
        self.purge("url", "https://test.example/a")
        self.assert_gone()

    def test_several_urls_at_once(self):
        self.begin(paths=("/a", "/b", "/c"))
        self.purge("url", ["http://test.example/a", "http://test.example/c"])
        self.assert_gone("/a")
        self.assert_there("/b")
        self.assert_gone("/c")

    def test_all_of_a_list_or_none_of_it(self):
        node = self.begin()
        status, _ = node.admin("POST", "/v1/cache/purge", {"scope": "url", "url": ["http://test.example/a", "/no"]})
        self.assertEqual(status, 400)
        self.assert_there()

    def test_a_prefix_of_one_host(self):
        self.begin(hosts=("a.example", "b.example"), paths=("/news/1", "/news/2", "/new"))
        self.purge("prefix", "http://a.example/news/")
        self.assert_gone("/news/1", "a.example")
        self.assert_gone("/news/2", "a.example")
        self.assert_there("/new", "a.example")
        self.assert_there("/news/1", "b.example")

    def test_a_prefix_of_every_host(self):
        self.begin(hosts=("a.example", "b.example"), paths=("/news/1", "/new"))
        self.purge("prefix", "/news")
        for host in ("a.example", "b.example"):
            self.assert_gone("/news/1", host)
            self.assert_there("/new", host)

    def test_a_host(self):
        self.begin(hosts=("a.example", "b.example", "a.example:8080"), paths=("/1", "/2"))
        self.purge("host", "A.EXAMPLE")
        for path in ("/1", "/2"):
            self.assert_gone(path, "a.example")
            self.assert_gone(path, "a.example:8080")
            self.assert_there(path, "b.example")

    def test_tags(self):
        self.begin({"Surrogate-Key": "news front"}, paths=("/a",))
        self.fields = dict(HOUR, **{"Cache-Tag": "news,sports"})
        self.ask("/b")
        self.fields = HOUR
        self.ask("/c")
        self.assertEqual(self.stored("/a")[0]["tags"], ["news", "front"])
        self.assertEqual(self.stored("/b")[0]["tags"], ["news", "sports"])
        self.purge("tag", ["front", "nothing"])
        self.assert_gone("/a")
        self.assert_there("/b")
        self.purge("tag", "sports")
        self.assert_gone("/b")
        self.assert_there("/c")

    def test_all(self):
        self.begin(hosts=("a.example", "b.example"), paths=("/1", "/2"))
        self.purge("all")
        for host in ("a.example", "b.example"):
            self.assert_gone("/1", host)
            self.assert_gone("/2", host)

    def test_it_is_the_key_of_the_route_that_is_purged(self):
        self.begin(paths=("/a?b=1&utm_x=2",), routes=[{
            "upstream": "app", "cache": {"key": {"query": "except", "parameters": ["utm_*"], "sort": True}}}])
        self.assert_there("/a?utm_x=3&b=1")
        self.purge("url", "http://test.example/a?utm_y=4&b=1")
        self.assert_gone("/a?b=1")

    def test_an_alias_is_purged_under_either_name(self):
        routes = [{"upstream": "app", "cache": {"key": {"host": "main.example"}}}]
        self.begin(hosts=("www.example",), routes=routes)
        self.assert_there("/a", "main.example")
        for name in ("www.example", "main.example"):
            self.purge("url", "http://%s/a" % name)
            self.assert_gone("/a", "main.example")
            self.assert_there("/a", "www.example")

    def test_a_marker_goes_too(self):
        self.begin({"Cache-Control": "no-store"})
        self.assertEqual(self.ask().cache_status.count("hit-for-miss"), 1)
        self.fields = HOUR
        self.purge("url", "http://test.example/a")
        self.ask()
        self.assert_there()


class Modes(Purging):
    def test_soft_serves_stale_while_it_is_revalidated(self):
        self.begin({"Cache-Control": "max-age=3600, stale-while-revalidate=600", "ETag": '"x"'})
        self.purge("url", "http://test.example/a")
        self.assertEqual(self.stored()[0]["purged"], "soft")
        self.assertEqual(self.stored()[0]["state"], "stale-while-revalidate")
        answer = self.ask()
        self.assertEqual((answer.hit, answer.body), (True, b"1"))
        wait_until(lambda: self.ask().body == b"2", what="the refreshed one is there")
        self.assertIsNone(self.stored()[0]["purged"])

    def test_soft_without_a_window_is_validated(self):
        self.begin({"ETag": '"x"'})
        self.from_origin.on("/a", lambda x: x.reply(304 if "if-none-match" in x.request.fields else 200, self.fields))
        self.purge("all")
        answer = self.ask()
        self.assertEqual(answer.body, b"1")
        self.assertIn("fwd=stale", answer.cache_status)
        self.assertIn("fwd-status=304", answer.cache_status)
        self.assert_there()

    def test_soft_serves_stale_when_the_origin_fails(self):
        self.begin({"Cache-Control": "max-age=3600, stale-if-error=600"})
        self.from_origin.on("/a", lambda x: x.reply(503))
        self.purge("url", "http://test.example/a")
        self.assertEqual((self.ask().status, self.ask().body), (200, b"1"))

    def test_hard_never_serves_it_again(self):
        self.begin({"Cache-Control": "max-age=3600, stale-while-revalidate=600, stale-if-error=600", "ETag": '"x"'})
        self.purge("url", "http://test.example/a", "hard")
        seen = self.stored()
        self.assertTrue(seen == [] or seen[0]["state"] == "purged", seen)
        self.from_origin.on("/a", lambda x: x.reply(503))
        self.assertEqual(self.ask().status, 503)
        self.assertNotIn("if-none-match", self.from_origin.last("/a").fields)


class WhileItRuns(Purging):
    def test_a_purge_during_a_fetch_wins(self):
        self.begin()
        release, begun = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def slowly(x):
            x.send_head(200, dict(HOUR, **{"Content-Length": "7"}))
            x.send(b"old")
            begun.set()
            release.wait(40)
            x.send(b"page")
        self.from_origin.on("/slow", slowly)
        client = self.client(self.front_)
        client.send(b"GET /slow HTTP/1.1\r\nHost: test.example\r\n\r\n")
        head = client.head()
        begun.wait(30)
        self.purge("tag", "other")
        self.purge("url", "http://test.example/slow", "hard")
        release.set()
        self.assertEqual(client.content(head).body, b"oldpage")
        self.from_origin.on("/slow", lambda x: x.reply(200, HOUR, b"new"))
        self.assertEqual(self.ask("/slow").body, b"new")

    def test_after_a_purge_nobody_gets_what_was_before_it(self):
        version, purged = [0], [0]  # what the origin has; the newest one whose purge was answered
        origin = self.origin(lambda x: x.reply(200, HOUR, b"%d" % version[0]))
        self.front_ = self.front(origin)
        stop, old, count = threading.Event(), [], [0] * 4

        def load(which):
            with self.front_.client() as client:
                while not stop.is_set():
                    least = purged[0]
                    got = int(client.ask(path="/%d" % (count[which] % 5)).body)
                    if got < least:
                        old.append((got, least))
                    count[which] += 1
        threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for n in range(1, 30):
            version[0] = n
            self.purge(*[("all", None), ("host", "test.example"), ("prefix", "/")][n % 3], mode="hard")
            purged[0] = n
            done = sum(count)
            wait_until(lambda: sum(count) > done + 40, what="requests go on")
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual(old, [])


class Method(Purging):
    def begin_method(self, fields=(), clients=("127.0.0.0/8",), **kw):
        cache = {"purge_clients": list(clients)}
        return self.begin(fields, cache=cache, **kw)

    def by_method(self, path="/a", fields=(), host="test.example"):
        return ask(self.front_.address, "PURGE", path, fields, host=host)

    def purged(self, *args, **kw):
        answer = self.by_method(*args, **kw)
        self.assert_status(answer, 200)
        self.assertEqual(answer.fields["content-type"], "application/json")
        self.assertEqual(answer.fields["cache-control"], "no-store")
        return json.loads(answer.body)["sequence"]

    def test_a_url(self):
        self.begin_method(paths=("/a", "/b"))
        self.assertEqual(self.purged("/x/../a"), 1)
        self.assert_gone("/a")
        self.assert_there("/b")
        self.assertEqual(self.from_origin.count("/a"), 2)
        self.assertNotIn("PURGE", [r.method for r in self.from_origin.seen()])

    def test_routes_that_take_only_get_are_purged_too(self):
        self.begin_method(routes=[{"upstream": "app", "match": {"methods": ["GET"]},
                                   "cache": {"key": {"query": "none"}}}])
        self.purged("/a?b")
        self.assert_gone("/a?c")

    def test_hard_is_asked_for(self):
        self.begin_method({"Cache-Control": "max-age=3600, stale-if-error=600"})
        self.purged(fields={"Purge-Mode": "hard"})
        self.from_origin.on("/a", lambda x: x.reply(503))
        self.assertEqual(self.ask().status, 503)

    def test_other_scopes(self):
        self.begin_method(hosts=("a.example", "b.example"), paths=("/news/1", "/x"))
        self.purged("/news/", {"Purge-Scope": "prefix"}, host="a.example")
        self.assert_gone("/news/1", "a.example")
        self.assert_there("/news/1", "b.example")
        self.purged("/", {"Purge-Scope": "host"}, host="b.example")
        self.assert_gone("/x", "b.example")
        self.assert_there("/x", "a.example")
        self.purged("/", {"Purge-Scope": "all"}, host="anything.example")
        self.assert_gone("/x", "a.example")

    def test_tags_are_purged_instead_of_the_url(self):
        self.begin_method({"Cache-Tag": "news"}, paths=("/b",))
        self.fields = HOUR
        self.ask("/a")
        self.purged("/a", [("Surrogate-Key", "x y"), ("Cache-Tag", "z, news")])
        self.assert_there("/a")
        self.assert_gone("/b")

    def test_what_is_asked_wrongly_is_400_and_purges_nothing(self):
        node = self.begin_method()
        for fields in ({"Purge-Mode": "gentle"}, {"Purge-Scope": "page"}, {"Cache-Tag": "ok," + "x" * 2000}):
            self.assert_status(self.by_method(fields=fields), 400)
        self.assertEqual(node.admin()[1]["purges"]["sequence"], 0)
        self.assert_there()

    def test_who_may_not_is_refused_and_nothing_is_forwarded(self):
        self.begin_method(clients=["192.0.2.0/24"])
        self.assert_status(self.by_method(), 403)
        self.assert_there()
        self.assertEqual([r.method for r in self.from_origin.seen()], ["GET"])

    def test_without_such_clients_it_is_a_method_as_any(self):
        self.begin()
        self.assert_status(self.by_method(), 200)
        self.assertEqual(self.from_origin.last().method, "PURGE")

    def test_the_client_behind_a_trusted_proxy_counts(self):
        self.begin_method(clients=["192.0.2.0/24"], forward={"trusted": ["127.0.0.0/8"]})
        self.assert_status(self.by_method(), 403)
        self.assert_status(self.by_method(fields={"X-Forwarded-For": "198.51.100.1"}), 403)
        self.assert_status(self.by_method(fields={"X-Forwarded-For": "192.0.2.9"}), 200)

    def test_a_connection_goes_on_after_it(self):
        node = self.begin_method()
        client = self.client(node)
        self.assert_status(client.ask("PURGE", "/a"), 200)
        self.assertFalse(client.ask("GET", "/a").hit)
        self.assert_status(client.ask("PURGE", "/a", body=b"content that nobody wants"), 200)
        self.assert_gone()
