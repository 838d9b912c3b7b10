"""QUERY (RFC 10008): a safe method with content. Its content is a part of the key."""
import threading

from lib.case import NodeCase
from lib.client import request
from lib.http1 import LAST_CHUNK, chunk
from lib.wait import wait_until

FRESH = {"Cache-Control": "max-age=600"}
JSON = {"Content-Type": "application/json"}
KIB = 1024


def echo(x):
    """Answers with the content it was asked by, and how it was described."""
    x.reply(200, FRESH, b"%s|%s|%s" % (x.request.method.encode(), x.request.fields.get("content-type", "-").encode(),
                                       x.request.body))


def query(node, body=b"", fields=(), path="/feed", **kw):
    return node.ask("QUERY", path, fields, body, **kw)


class Stored(NodeCase):
    def test_the_same_content_gets_the_stored_response(self):
        origin = self.origin(echo)
        node = self.front(origin)
        first = query(node, b"q=1", JSON)
        self.assertIn("fwd=uri-miss", first.cache_status)
        self.assertEqual(first.body, b"QUERY|application/json|q=1")
        again = query(node, b"q=1", JSON)
        self.assertTrue(again.hit)
        self.assertEqual(again.body, first.body)
        self.assertEqual(origin.count(), 1)
        self.assertEqual(origin.last().fields["content-length"], "3")

    def test_everything_that_says_what_is_asked_counts(self):
        origin = self.origin(echo)
        node = self.front(origin)
        asked = [("/feed", b"q=1", JSON), ("/feed", b"q=2", JSON), ("/feed", b"q=1", {"Content-Type": "text/plain"}),
                 ("/feed", b"q=1", {}), ("/feed?a", b"q=1", JSON), ("/feed", b"", JSON), ("/feed", b"", {}),
                 ("/feed", b"q=1", dict(JSON, **{"Content-Encoding": "x-rot13"})),
                 ("/feed", b"q=1", dict(JSON, **{"Content-Language": "de"}))]
        for path, body, fields in asked:
            self.assertFalse(query(node, body, fields, path).hit, (path, body, fields))
        for path, body, fields in asked:
            answer = query(node, body, fields, path)
            self.assertTrue(answer.hit, (path, body, fields))
            self.assertTrue(answer.body.endswith(b"|" + body))
        self.assertEqual(origin.count(), len(asked))

    def test_a_get_and_a_query_never_answer_each_other(self):
        origin = self.origin(echo)
        node = self.front(origin)
        node.get("/feed")
        self.assertFalse(query(node).hit)
        self.assertFalse(query(node, b"GET").hit)
        self.assertTrue(node.get("/feed").body.startswith(b"GET|"))
        self.assertTrue(query(node).body.startswith(b"QUERY|"))

    def test_chunked_content_is_the_same_as_announced(self):
        origin = self.origin(echo)
        node = self.front(origin)
        query(node, b"q=123", JSON)
        for pieces in ([b"q=123"], [b"q=", b"1", b"23"]):
            body = b"".join(chunk(p) for p in pieces) + LAST_CHUNK
            answer = query(node, body, dict(JSON, **{"Transfer-Encoding": "chunked"}))
            self.assertTrue(answer.hit, pieces)

    def test_content_that_comes_byte_by_byte(self):
        origin = self.origin(echo)
        node = self.front(origin)
        client = self.client(node)
        data = request("QUERY", "/feed", JSON, b"q=slow and steady")
        for i in range(len(data)):
            client.send(data[i:i + 1])
        self.assertEqual(client.response().body, b"QUERY|application/json|q=slow and steady")
        client.send(data)
        self.assertTrue(client.response().hit)

    def test_pipelined(self):
        node = self.front(self.origin(echo))
        client = self.client(node)
        bodies = [b"a", b"b", b"a", b"", b"b"]
        client.send(b"".join(request("QUERY", "/feed", JSON, b) for b in bodies))
        for body in bodies:
            self.assertTrue(client.response().body.endswith(b"|" + body))

    def test_expect_100_continue_is_answered_before_the_content(self):
        node = self.front(self.origin(echo))
        client = self.client(node)
        client.send(request("QUERY", "/feed", dict(JSON, **{"Expect": "100-continue", "Content-Length": "3"})))
        self.assertEqual(client.head().status, 100)
        client.send(b"q=1")
        self.assertEqual(client.response().status, 200)

    def test_it_is_validated_as_a_conditional_query(self):
        def handler(x):
            if x.request.fields.get("if-none-match") == '"1"':
                x.reply(304, {"ETag": '"1"', "Cache-Control": "max-age=600"})
            else:
                x.reply(200, {"ETag": '"1"', "Cache-Control": "max-age=0"}, b"answer")
        origin = self.origin(handler)
        node = self.front(origin)
        query(node, b"q=1", JSON)
        second = query(node, b"q=1", JSON)
        self.assertEqual((second.status, second.body), (200, b"answer"))
        self.assertIn("fwd=stale", second.cache_status)
        self.assertEqual((origin.last().method, origin.last().body), ("QUERY", b"q=1"))
        self.assertTrue(query(node, b"q=1", JSON).hit)

    def test_a_clients_condition_is_answered_from_the_store(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, ETag='"1"'), b"answer")))
        query(node, b"q=1", JSON)
        self.assertEqual(query(node, b"q=1", dict(JSON, **{"If-None-Match": '"1"'})).status, 304)
        self.assertEqual(query(node, b"q=1", dict(JSON, **{"If-None-Match": '"2"'})).status, 200)

    def test_equal_queries_share_a_fetch_and_others_do_not(self):
        gate = threading.Event()

        def handler(x):
            gate.wait(30)
            echo(x)
        origin = self.origin(handler)
        node = self.front(origin)
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append((i % 2, query(node, b"q=%d" % (i % 2), JSON))))
                   for i in range(8)]
        for t in threads:
            t.start()
        origin.wait_count(2)
        gate.set()
        for t in threads:
            t.join(40)
        self.assertEqual(len(answers), 8)
        for which, answer in answers:
            self.assertEqual(answer.body, b"QUERY|application/json|q=%d" % which)
        self.assertEqual(origin.count(), 2)

    def test_it_invalidates_nothing_and_an_unsafe_method_invalidates_it(self):
        node = self.front(self.origin(echo))
        node.get("/feed")
        query(node, b"q=1", JSON)
        self.assertTrue(node.get("/feed").hit)
        node.ask("POST", "/feed", JSON, b"new")
        self.assertFalse(node.get("/feed").hit)
        self.assertFalse(query(node, b"q=1", JSON).hit)

    def test_it_is_repeated_at_another_origin(self):
        seen = []
        broken = self.origin(lambda x: (seen.append(x.request.body), x.close()))
        node = self.front([broken, self.origin(echo)], upstream={"balance": {"method": "round_robin"}})
        for i in range(4):
            self.assertEqual(query(node, b"q=%d" % i, JSON).body, b"QUERY|application/json|q=%d" % i)
        self.assertTrue(seen)
        self.assertNotIn(b"", seen)

    def test_no_vary_search_holds_for_it(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, **{"No-Vary-Search": 'params=("u")'}), b"x")))
        query(node, b"q=1", JSON, "/feed?u=1")
        self.assertTrue(query(node, b"q=1", JSON, "/feed?u=2").hit)
        self.assertFalse(query(node, b"q=2", JSON, "/feed?u=2").hit)


