"""Which route takes a request, and what it does with it."""
import collections

from lib.case import NodeCase, SharedNodeCase, table
from lib.node import settings, upstream


def says(word, **match):
    return {"match": match, "respond": {"body": word}}


@table
class Choice(SharedNodeCase):
    """The most specific route wins, wherever it stands."""
    @classmethod
    def configure(cls, origin):
        return settings(origin, routes=[
            says("anything"),
            says("host", hosts=["site.example"]),
            says("wildcard", hosts=["*.site.example"]),
            says("deeper wildcard", hosts=["*.deep.site.example"]),
            says("exact in wildcard", hosts=["www.site.example"]),
            says("prefix", paths=["/media"]),
            says("longer prefix", paths=["/media/big"]),
            says("below only", paths=["/folder/"]),
            says("exact", paths=["= /media/exact"]),
            says("pattern", paths=["~ ^/user/(\\d+)$"]),
            says("host and path", hosts=["site.example"], paths=["/media"]),
            says("post", paths=["/method"], methods=["POST", "PUT"]),
            says("other method", paths=["/method"]),
            says("only delete", paths=["/delete"], hosts=["strict.example"], methods=["DELETE"]),
            says("field", paths=["/field"], fields=[{"name": "X-Kind", "value": "a"}]),
            says("field pattern", paths=["/field"], fields=[{"name": "X-Kind", "pattern": "^b+$"}]),
            says("field there", paths=["/field"], fields=[{"name": "X-Kind"}]),
            says("field absent", paths=["/field"], fields=[{"name": "X-Kind", "absent": True}]),
            says("cookie", paths=["/cookie"], cookies=[{"name": "beta", "value": "1"}]),
            says("no cookie", paths=["/cookie"]),
            says("query", paths=["/query"], query=[{"name": "v", "value": "2"}]),
            says("two queries", paths=["/query"], query=[{"name": "v", "value": "3"}, {"name": "w"}]),
            says("no query", paths=["/query"]),
            says("client", paths=["/client"], clients=["127.0.0.1"]),
            says("network", paths=["/network"], clients=["127.0.0.0/8", "::1"]),
            says("stranger", paths=["/stranger"]),
            says("other network", paths=["/stranger"], clients=["10.0.0.0/8"]),
        ])

    def row(self, expected, path, host="any.example", fields=(), method="GET"):
        self.assertEqual(self.shared_node.ask(method, path, fields, host=host).text, expected)

    rows = {
        "nothing else": ("anything", "/"),
        "host": ("host", "/", "site.example"),
        "host in capitals": ("host", "/", "SITE.Example"),
        "host with its port": ("host", "/", "site.example:8080"),
        "host with a final dot": ("host", "/", "site.example."),
        "wildcard": ("wildcard", "/", "a.site.example"),
        "wildcard of two labels": ("wildcard", "/", "a.b.site.example"),
        "longest wildcard": ("deeper wildcard", "/", "a.deep.site.example"),
        "exact before wildcard": ("exact in wildcard", "/", "www.site.example"),
        "a longer word is another host": ("anything", "/", "mysite.example"),
        "host before path": ("host", "/user/1", "site.example"),
        "prefix": ("prefix", "/media/a"),
        "prefix itself": ("prefix", "/media"),
        "prefix by whole segments": ("anything", "/mediathek"),
        "prefix is case sensitive": ("anything", "/Media/a"),
        "longest prefix": ("longer prefix", "/media/big/a"),
        "prefix of below only": ("below only", "/folder/a"),
        "below only leaves the folder itself": ("anything", "/folder"),
        "exact": ("exact", "/media/exact"),
        "exact is no prefix": ("prefix", "/media/exact/a"),
        "exact without its query": ("exact", "/media/exact?a=b"),
        "pattern": ("pattern", "/user/42"),
        "pattern that does not match": ("anything", "/user/x"),
        "host and path": ("host and path", "/media/a", "site.example"),
        "encoded path is the same path": ("longer prefix", "/media/%62ig/a"),
        "dot segments are gone first": ("longer prefix", "/user/../media/x/../big/a"),
        "an encoded slash separates nothing": ("anything", "/media%2Fbig"),
        "method": ("post", "/method", "any.example", (), "POST"),
        "another method": ("other method", "/method"),
        "field": ("field", "/field", "any.example", {"X-Kind": "a"}),
        "field pattern": ("field pattern", "/field", "any.example", {"x-kind": "bbb"}),
        "field of another value": ("field there", "/field", "any.example", {"X-Kind": "c"}),
        "field absent": ("field absent", "/field"),
        "cookie": ("cookie", "/cookie", "any.example", {"Cookie": "a=b; beta=1"}),
        "cookie of another value": ("no cookie", "/cookie", "any.example", {"Cookie": "beta=10"}),
        "cookie of a longer name": ("no cookie", "/cookie", "any.example", {"Cookie": "xbeta=1"}),
        "query": ("query", "/query?a=b&v=2"),
        "query of another value": ("no query", "/query?v=22"),
        "two queries": ("two queries", "/query?w&v=3"),
        "one of two queries": ("no query", "/query?v=3"),
        "client": ("client", "/client"),
        "network": ("network", "/network"),
        "another network": ("stranger", "/stranger"),
    }


