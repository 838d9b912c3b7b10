"""A response that breaks off in its body is completed by asking for the rest; nobody sees the break."""
import re
import threading

from lib.case import NodeCase
from lib.client import Truncated, request
from lib.wait import wait_until

BODY = bytes(i * 7 % 251 for i in range(300_000))
BREAK = 120_000
FIELDS = {"Cache-Control": "max-age=600", "ETag": '"v1"'}
PRIVATE = {"Cache-Control": "no-store", "ETag": '"v1"'}


def first_of(x, fields=FIELDS, stop=BREAK, end="reset"):
    """The beginning of the whole, then the connection breaks."""
    x.send_head(200, dict(fields, **{"Content-Length": str(len(BODY))}))
    x.send(BODY[:stop])
    (x.reset if end == "reset" else x.close)()


def rest_of(x, fields=FIELDS, length=len(BODY), last=None, shift=0, status=206, stop=None):
    """What was asked for by Range, or what is wrong in one way."""
    first = int(re.fullmatch(r"bytes=(\d+)-", x.request.fields["range"]).group(1)) + shift
    content = BODY[first:] if last is None else BODY[first:last + 1]
    x.send_head(status, dict(fields, **{"Content-Range": "bytes %d-%d/%d" % (first, first + len(content) - 1, length),
                                        "Content-Length": str(len(content))}))
    x.send(content if stop is None else content[:stop])
    if stop is not None:
        x.close()