class Passed(NodeCase):
    def test_larger_content_streams_to_the_origin_and_is_not_stored(self):
        origin = self.origin(echo)
        node = self.front(origin)
        body = b"x" * (16 * KIB + 1)
        for _ in range(2):
            answer = query(node, body, JSON)
            self.assertEqual(answer.body, b"QUERY|application/json|" + body)
            self.assertIn("fwd=bypass", answer.cache_status)
        self.assertEqual(origin.count(), 2)

    def test_content_of_unknown_length_that_turns_out_too_large(self):
        for size in (16 * KIB + 1, 40 * KIB, 300 * KIB):
            origin = self.origin(echo)
            node = self.front(origin)
            body = bytes(i % 251 for i in range(size))
            coded = b"".join(chunk(body[i:i + 5000]) for i in range(0, size, 5000)) + LAST_CHUNK
            for _ in range(2):
                answer = query(node, coded, dict(JSON, **{"Transfer-Encoding": "chunked"}))
                self.assertEqual(answer.body, b"QUERY|application/json|" + body)
                self.assertFalse(answer.hit)
            self.assertEqual(origin.count(), 2)

    def test_the_limit_itself_is_stored(self):
        node = self.front(self.origin(echo), [{"upstream": "app", "cache": {"query_body": "1KiB"}}])
        for size, hit in ((KIB, True), (KIB + 1, False)):
            for fields, body in (({}, b"x" * size), ({"Transfer-Encoding": "chunked"},
                                                     chunk(b"x" * size) + LAST_CHUNK)):
                query(node, body, dict(JSON, **fields))
                self.assertEqual(query(node, body, dict(JSON, **fields)).hit, hit, (size, fields))

    def test_never_stored_where_the_limit_is_0(self):
        origin = self.origin(echo)
        node = self.front(origin, [{"upstream": "app", "cache": {"query_body": 0}}])
        for _ in range(2):
            answer = query(node, b"q=1", JSON)
            self.assertEqual(answer.body, b"QUERY|application/json|q=1")
            self.assertIn("fwd=method", answer.cache_status)

    def test_what_must_not_be_stored_is_not(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "private"}, x.request.body))
        node = self.front(origin)
        for _ in range(3):
            self.assertEqual(query(node, b"q=1", JSON).body, b"q=1")
        self.assertEqual(origin.count(), 3)


