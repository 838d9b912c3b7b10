"""Cache poisoning and cache deception: whatever an attacker sends, the next plain client gets the clean response.

The origin is as careless as applications are: it believes every field that names a host, a URL, a method or a
scheme, reads parameters from the content of a GET and behind semicolons, refuses what it does not like without a
word about caching, and declares its pages fresh for ten minutes whatever it made them of."""
import itertools
import re
import threading

from lib.case import NodeCase, SharedNodeCase, table
from lib.client import Client, request
from lib.node import settings, upstream

FRESH = {"Cache-Control": "max-age=600"}
HOSTS = ("x-forwarded-host", "x-host", "x-forwarded-server", "x-http-host-override", "x-host-override",
         "x-original-host", "forwarded")
URLS = ("x-original-url", "x-rewrite-url", "x-forwarded-uri", "x-forwarded-path", "x-forwarded-prefix")
METHODS = ("x-http-method-override", "x-http-method", "x-method-override", "x-original-method", "x-forwarded-method")
SCHEMES = ("x-forwarded-scheme", "x-forwarded-proto", "x-scheme", "x-url-scheme", "x-forwarded-ssl", "front-end-https",
           "x-forwarded-port")
SEEN = ("proxy", "range", "if-range", "te", "expect", "upgrade", "max-forwards", "accept-encoding", "x-forwarded-for",
        "x-real-ip", "client-ip", "true-client-ip", "x-client-ip", "cf-connecting-ip", "x-request-id", "via", "cdn-loop")


def careless(x):
    """Answers by everything it is told, and shows all of it."""
    fields = x.request.fields
    method = next((fields[n] for n in METHODS if n in fields), x.request.method)
    url = next((fields[n] for n in URLS if n in fields), x.request.target)
    host = next((fields[n] for n in HOSTS if n in fields), fields["host"])
    scheme = next((fields[n] for n in SCHEMES if n in fields), "http")
    query = url.partition("?")[2] + "&" + x.request.body.decode("latin-1")
    if method not in ("GET", "HEAD"):
        return x.reply(405, {}, b"evil method")
    if "evil-status" in url:
        return x.reply(400, {}, b"evil")
    if any(len(v) > 4000 for _, v in fields.lines) or len(fields.lines) > 60:
        return x.reply(400, {}, b"evil request")  # CPDoS: header oversize
    if "x-wanted" in fields.names() and "x-app" not in fields.names():
        return x.reply(400, {}, b"evil: no x-app")
    if fields.get("if-match") or fields.get("if-unmodified-since"):
        return x.reply(412, {}, b"evil")
    if fields.get("early-data"):
        return x.reply(425, FRESH, b"evil")
    if fields.get("range"):
        return x.reply(206, dict(FRESH, **{"Content-Range": "bytes 0-3/100"}), b"evil")
    if fields.get("if-none-match") or fields.get("if-modified-since"):
        return x.reply(304, FRESH)
    if scheme == "http-evil":
        return x.reply(301, dict(FRESH, Location="https://%s%s" % (host, url)), b"")
    shown = [method, url, host, scheme, re.sub("[;&]", " ", query)]
    shown += ["%s: %s" % (n, fields[n]) for n in HOSTS + URLS + METHODS + SCHEMES + SEEN if n in fields]
    x.reply(200, FRESH, "\n".join(shown).encode("latin-1"))


numbers = itertools.count()


def attack(*lines, method="GET", target="{path}", host="test.example", body=b"", version="1.1"):
    """The bytes of a request, with the path that the row is given for {path}."""
    def make(path):
        fields = [tuple(line.split(": ", 1)) for line in lines]
        return request(method, target.replace("{path}", path), fields, body, host, version)
    return make


def raw(text):
    return lambda path: text.replace("{path}", path).encode("latin-1")


def fields(*names):
    return {"the field %s" % n: (attack("%s: evil" % n),) for n in names}