class Completion(NodeCase):
    def serve(self, *handlers, **kw):
        self.served = self.origin()
        self.served.on("/", list(handlers))
        return self.front(self.served, **kw)

    def assert_resumed(self, node, at=BREAK):
        first, *rests = self.served.seen("/")
        self.assertNotIn("range", first.fields)
        self.assertEqual(len(rests), 1)
        self.assertEqual(rests[0].method, "GET")
        match = re.fullmatch(r"bytes=(\d+)-", rests[0].fields["range"])
        self.assertLessEqual(int(match.group(1)), at)
        self.assertEqual(rests[0].fields["if-range"], '"v1"')
        self.assertIn("broke off after", node.log())

    def test_a_shared_fill_is_completed_and_stored(self):
        for end in ("reset", "close"):
            with self.subTest(end):
                node = self.serve(lambda x: first_of(x, end=end), rest_of)
                answer = node.get("/")
                self.assertEqual((answer.status, answer.body == BODY), (200, True))
                self.assert_resumed(node)
                hit = node.get("/")
                self.assertTrue(hit.hit)
                self.assertEqual(hit.body, BODY)
                self.assertEqual(self.served.count(), 2)

    def test_a_pass_is_completed(self):
        node = self.serve(lambda x: first_of(x, PRIVATE), lambda x: rest_of(x, PRIVATE))
        answer = node.get("/", {"Authorization": "Basic eA==", "If-None-Match": '"old"'})
        self.assertEqual(answer.body, BODY)
        self.assert_resumed(node)
        rest = self.served.last().fields
        self.assertEqual(rest["authorization"], "Basic eA==")
        self.assertNotIn("if-none-match", rest)

    def test_a_route_without_cache_too(self):
        node = self.serve(lambda x: first_of(x, PRIVATE), lambda x: rest_of(x, PRIVATE),
                          routes=[{"upstream": "app", "cache": {"enabled": False}}])
        self.assertEqual(node.get("/").body, BODY)
        self.assert_resumed(node)

    def test_all_who_read_it_get_the_rest_and_who_wants_a_part_too(self):
        broken, go_on = threading.Event(), threading.Event()

        def begin(x):
            x.send_head(200, dict(FIELDS, **{"Content-Length": str(len(BODY))}))
            x.send(BODY[:BREAK])
            assert broken.wait(40)
            x.reset()

        def finish(x):
            assert go_on.wait(40)
            rest_of(x)
        node = self.serve(begin, finish)
        clients = [self.client(node) for _ in range(3)]
        for client, fields in zip(clients, ({}, {}, {"Range": "bytes=119990-120009"})):
            client.send(request("GET", "/", fields))
            client.answer = client.head()
        broken.set()
        self.served.wait_count(2, "/")
        go_on.set()
        for client, content in zip(clients, (BODY, BODY, BODY[119990:120010])):
            self.assertEqual(client.content(client.answer).body, content)

    def test_the_leader_has_left(self):
        begun, go_on = threading.Event(), threading.Event()

        def begin(x):
            x.send_head(200, dict(FIELDS, **{"Content-Length": str(len(BODY))}))
            x.send(BODY[:BREAK])
            begun.set()
            assert go_on.wait(40)
            x.reset()
        node = self.serve(begin, rest_of)
        client = self.client(node)
        client.send(request("GET", "/"))
        client.head()
        self.assertTrue(begun.wait(30))
        client.close()
        go_on.set()
        self.served.wait_count(2, "/")
        wait_until(lambda: node.get("/").hit, what="the whole is stored")
        self.assertEqual(node.get("/").body, BODY)

    def test_a_last_modified_will_do_if_it_is_strong(self):
        dates = {"Cache-Control": "max-age=600", "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}
        node = self.serve(lambda x: first_of(x, dates), lambda x: rest_of(x, dates))
        self.assertEqual(node.get("/").body, BODY)
        self.assertEqual(self.served.last().fields["if-range"], dates["Last-Modified"])

    def test_an_origin_may_give_the_rest_piece_by_piece(self):
        node = self.serve(first_of, lambda x: rest_of(x, last=200_000), rest_of,
                          upstream={"retries": {"attempts": 2}})
        self.assertEqual(node.get("/").body, BODY)
        self.assertEqual(self.served.last().fields["range"], "bytes=200001-")

    def test_it_may_break_again_within_the_retries(self):
        node = self.serve(first_of, lambda x: rest_of(x, stop=1000), rest_of, upstream={"retries": {"attempts": 2}})
        self.assertEqual(node.get("/").body, BODY)
        self.assertEqual(self.served.count(), 3)


class NotCompleted(NodeCase):
    """The client sees the truncation, and nothing is stored."""
    def broken(self, *handlers, asked=None, fields=(), method="GET", body=b"", **kw):
        origin = self.origin()
        origin.on("/", list(handlers))
        node = self.front(origin, **kw)
        with self.assertRaises((Truncated, ConnectionError)):
            node.ask(method, "/", fields, body)
        self.assertEqual(origin.count(), asked)
        origin.on("/", lambda x: x.reply(200, FIELDS, b"new"))
        self.assertEqual(node.get("/").body, b"new")

    def test_the_origin_sends_the_whole_again(self):
        self.broken(first_of, lambda x: x.reply(200, FIELDS, BODY), asked=2)

    def test_the_validator_has_changed(self):
        self.broken(first_of, lambda x: rest_of(x, dict(FIELDS, ETag='"v2"')), asked=2)

    def test_the_rest_has_no_validator(self):
        self.broken(first_of, lambda x: rest_of(x, {}), asked=2)

    def test_it_begins_elsewhere(self):
        self.broken(first_of, lambda x: rest_of(x, shift=1), asked=2)

    def test_the_whole_has_another_length(self):
        self.broken(first_of, lambda x: rest_of(x, length=len(BODY) + 1), asked=2)

    def test_it_is_416(self):
        self.broken(first_of, lambda x: x.reply(416, {"Content-Range": "bytes */5"}), asked=2)

    def test_it_is_an_error(self):
        self.broken(first_of, lambda x: x.reply(503), asked=2)

    def test_it_breaks_more_often_than_the_retries_allow(self):
        self.broken(first_of, lambda x: rest_of(x, stop=1000), asked=2)

    def test_no_retries(self):
        self.broken(first_of, asked=1, upstream={"retries": {"attempts": 0}})

    def test_no_validator(self):
        self.broken(lambda x: first_of(x, {"Cache-Control": "max-age=60"}), asked=1)

    def test_a_weak_validator(self):
        self.broken(lambda x: first_of(x, {"Cache-Control": "max-age=60", "ETag": 'W/"a"'}), asked=1)

    def test_the_origin_offers_no_ranges(self):
        self.broken(lambda x: first_of(x, dict(FIELDS, **{"Accept-Ranges": "none"})), asked=1)

    def test_an_unsafe_method(self):
        self.broken(lambda x: first_of(x, PRIVATE), asked=1, method="POST", body=b"x")

    def test_a_length_that_was_not_told(self):
        def chunked(x):
            x.send_head(200, dict(FIELDS, **{"Transfer-Encoding": "chunked"}))
            x.chunk(BODY[:BREAK])
            x.reset()
        self.broken(chunked, asked=1)

    def test_more_than_it_says(self):
        def too_much(x):
            at = int(re.fullmatch(r"bytes=(\d+)-", x.request.fields["range"]).group(1))
            x.send_head(206, dict(FIELDS, **{"Content-Range": "bytes %d-%d/%d" % (at, at + 9, len(BODY)),
                                             "Transfer-Encoding": "chunked"}))
            x.chunk(BODY[at:])
            x.last_chunk()
        self.broken(first_of, too_much, asked=2)