class Found(NodeCase):
    def test_nothing_found_is_404_and_an_unknown_host_421_or_404(self):
        node = self.node(settings(self.origin(), routes=[says("a", hosts=["a.example"], paths=["/a"])]))
        self.assertEqual(node.get("/b", host="a.example").status, 404)
        self.assertIn(node.get("/a", host="b.example").status, (404, 421))

    def test_a_method_that_no_candidate_takes_is_405(self):
        node = self.node(settings(self.origin(), routes=[says("a", methods=["GET"])]))
        self.assertEqual(node.get("/").status, 200)
        self.assertEqual(node.ask("DELETE", "/").status, 405)

    def test_a_thousand_routes_each_take_their_own(self):
        routes = [says("%d" % n, hosts=["h%d.example" % n], paths=["/p%d" % n]) for n in range(1000)]
        node = self.node(settings(self.origin(), routes=routes))
        for n in (0, 1, 499, 998, 999):
            self.assertEqual(node.get("/p%d/x" % n, host="h%d.example" % n).text, "%d" % n)


class Actions(NodeCase):
    def route(self, origin=None, **route):
        self.front_origin = origin or self.origin()
        if "redirect" not in route and "respond" not in route and "split" not in route:
            route["upstream"] = "app"
        return self.node(settings([upstream(self.front_origin)], [route]))

    def test_redirect(self):
        node = self.route(redirect={"to": "https://$host$path?$query"})
        answer = node.get("/a/b?c=d", host="site.example")
        self.assertEqual((answer.status, answer.fields["location"]), (308, "https://site.example/a/b?c=d"))
        self.assertEqual(node.get("/a", host="site.example").fields["location"], "https://site.example/a")

    def test_redirect_with_a_capture_and_a_status(self):
        node = self.route(match={"paths": ["~ ^/old/([a-z]+)$"]}, redirect={"to": "/new/$1", "status": 301})
        answer = node.get("/old/page")
        self.assertEqual((answer.status, answer.fields["location"]), (301, "/new/page"))

    def test_a_redirect_cannot_be_made_to_leave_the_site(self):
        node = self.route(match={"paths": ["~ ^/go/(.*)$"]}, redirect={"to": "/$1"})
        answer = node.get("/go//evil.example/")
        if answer.status < 400:
            self.assertFalse(answer.fields["location"].startswith("//"))

    def test_a_redirect_cannot_be_made_to_split_the_response(self):
        node = self.route(redirect={"to": "https://other.example$path?$query"})
        answer = node.get("/a%0d%0aSet-Cookie:%20a=b")
        self.assertNotIn("set-cookie", answer.fields)

    def test_respond(self):
        node = self.route(respond={"status": 410, "body": "<p>gone", "type": "text/html"})
        answer = node.get("/")
        self.assertEqual((answer.status, answer.text, answer.fields["content-type"]), (410, "<p>gone", "text/html"))
        self.assertEqual(node.ask("HEAD", "/").fields["content-length"], "7")
        self.assertEqual(self.front_origin.count(), 0)

    def test_a_request_with_content_to_a_fixed_response_leaves_the_connection_usable_or_closed(self):
        node = self.route(respond={"body": "fixed"})
        client = self.client(node)
        answer = client.ask("POST", "/", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(answer.text, "fixed")
        if not answer.closes:
            self.assertEqual(client.ask("GET", "/").text, "fixed")

    def target(self, path, **route):
        self.assertEqual(self.route(**route).get(path).status, 200)
        return self.front_origin.last().target

    def test_strip_prefix(self):
        self.assertEqual(self.target("/app/a?b", rewrite={"strip_prefix": "/app"}), "/a?b")
        self.assertEqual(self.target("/app", rewrite={"strip_prefix": "/app"}), "/")
        self.assertEqual(self.target("/apple", rewrite={"strip_prefix": "/app"}), "/apple")

    def test_add_prefix(self):
        self.assertEqual(self.target("/a?b", rewrite={"add_prefix": "/app"}), "/app/a?b")

    def test_rewrite_pattern(self):
        rewrite = {"pattern": "^/u/(\\d+)/(.*)$", "to": "/users/$1/$2"}
        self.assertEqual(self.target("/u/42/photo?x=1", rewrite=rewrite), "/users/42/photo?x=1")
        self.assertEqual(self.target("/v/42/photo", rewrite=rewrite), "/v/42/photo")

    def test_the_key_is_what_is_forwarded(self):
        """Two paths that are rewritten to one share a stored response."""
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, x.request.target.encode()))
        node = self.node(settings([upstream(origin)], [
            {"match": {"paths": ["/one"]}, "rewrite": {"strip_prefix": "/one"}, "upstream": "app"},
            {"match": {"paths": ["/two"]}, "rewrite": {"strip_prefix": "/two"}, "upstream": "app"}]))
        self.assertEqual(node.get("/one/a").body, b"/a")
        self.assertEqual(node.get("/two/a").body, b"/a")
        self.assertEqual(node.get("/one/b").body, b"/b")

    def test_request_fields_are_edited(self):
        node = self.route(request_fields={"set": [{"name": "X-Set", "value": "new"}],
                                          "add": [{"name": "X-Add", "value": "$client $host"}],
                                          "remove": ["X-Remove"]})
        node.get("/", [("X-Set", "old"), ("X-Set", "older"), ("X-Add", "first"), ("X-Remove", "1")],
                 host="site.example")
        fields = self.front_origin.last().fields
        self.assertEqual(fields.all("x-set"), ["new"])
        self.assertEqual(fields.all("x-add"), ["first", "127.0.0.1 site.example"])
        self.assertNotIn("x-remove", fields)

    def test_response_fields_are_edited_on_misses_and_hits(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=60", "X-Remove": "1", "X-Set": "old"},
                                               b"x"))
        node = self.route(origin, response_fields={"set": [{"name": "X-Set", "value": "new"}],
                                                   "add": [{"name": "X-Add", "value": "a"}], "remove": ["X-Remove"]})
        for hit in (False, True):
            answer = node.get("/")
            self.assertEqual(answer.hit, hit)
            self.assertEqual(answer.fields.all("x-set"), ["new"])
            self.assertEqual(answer.fields.all("x-add"), ["a"])
            self.assertNotIn("x-remove", answer.fields)

    def test_a_client_value_cannot_split_an_edited_field(self):
        node = self.route(match={"paths": ["~ ^/(.*)$"]}, response_fields={"set": [{"name": "X-Path", "value": "$1"}]})
        self.assertNotIn("set-cookie", node.get("/a%0d%0aSet-Cookie:%20b").fields)

    def test_split_by_weight(self):
        one = self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"one"))
        two = self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"two"))
        node = self.node(settings([upstream(one, "one"), upstream(two, "two")], [
            {"split": [{"upstream": "one", "weight": 9}, {"upstream": "two", "weight": 1}]}]))
        shares = collections.Counter(node.get("/").text for _ in range(200))
        self.assertGreater(shares["one"], 150)
        self.assertGreater(shares["two"], 2)

    def test_routes_lead_to_their_upstreams(self):
        one = self.origin(lambda x: x.reply(200, {}, b"one"))
        two = self.origin(lambda x: x.reply(200, {}, b"two"))
        node = self.node(settings([upstream(one, "one"), upstream(two, "two")], [
            {"match": {"paths": ["/two"]}, "upstream": "two"}, {"upstream": "one"}]))
        self.assertEqual([node.get("/").text, node.get("/two/x").text], ["one", "two"])
