"""What a node changes in a message on its way, both ways, and what it leaves alone (RFC 9110 7.6, RFC 9112)."""
import tempfile
import threading

from lib import http1
from lib.case import NodeCase, SharedNodeCase, table
from lib.client import Client
from lib.node import settings
from lib.origin import raw


class RequestFields(SharedNodeCase):
    def sent(self, fields=(), method="GET", path="/", body=b"", **kw):
        """The request the origin sees when a client asks with these fields."""
        self.assertEqual(self.shared_node.ask(method, path, fields, body, **kw).status, 200)
        return self.shared_origin.last().fields

    def test_ordinary_fields_pass_with_order_and_value(self):
        fields = [("A", "1"), ("B", "x,  y"), ("A", "2"), ("Cookie", "a=b; c=d"), ("Authorization", "Basic eDp5")]
        sent = self.sent(fields)
        self.assertEqual(sent.all("a"), ["1", "2"])
        self.assertEqual(sent["b"], "x,  y")
        self.assertEqual(sent["cookie"], "a=b; c=d")
        self.assertEqual(sent["authorization"], "Basic eDp5")

    def test_fields_of_the_connection_are_removed(self):
        sent = self.sent([("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "trailers"),
                          ("Trailer", "X"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
                          ("Proxy-Authorization", "Basic eDp5"), ("Proxy", "http://evil.example"),
                          ("Connection", "Upgrade, HTTP2-Settings")])
        for name in ("keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings",
                     "proxy-authorization", "proxy", "connection"):
            self.assertNotIn(name, sent)

    def test_fields_that_connection_names_are_removed(self):
        sent = self.sent([("Connection", "X-One, x-two"), ("Connection", "X-Three"), ("X-One", "1"), ("X-Two", "2"),
                          ("X-Three", "3"), ("X-Four", "4")])
        self.assertEqual([n for n in sent.names() if n.startswith("x-") and n in (
            "x-one", "x-two", "x-three", "x-four")], ["x-four"])

    def test_connection_cannot_name_away_what_matters_for_security(self):
        sent = self.sent([("Connection", "Host, Cookie, Authorization, X-Forwarded-For, X-Forwarded-Proto, Forwarded"),
                          ("Cookie", "a=b"), ("Authorization", "Basic eDp5")])
        for name in ("host", "cookie", "authorization", "x-forwarded-for", "x-forwarded-proto", "forwarded"):
            self.assertIn(name, sent)

    def test_connection_cannot_name_away_the_length(self):
        self.sent([("Connection", "Content-Length")], "POST", body=b"hello")
        self.assertEqual(self.shared_origin.last().body, b"hello")

    def test_names_with_an_underscore_are_dropped(self):
        sent = self.sent([("X_Forwarded_For", "1.2.3.4"), ("Content_Length", "7")])
        self.assertNotIn("x_forwarded_for", sent)
        self.assertNotIn("content_length", sent)

    def test_host_is_the_clients_and_comes_once(self):
        self.assertEqual(self.sent(host="site.example").all("host"), ["site.example"])

    def test_an_http_1_0_request_without_host_still_has_one_upstream(self):
        self.assertEqual(self.shared_node.ask("GET", "/", host=None, version="1.0").status, 200)
        self.assertEqual(len(self.shared_origin.last().fields.all("host")), 1)

    def test_absolute_form_becomes_origin_form(self):
        self.sent(path="http://site.example/a?b=c", host="site.example")
        request = self.shared_origin.last()
        self.assertEqual(request.target, "/a?b=c")
        self.assertEqual(request.fields.all("host"), ["site.example"])

    def test_absolute_form_without_a_path_becomes_a_slash(self):
        self.sent(path="http://site.example", host="site.example")
        self.assertEqual(self.shared_origin.last().target, "/")

    def test_the_upstream_request_is_http_1_1(self):
        self.shared_node.ask("GET", "/", version="1.0")
        self.assertEqual(self.shared_origin.last().version, "1.1")

    def test_via_names_the_protocol_and_the_pseudonym(self):
        self.assertEqual(self.sent()["via"], "1.1 weir")
        self.assertEqual(self.shared_node.ask("GET", "/", version="1.0").status, 200)
        self.assertEqual(self.shared_origin.last().fields["via"], "1.0 weir")

    def test_via_is_appended_to(self):
        self.assertEqual(self.sent({"Via": "1.1 before"})["via"].replace(" ", ""), "1.1before,1.1weir")

    def test_forwarded_fields_of_strangers_are_replaced(self):
        sent = self.sent({"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
                          "X-Forwarded-Port": "1", "X-Forwarded-Server": "evil", "Forwarded": "for=1.2.3.4",
                          "X-Real-IP": "1.2.3.4"}, host="site.example")
        self.assertEqual(sent.all("x-forwarded-for"), ["127.0.0.1"])
        self.assertEqual(sent.all("x-forwarded-host"), ["site.example"])
        self.assertEqual(sent.all("x-forwarded-proto"), ["http"])
        self.assertEqual(len(sent.all("forwarded")), 1)
        self.assertIn("for=127.0.0.1", sent["forwarded"].replace('"', ""))
        self.assertIn("host=site.example", sent["forwarded"].replace('"', ""))
        self.assertIn("proto=http", sent["forwarded"])
        for line in sent.lines:
            self.assertNotIn("1.2.3.4", line[1])
            self.assertNotIn("evil", line[1])

    def test_fields_that_rewrite_the_request_elsewhere_are_removed(self):
        sent = self.sent({"X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "X-HTTP-Method": "DELETE",
                          "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE", "X-Host": "evil.example"})
        for name in ("x-original-url", "x-rewrite-url", "x-http-method", "x-http-method-override",
                     "x-method-override", "x-host"):
            self.assertNotIn(name, sent)

    def test_accept_encoding_and_other_negotiation_pass(self):
        fields = {"Accept-Encoding": "gzip, br", "Accept-Language": "de", "User-Agent": "test/1"}
        sent = self.sent(fields, path="/negotiated")
        self.assertEqual(sent["accept-encoding"], "identity")  # the node codes, once for all
        sent = self.sent(fields, path="/negotiated")  # it could not be stored
        self.assertEqual(sent["accept-encoding"], "br, gzip")
        self.assertEqual(sent["accept-language"], "de")
        self.assertEqual(sent["user-agent"], "test/1")

    def test_the_query_passes_as_it_is(self):
        self.sent(path="/a?b=c&d=%2F%20+e&&x")
        self.assertEqual(self.shared_origin.last().target, "/a?b=c&d=%2F%20+e&&x")

    def test_any_method_passes(self):
        for method in ("PUT", "PATCH", "DELETE", "PROPFIND", "QUERY", "X-OWN"):
            self.assertEqual(self.shared_node.ask(method, "/", body=b"x").status, 200)
            self.assertEqual(self.shared_origin.last().method, method)
            self.assertEqual(self.shared_origin.last().body, b"x")

    def test_options_asterisk_passes_as_such(self):
        self.assertEqual(self.shared_node.ask("OPTIONS", "*").status, 200)
        self.assertEqual(self.shared_origin.last().target, "*")

    def test_a_request_id_is_made_and_a_strangers_replaced(self):
        first, second = self.sent()["x-request-id"], self.sent({"X-Request-ID": "mine"})["x-request-id"]
        self.assertNotEqual(first, second)
        self.assertNotEqual(second, "mine")

    def test_cdn_loop_is_appended_to(self):
        self.assertTrue(self.sent({"CDN-Loop": "other"})["cdn-loop"].startswith("other"))


class ResponseFields(SharedNodeCase):
    def got(self, fields, **kw):
        path = "/" + self.id()
        self.shared_origin.on(path, lambda x: x.reply(200, fields, b"hello"))
        return self.shared_node.get(path, **kw)

    def test_ordinary_fields_pass_with_order_and_value(self):
        got = self.got([("Set-Cookie", "a=b"), ("X", "1"), ("Set-Cookie", "c=d"), ("Content-Type", "text/x")]).fields
        self.assertEqual(got.all("set-cookie"), ["a=b", "c=d"])
        self.assertEqual(got["content-type"], "text/x")
        self.assertEqual(got["x"], "1")

    def test_fields_of_the_connection_are_removed(self):
        got = self.got([("Connection", "keep-alive, X-Own"), ("Keep-Alive", "timeout=5"), ("X-Own", "1"),
                        ("Proxy-Connection", "keep-alive"), ("Upgrade", "h2c"), ("X-Kept", "1")]).fields
        for name in ("keep-alive", "x-own", "proxy-connection", "upgrade"):
            self.assertNotIn(name, got)
        self.assertEqual(got["x-kept"], "1")

    def test_connection_cannot_name_away_set_cookie_or_cache_control(self):
        got = self.got([("Connection", "Cache-Control, Set-Cookie, Content-Length"), ("Cache-Control", "no-store"),
                        ("Set-Cookie", "a=b")])
        self.assertEqual(got.fields["cache-control"], "no-store")
        self.assertEqual(got.fields["set-cookie"], "a=b")
        self.assertEqual(got.body, b"hello")

    def test_date_is_kept_or_made(self):
        self.assertEqual(self.got({"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}).fields.all("date"),
                         ["Mon, 01 Jan 2024 00:00:00 GMT"])
        self.shared_origin.on("/dateless", lambda x: x.reply(200, {}, b""))
        self.assertEqual(len(self.shared_node.get("/dateless").fields.all("date")), 1)

    def test_the_server_field_is_removed(self):
        self.assertNotIn("server", self.got({"Server": "demo/1.2.3"}).fields)

    def test_the_reason_does_not_matter_and_the_status_passes(self):
        for status in (201, 202, 203, 226, 300, 308, 402, 418, 451, 499, 507, 520, 599):
            self.shared_origin.on("/status", lambda x: x.reply(status, {}, b"x"))
            self.assertEqual(self.shared_node.get("/status").status, status)

    def test_a_request_id_comes_back(self):
        self.assertEqual(self.got({}).fields["x-request-id"], self.shared_origin.last().fields["x-request-id"])


@table
class ResponseFraming(SharedNodeCase):
    """However the origin marks the end, the client gets it whole, in a framing its version knows."""
    def row(self, data, body, version, framing):
        self.shared_origin.on("/framing", raw(data, then="close"))
        answer = self.shared_node.get("/framing", version=version)
        self.assertEqual(answer.body, body)
        self.assertEqual(answer.version, "1.1")  # weir's own version, RFC 9110 2.5
        self.assertIn(answer.framing, framing)

    LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"
    rows = {
        "length for HTTP 1.1": (LENGTH, b"hello", "1.1", ["length"]),
        "length for HTTP 1.0": (LENGTH, b"hello", "1.0", ["length"]),
        "chunked for HTTP 1.1": (CHUNKED, b"hello", "1.1", ["chunked", "length"]),
        "chunked for HTTP 1.0": (CHUNKED, b"hello", "1.0", ["close", "length"]),
        "until close for HTTP 1.1": (CLOSE, b"hello", "1.1", ["chunked", "length"]),
        "until close for HTTP 1.0": (CLOSE, b"hello", "1.0", ["close", "length"]),
        "empty until close for HTTP 1.1": (CLOSE[:-5], b"", "1.1", ["chunked", "length"]),
    }


class Head(SharedNodeCase):
    def test_a_response_to_head_keeps_its_length_and_has_no_content(self):
        self.shared_origin.on("/h", lambda x: x.reply(200, {"Content-Length": "12345"}))
        with Client(self.shared_node.address) as client:
            answer = client.ask("HEAD", "/h")
            self.assertEqual(answer.fields["content-length"], "12345")
            self.assertEqual(client.ask("HEAD", "/h").status, 200)  # nothing stood between

    def test_a_chunked_response_to_head_has_no_content(self):
        self.shared_origin.on("/c", lambda x: x.reply(200, {"Transfer-Encoding": "chunked"}))
        with Client(self.shared_node.address) as client:
            self.assertEqual(client.ask("HEAD", "/c").status, 200)
            self.assertEqual(client.ask("HEAD", "/c").status, 200)

    def test_204_and_304_have_no_content_nor_framing(self):
        self.shared_origin.on("/204", lambda x: x.reply(204))
        self.shared_origin.on("/304", lambda x: x.reply(304, {"ETag": '"a"'}))
        with Client(self.shared_node.address) as client:
            answer = client.ask("GET", "/204")
            self.assertEqual(answer.status, 204)
            self.assertNotIn("transfer-encoding", answer.fields)
            self.assertNotIn("content-length", answer.fields)
            self.assertEqual(client.ask("GET", "/304", {"If-None-Match": '"a"'}).status, 304)


class RequestBodies(SharedNodeCase):
    def test_a_length_stays_a_length(self):
        self.shared_node.ask("POST", "/", body=b"hello")
        self.assertEqual(self.shared_origin.last().fields.all("content-length"), ["5"])
        self.assertEqual(self.shared_origin.last().body, b"hello")

    def test_chunked_arrives_framed_without_extensions(self):
        body = http1.chunk(b"hello", b";secret=1") + http1.chunk(b" world") + http1.LAST_CHUNK
        self.shared_node.ask("POST", "/", {"Transfer-Encoding": "chunked"}, body)
        request = self.shared_origin.last()
        self.assertEqual(request.body, b"hello world")
        self.assertEqual(request.fields.get("transfer-encoding"), "chunked")
        self.assertNotIn("content-length", request.fields)

    def test_post_without_content_says_so(self):
        self.shared_node.ask("POST", "/")
        request = self.shared_origin.last()
        self.assertEqual(request.body, b"")
        self.assertEqual(request.fields.get("content-length", "0"), "0")

    def test_get_without_content_carries_no_framing(self):
        self.shared_node.get("/")
        self.assertNotIn("content-length", self.shared_origin.last().fields)
        self.assertNotIn("transfer-encoding", self.shared_origin.last().fields)


class Trailers(NodeCase):
    REQUEST = http1.chunk(b"hello") + b"0\r\nX-Sum: 1\r\nX-Other: 2\r\nContent-Length: 3\r\n\r\n"

    def test_trailers_are_dropped_and_never_become_fields(self):
        origin = self.origin()
        origin.on("/r", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + self.REQUEST))
        node = self.front(origin)
        node.ask("POST", "/", {"Transfer-Encoding": "chunked", "Trailer": "X-Sum"}, self.REQUEST)
        self.assertEqual(origin.last().trailers.lines, [])
        self.assertNotIn("x-sum", origin.last().fields)
        answer = node.get("/r", {"TE": "trailers"})
        self.assertEqual(answer.body, b"hello")
        self.assertEqual(answer.trailers.lines, [])
        self.assertNotIn("x-sum", answer.fields)

    def test_trailers_allowed_by_name_pass_both_ways(self):
        origin = self.origin()
        origin.on("/r", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + self.REQUEST))
        node = self.front(origin, routes=[{"upstream": "app", "trailers": ["X-Sum"]}])
        node.ask("POST", "/", {"Transfer-Encoding": "chunked", "Trailer": "X-Sum"}, self.REQUEST)
        self.assertEqual(origin.last().trailers.lines, [("X-Sum", "1")])
        answer = node.get("/r", {"TE": "trailers"})
        self.assertEqual(answer.trailers.lines, [("X-Sum", "1")])


class Interim(NodeCase):
    EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"

    def test_interim_responses_are_passed_on_in_order(self):
        def hints(x):
            x.send(self.EARLY + b"HTTP/1.1 102 Processing\r\n\r\n")
            x.reply(200, {}, b"done")
        answer = self.front(self.origin(hints)).get("/")
        self.assertEqual([i.status for i in answer.interim], [103, 102])
        self.assertEqual(answer.interim[0].fields["link"], "</a.css>; rel=preload")
        self.assertEqual(answer.body, b"done")

    def test_hints_are_for_those_whom_the_route_names(self):
        def hints(x):
            x.send(self.EARLY + b"HTTP/1.1 103 Early Hints\r\nLink: </n>; rel=next\r\nSet-Cookie: a=b\r\n\r\n")
            x.reply(200, {}, b"done")
        origin = self.origin(hints)
        asked = {"Sec-Fetch-Mode": "navigate"}
        for word, fields, number in (("navigations", {}, 0), ("navigations", asked, 1), ("all", {}, 2), ("off", asked, 0)):
            with self.subTest(word=word, asked=fields):
                node = self.front(origin, routes=[{"upstream": "app", "early_hints": word}])
                answer = node.get("/", fields)
                self.assertEqual(len(answer.interim), number)  # the second hints at nothing to fetch
                if word == "navigations":
                    for i in answer.interim:
                        self.assertEqual([n.lower() for n, _ in i.fields.lines], ["link"])

    def test_an_interim_response_does_not_wait_for_the_final_one(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def hints(x):
            x.send(self.EARLY)
            go.wait(30)
            x.reply(200, {}, b"done")
        client = self.client(self.front(self.origin(hints)))
        client.send(b"GET / HTTP/1.1\r\nHost: test.example\r\nSec-Fetch-Mode: navigate\r\n\r\n")
        self.assertEqual(client.head().status, 103)
        go.set()
        self.assertEqual(client.response().body, b"done")

    def test_http_1_0_clients_get_no_interim_responses(self):
        def hints(x):
            x.send(self.EARLY)
            x.reply(200, {}, b"done")
        answer = self.front(self.origin(hints)).get("/", version="1.0")
        self.assertEqual(answer.interim, [])
        self.assertEqual(answer.body, b"done")

    def test_expect_100_continue_is_answered_before_the_body(self):
        origin = self.origin()
        client = self.client(self.front(origin))
        client.send(b"POST / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.head().status, 100)
        client.send(b"hello")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(origin.last().body, b"hello")

    def test_expect_100_continue_is_not_answered_when_the_body_is_there(self):
        client = self.client(self.front(self.origin()))
        client.send(b"POST / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        self.assertEqual(client.response().status, 200)

    def test_expect_100_continue_with_a_body_too_large_gets_413_at_once(self):
        client = self.client(self.front(self.origin()))
        client.send(b"POST / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
        answer = client.response()
        self.assert_status(answer, 413)
        self.assertEqual(answer.interim, [])


class Trust(NodeCase):
    def sent(self, carried, **forward):
        origin = self.origin()
        self.assertEqual(self.front(origin, forward=forward).get("/", carried, host="site.example").status, 200)
        return origin.last().fields

    def test_listed_peers_are_believed_and_added_to(self):
        sent = self.sent({"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https",
                          "X-Forwarded-Host": "public.example"}, trusted=["127.0.0.0/8"])
        self.assertEqual(sent["x-forwarded-for"].replace(" ", ""), "192.0.2.9,127.0.0.1")
        self.assertEqual(sent["x-forwarded-proto"], "https")
        self.assertEqual(sent["x-forwarded-host"], "public.example")

    def test_a_listed_peers_scheme_counts_here_too(self):
        route = {"redirect": {"to": "$scheme://$host/x", "status": 302}}
        ask = {"X-Forwarded-Proto": "https"}
        trusting = self.front(self.origin(), [route], forward={"trusted": ["127.0.0.0/8"]})
        self.assertEqual(trusting.get("/", ask, host="s.example").fields["location"], "https://s.example/x")
        self.assertEqual(self.front(self.origin(), [route]).get("/", ask, host="s.example").fields["location"],
                         "http://s.example/x")

    def test_peers_outside_the_list_are_not(self):
        self.assertEqual(self.sent({"X-Forwarded-For": "192.0.2.9"}, trusted=["10.0.0.0/8"]).all("x-forwarded-for"),
                         ["127.0.0.1"])

    def test_only_the_kind_asked_for_is_sent(self):
        sent = self.sent({}, fields="rfc7239")
        self.assertNotIn("x-forwarded-for", sent)
        self.assertIn("forwarded", sent)
        sent = self.sent({}, fields="x")
        self.assertIn("x-forwarded-for", sent)
        self.assertNotIn("forwarded", sent)
        sent = self.sent({"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.9"}, fields="none")
        self.assertNotIn("x-forwarded-for", sent)
        self.assertNotIn("forwarded", sent)

    def test_via_carries_the_chosen_pseudonym(self):
        self.assertEqual(self.sent({}, pseudonym="edge-7")["via"], "1.1 edge-7")

    def test_the_host_can_be_set_for_an_upstream(self):
        origin = self.origin()
        node = self.front(origin, upstream={"host": "inner.example"})
        node.get("/", host="outer.example")
        self.assertEqual(origin.last().fields.all("host"), ["inner.example"])
        self.assertEqual(origin.last().fields["x-forwarded-host"], "outer.example")


class Loops(NodeCase):
    def test_a_request_that_was_here_before_is_refused(self):
        origin = self.origin()
        self.assert_status(self.front(origin).get("/", {"Via": "1.1 other, 1.1 weir"}), 508)
        self.assertEqual(origin.count(), 0)

    def test_a_pseudonym_inside_another_word_is_no_loop(self):
        self.assert_status(self.front(self.origin()).get("/", {"Via": "1.1 weird, 1.1 my-weir"}), 200)

    def test_cdn_loop_alone_suffices(self):
        origin = self.origin()
        self.assert_status(self.front(origin).get("/", {"CDN-Loop": "other, weir"}), 508)
        self.assertEqual(origin.count(), 0)

    def test_a_node_in_front_of_itself_ends_with_an_error(self):
        config = settings("http://127.0.0.1:9")
        listen = config["listen"][0]["address"]
        config["upstreams"][0]["origins"] = ["http://" + listen]
        self.assert_status(self.node(config).get("/"), 508)


class Transports(NodeCase):
    def test_an_origin_on_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            origin = self.origin(unix=folder + "/o.sock")
            node = self.front(origin)
            self.assertEqual(node.get("/a").body, b"origin")
            self.assertEqual(origin.last().target, "/a")
            self.assertEqual(len(origin.last().fields.all("host")), 1)

    def test_an_origin_on_ipv6(self):
        origin = self.origin(address="::1")
        self.assertEqual(self.front(origin).get("/").body, b"origin")

    def test_an_origin_by_name(self):
        origin = self.origin(address="127.0.0.1")
        node = self.node(settings("http://localhost:%d" % origin.port))
        self.assertEqual(node.get("/").body, b"origin")

    def test_a_name_that_does_not_resolve_is_502(self):
        node = self.node(settings("http://does-not-exist.invalid:80"))
        self.assertIn(node.get("/").status, (502, 503))