class Faults(NodeCase):
    def test_content_that_breaks_off_is_never_sent(self):
        origin = self.origin(echo)
        node = self.front(origin)
        for end in ("close", "reset"):
            client = self.client(node)
            client.send(request("QUERY", "/feed", dict(JSON, **{"Content-Length": "10"})) + b"q=1")
            getattr(client, end)()
        self.assertEqual(query(node, b"q=2", JSON).status, 200)
        self.assertEqual(origin.count(), 1)

    def test_bad_chunks_are_refused(self):
        origin = self.origin(echo)
        node = self.front(origin)
        client = self.client(node)
        client.send(request("QUERY", "/feed", dict(JSON, **{"Transfer-Encoding": "chunked"})) + b"3\r\nq=1\r\nxyz\r\n")
        self.assertEqual(client.response().status, 400)
        self.assertTrue(client.closed())
        self.assertEqual(origin.count(), 0)

    def test_a_client_that_stops_sending_gets_408(self):
        origin = self.origin(echo)
        node = self.front(origin, client={"body_timeout": "200ms"})
        client = self.client(node)
        client.send(request("QUERY", "/feed", dict(JSON, **{"Content-Length": "10"})) + b"q=1")
        self.assertEqual(client.response().status, 408)
        self.assertEqual(origin.count(), 0)

    def test_the_total_time_holds(self):
        node = self.front(self.origin(echo), [{"upstream": "app", "limits": {"total_timeout": "300ms"}}])
        client = self.client(node)
        client.send(request("QUERY", "/feed", dict(JSON, **{"Content-Length": "10"})) + b"q=1")
        self.assertEqual(client.response().status, 504)

    def test_content_beyond_the_routes_limit_is_refused(self):
        origin = self.origin(echo)
        node = self.front(origin, [{"upstream": "app", "limits": {"body": "1KiB"}}])
        body = chunk(b"x" * 2000) + LAST_CHUNK
        self.assertEqual(query(node, body, dict(JSON, **{"Transfer-Encoding": "chunked"})).status, 413)
        self.assertEqual(origin.count(), 0)

    def test_the_node_drains_while_content_is_awaited(self):
        node = self.front(self.origin(echo), node={"workers": 1, "drain_timeout": "1s"})
        client = self.client(node)
        client.send(request("QUERY", "/feed", dict(JSON, **{"Content-Length": "10"})) + b"q=1")
        wait_until(lambda: node.get("/").status == 200)