@table
class Poisoning(SharedNodeCase):
    """Each row has a path of its own: the attack comes first, to a cold cache, twice; then a plain client."""
    rows = dict(
        fields("X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-HTTP-Host-Override", "X-Host-Override",
               "X-Original-Host", "X-Forwarded-Scheme", "X-Forwarded-Proto", "X-Scheme", "X-URL-Scheme",
               "X-Forwarded-Port", "X-Forwarded-Ssl", "Front-End-Https", "X-Forwarded-Prefix", "X-Forwarded-Path",
               "X-Forwarded-For", "X-Real-IP", "Client-IP", "True-Client-IP", "X-Client-IP", "CF-Connecting-IP",
               "Proxy", "TE", "Range", "X-Request-ID", "X-Forwarded-Anything"),
        **{
            "Forwarded names a host": (attack("Forwarded: for=1.2.3.4;host=evil;proto=http-evil"),),
            "a scheme that makes the origin redirect": (attack("X-Forwarded-Scheme: http-evil", "X-Forwarded-Host: evil"),),
            "a name with an underscore": (attack("X_Forwarded_Host: evil"),),
            "another URL": (attack("X-Original-URL: /evil"),),
            "another URL, rewritten": (attack("X-Rewrite-URL: /evil?evil"),),
            "another URL that fails": (attack("X-Original-URL: /evil-status"),),
            "another method": (attack("X-HTTP-Method-Override: POST"),),
            "another method, as others spell it": (attack("X-HTTP-Method: PUT", "X-Method-Override: DELETE"),),
            "another method in the content": (attack(body=b"_method=POST&q=evil"),),
            "a GET with content": (attack(body=b"q=evil"),),
            "a GET with content in chunks": (raw(
                "GET {path} HTTP/1.1\r\nHost: test.example\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nq=evil\r\n0\r\n\r\n"),),
            "a HEAD": (attack(method="HEAD"),),
            "a POST": (attack(method="POST", body=b"q=evil"),),
            "a method of its own": (attack(method="EVIL"),),
            "a method in lower case": (attack(method="get"),),
            "OPTIONS": (attack(method="OPTIONS"),),
            "a QUERY": (attack(method="QUERY", body=b"q=evil"),),
            "a range": (attack("Range: bytes=0-3"),),
            "a range with a condition": (attack("Range: bytes=0-3", 'If-Range: "evil"'),),
            "a condition on a tag": (attack('If-None-Match: "evil"'),),
            "a condition on any tag": (attack("If-None-Match: *"),),
            "a condition on a date": (attack("If-Modified-Since: Mon, 23 Nov 2026 00:00:00 GMT"),),
            "a condition that must hold": (attack('If-Match: "evil"'),),
            "a condition on a date that must hold": (attack("If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT"),),
            "early data": (attack("Early-Data: 1"),),
            "an upgrade to WebSocket": (attack("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),),
            "an upgrade to h2c": (attack("Connection: upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA"),),
            "a coding nobody knows": (attack("Accept-Encoding: evil, gzip;q=0.1"),),
            "a field that is too large for the origin": (attack("X-Oversized: " + "e" * 5000),),
            "a cookie that is too large for the origin": (attack("Cookie: evil=" + "e" * 5000),),
            "more fields than the origin likes": (attack(*["X-%d: evil" % i for i in range(70)]),),
            "a field that is too large for us": (attack("X-Oversized: " + "e" * 9000),),
            "more fields than we like": (attack(*["X-%d: evil" % i for i in range(120)]),),
            "a target that is too long": (attack(target="{path}?evil=" + "e" * 9000),),
            "a control character in a field": (raw("GET {path} HTTP/1.1\r\nHost: test.example\r\nX-Meta: evil\x07\r\n\r\n"),),
            "a bare CR in a field": (raw("GET {path} HTTP/1.1\r\nHost: test.example\r\nX-Meta: a\rX-Host: evil\r\n\r\n"),),
            "a folded field": (raw("GET {path} HTTP/1.1\r\nHost: test.example\r\nX-A: a\r\n X-Host: evil\r\n\r\n"),),
            "a space before the colon": (raw("GET {path} HTTP/1.1\r\nHost: test.example\r\nX-Host : evil\r\n\r\n"),),
            "two Hosts": (raw("GET {path} HTTP/1.1\r\nHost: test.example\r\nHost: evil\r\n\r\n"),),
            "a Host with rubbish for a port": (attack(host="test.example:evil"),),
            "a Host with a user": (attack(host="evil@test.example"),),
            "a Host with a path": (attack(host="test.example/evil"),),
            "an absolute target that is not the Host's": (attack(target="http://evil.example{path}"),),
            "an absolute target of another scheme": (attack(target="https://test.example{path}"),),
            "an expectation": (attack("Expect: 100-continue", body=b"q=evil"),),
            "an expectation nobody knows": (attack("Expect: evil"),),
            "a loop that is none": (attack("CDN-Loop: weir"),),
            "a Via that is none": (attack("Via: 1.1 weir"),),
            "Max-Forwards": (attack("Max-Forwards: 0"),),
            "Connection names a field the origin wants": (attack("Connection: X-App", "X-App: 1", "X-Wanted: 1"),),
            "Connection names what must stay": (attack("Connection: Host, Accept-Encoding, Cookie, X-Forwarded-For"),),
            "chunked, in disguise": (raw(
                "GET {path} HTTP/1.1\r\nHost: test.example\r\nTransfer-Encoding: xchunked\r\n\r\n6\r\nq=evil\r\n0\r\n\r\n"),),
            "two lengths": (raw("GET {path} HTTP/1.1\r\nHost: test.example\r\nContent-Length: 0\r\n"
                                "Content-Length: 6\r\n\r\nq=evil"),),
            "a length and chunks": (raw("GET {path} HTTP/1.1\r\nHost: test.example\r\nContent-Length: 6\r\n"
                                        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"),),
            "a parameter": (attack(target="{path}?q=evil"),),
            "a parameter twice": (attack(target="{path}?q=1&q=evil"),),
            "a parameter behind a semicolon": (attack(target="{path}?;q=evil"),),
            "a parameter of the path": (attack(target="{path};q=evil"),),
            "an encoded question mark": (attack(target="{path}%3fq=evil"),),
            "an encoded slash": (attack(target="{path}%2fevil"),),
            "an encoded dot segment": (attack(target="{path}/..%2fevil"),),
            "a double slash": (attack(target="/{path}"),),
            "an encoded NUL": (attack(target="{path}%00evil"),),
            "a fragment": (attack(target="{path}#evil"),),
            "a backslash": (attack(target="{path}\\evil"),),
            "the old version": (attack("X-Forwarded-Host: evil", version="1.0"),),
            "the old version, no Host": (attack("X-Forwarded-Host: evil", host=None, version="1.0"),),
            "a request for a reload": (attack("Cache-Control: no-cache", "X-Forwarded-Host: evil"),),
        })

    @classmethod
    def configure(cls, origin):
        origin.default = careless
        return settings([upstream(origin)], [{"upstream": "app", "websocket": True}])

    def row(self, make):
        path = "/row%d" % next(numbers)
        for _ in range(2):
            with Client(self.shared_node.address) as client:
                client.send(make(path))
                try:
                    client.response(make(path).split(b" ")[0].decode())
                except AssertionError:
                    pass  # refused in whatever way
        for _ in range(2):
            clean = self.shared_node.get(path)
            self.assertEqual(clean.status, 200, clean)
            self.assertNotIn("evil", repr(clean.fields) + clean.text)
            self.assertTrue(clean.text.startswith("GET\n%s\ntest.example\n" % path), clean)
        self.assertTrue(clean.hit, clean)  # and what they get is stored: the attack did not keep it out for good


class TrustedPeers(NodeCase):
    """A proxy before us says how it was asked: what it says goes on to the origin, so all of it is keyed."""

    def setUp(self):
        self.app = self.origin(careless)
        self.front_node = self.front(self.app, forward={"trusted": ["127.0.0.0/8"]})

    def test_what_it_says_makes_a_key_of_its_own(self):
        node = self.front_node
        said = ["X-Forwarded-Host: evil", "X-Forwarded-Port: evil", "X-Forwarded-Prefix: /evil", "X-Original-URL: /evil",
                "X-Rewrite-URL: /evil", "X-Forwarded-Server: evil", "X-Host: evil", "X-Forwarded-Scheme: evil",
                "X-Forwarded-Proto: evil", "Forwarded: for=1.2.3.4;host=evil", "Forwarded: for=1.2.3.4;proto=evil",
                "Forwarded: for=\"1.2.3.4, host=evil", "X-Forwarded-For: evil", "X-Real-IP: evil"]
        for i, line in enumerate(said):
            name, value = line.split(": ", 1)
            path = "/%d" % i
            for _ in range(2):
                self.assertIn("evil", node.get(path, {name: value}).text, line)
            clean = node.get(path)
            self.assertNotIn("evil", clean.text, line)
            self.assertNotIn("evil", node.get(path).text, line)

    def test_another_method_is_not_sent(self):
        node = self.front_node
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            self.assertEqual(node.get("/" + name, {name: "DELETE"}).status, 200)
            self.assertTrue(node.get("/" + name).hit)
        node.ask("POST", "/x", {"X-HTTP-Method-Override": "PUT"}, b"x")
        self.assertEqual(self.app.last().fields["x-http-method-override"], "PUT")

    def test_addresses_share(self):
        node = self.front_node
        node.get("/", {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"})
        self.assertTrue(node.get("/", {"X-Forwarded-For": "192.0.2.2, 2001:db8::1"}).hit)
        self.assertFalse(node.get("/", {"X-Forwarded-Proto": "https"}).hit)


class Errors(NodeCase):
    """An error that one client provokes is not the next one's, unless the origin says so."""

    def test_statuses_without_a_word_are_not_stored(self):
        for status in (400, 401, 403, 405, 406, 408, 411, 413, 414, 415, 417, 421, 422, 426, 431, 500, 501, 502, 503, 504):
            def handler(x, s=status):
                if "x-odd" in x.request.fields:
                    x.reply(s, {}, b"evil")
                else:
                    x.reply(200, FRESH, b"clean")
            node = self.front(self.origin(handler))
            self.assertEqual(node.get("/", {"X-Odd": "1"}).status, status)
            for _ in range(2):
                answer = node.get("/")
                self.assertEqual((answer.status, answer.body), (200, b"clean"), status)
            self.assertTrue(answer.hit)

    def test_nor_with_a_lifetime_of_the_routes(self):
        for status in (400, 413, 431):
            def handler(x, s=status):
                if "x-odd" in x.request.fields:
                    x.reply(s, {}, b"evil")
                else:
                    x.reply(200, FRESH, b"clean")
            for cache in ({"ttl": {"status": ["4xx 10m"]}}, {"ttl": {"otherwise": "10m"}}, {"despite": {"ttl": "10m"}}):
                node = self.front(self.origin(handler), [{"upstream": "app", "cache": cache}])
                node.get("/", {"X-Odd": "1"})
                self.assertEqual(node.get("/").body, b"clean", (status, cache))

    def test_nor_with_a_heuristic_lifetime(self):
        def handler(x):
            if "x-odd" in x.request.fields:
                x.reply(400, {"Last-Modified": "Mon, 01 Jan 2001 00:00:00 GMT"}, b"evil")
            else:
                x.reply(200, FRESH, b"clean")
        node = self.front(self.origin(handler), [{"upstream": "app", "cache": {"heuristic": True}}])
        node.get("/", {"X-Odd": "1"})
        self.assertEqual(node.get("/").body, b"clean")

    def test_who_waited_with_the_attacker_gets_his_own_answer(self):
        gate = threading.Event()

        def handler(x):
            if "x-odd" in x.request.fields:
                gate.wait(30)
                x.reply(400, {}, b"evil")
            else:
                x.reply(200, FRESH, b"clean")
        origin = self.origin(handler)
        node = self.front(origin, node={"workers": 1})
        threading.Thread(target=lambda: node.get("/", {"X-Odd": "1"})).start()
        origin.wait_count(1)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(node.get("/"))) for _ in range(4)]
        for t in threads:
            t.start()
        gate.set()
        for t in threads:
            t.join(40)
        self.assertEqual([a.body for a in answers], [b"clean"] * 4)


class Deception(NodeCase):
    """Somebody lures a user to a URL that looks static: what only he may see is not stored by the look of it."""
    PATHS = ["/account/x.css", "/account.php/x.css", "/account;x.css", "/account%2fx.css", "/account%3bx.css",
             "/account%3fx.css", "/account%23x.css", "/account?x.css", "/account?/x.css", "/static/..%2faccount",
             "/static/%2e%2e/account", "/account/..%2fstatic/x.css", "/account//x.js", "/favicon.ico", "/account.css",
             "/robots.txt/../account", "/account$x.css", "/account~x.jpg"]

    def private(self, fields):
        def handler(x):
            x.reply(200, fields, b"secret of %s at %s" % (x.request.fields.get("cookie", "nobody").encode(),
                                                          x.request.target.encode()))
        return handler

    def test_nobody_gets_what_the_origin_did_not_declare(self):
        for declared in ({}, {"Cache-Control": "private, max-age=600"}, {"Cache-Control": "no-store"},
                         {"Cache-Control": "no-cache"}, {"Pragma": "no-cache", "Expires": "0"},
                         {"Cache-Control": "max-age=600", "Vary": "Cookie"},
                         {"Cache-Control": "max-age=600", "Set-Cookie": "sid=1"}):
            node = self.front(self.origin(self.private(declared)))
            for path in self.PATHS:
                for _ in range(2):
                    node.get(path, {"Cookie": "sid=victim"})
                answer = node.get(path)
                self.assertNotIn("victim", answer.text, (path, declared))
                self.assertEqual(answer.text.split(" at ")[0], "secret of nobody", (path, declared))

    def test_authorization_is_not_shared(self):
        def handler(x):
            x.reply(200, FRESH, x.request.fields.get("authorization", "nobody").encode())
        node = self.front(self.origin(handler))
        node.get("/x.css", {"Authorization": "Basic victim"})
        self.assertEqual(node.get("/x.css").body, b"nobody")


class WhatIsKeyedIsWhatIsSent(NodeCase):
    """The key's bytes are those of the request that goes to the origin; two requests share a key only if the origin
    could not tell them apart."""
    TARGETS = {  # as sent by the client: as the origin gets it (None: refused)
        "/a/b": "/a/b", "/a%2fb": "/a%2Fb", "/a%2Fb": "/a%2Fb", "/a//b": "/a//b", "//a/b": "//a/b", "/a/b/": "/a/b/",
        "/a/./b": "/a/b", "/a/c/../b": "/a/b", "/a/%2e/b": "/a/b", "/a/c/%2E%2e/b": "/a/b", "/a/..%2fb": "/a/..%2Fb",
        "/a/b;x=1": "/a/b;x=1", "/a;x/b": "/a;x/b", "/a/b?": "/a/b?", "/a/b?q": "/a/b?q", "/a/b?q=": "/a/b?q=",
        "/a/b?%71": "/a/b?%71", "/a/b?q;r": "/a/b?q;r", "/a/b?q&r": "/a/b?q&r", "/a/b?r&q": "/a/b?r&q",
        "/a/b?q?r": "/a/b?q?r", "/a/%62": "/a/b", "/A/b": "/A/b", "/a%20b": "/a%20b", "/a+b": "/a+b",
        "/a/b%3F": "/a/b%3F", "/a/b%3Fq": "/a/b%3Fq", "/a/b%253F": "/a/b%253F", "/a/%7Eb": "/a/~b", "/a%5Cb": "/a%5Cb",
        "/../a": None, "/a/../../b": None, "/%2e%2e/a": None, "/a%00b": None, "/a%0d%0ab": None, "/a%zz": None,
        "/a\\b": None, "/a#b": None, "http://test.example/a/b": "/a/b", "http://test.example": "/",
        "http://TEST.example:80/a/b?x": "/a/b?x",
    }

    def test_targets(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.target.encode()))
        node = self.front(origin)
        for target, sent in self.TARGETS.items():
            answer = node.get(target)
            if sent is None:
                self.assertEqual(answer.status, 400, target)
            else:
                self.assertEqual(answer.text, sent, target)
        for target, sent in self.TARGETS.items():  # all of them stored by now: each gets its own
            if sent is not None:
                answer = node.get(target)
                self.assertTrue(answer.hit, target)
                self.assertEqual(answer.text, sent, target)
        self.assertEqual(sorted({r.target for r in origin.seen()}), sorted({s for s in self.TARGETS.values() if s}))

    def test_hosts(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.fields["host"].encode()))
        node = self.front(origin)
        for host, sent in {"A.example": "a.example", "a.example:80": "a.example", "a.example.": "a.example",
                           "a.example:81": "a.example:81", "b.example": "b.example", "127.0.0.1": "127.0.0.1",
                           "[2001:DB8::1]": "[2001:db8::1]", "[2001:db8:0::1]:80": "[2001:db8::1]"}.items():
            for _ in range(2):
                self.assertEqual(node.get("/", host=host).text, sent, host)
        self.assertEqual(origin.count(), 5)
        for host in ("a.example:0", "a.example:080", "a.example:99999", "a..example", "a_b example", "", "a.example,b",
                     "[::1", "a.example#b", "a.example?b"):
            self.assertEqual(node.get("/", host=host).status, 400, host)
