"""Parts of what is not stored: the whole is fetched within limits, or the part is passed on, as the route says."""
import re
import threading

from lib.case import NodeCase
from lib.client import request
from lib.origin import raw
from lib.wait import wait_until

BODY = bytes(i % 251 for i in range(100_000))
FRESH = {"Cache-Control": "max-age=600", "ETag": '"v1"'}
PASS = [{"upstream": "app", "cache": {"range_miss": "pass"}}]


def answer_ranges(x, body=BODY, fields=FRESH):
    """What an origin that knows ranges does."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", x.request.fields.get("range", ""))
    if not match:
        return x.reply(200, fields, body)
    first, last = int(match.group(1)), min(int(match.group(2) or len(body)), len(body) - 1)
    return x.reply(206, dict(fields, **{"Content-Range": "bytes %d-%d/%d" % (first, last, len(body))}),
                   body[first:last + 1])


class Fetch(NodeCase):
    def test_the_whole_is_fetched_once_and_answers_all_parts(self):
        origin = self.origin(answer_ranges)
        node = self.front(origin)
        first = node.get("/", {"Range": "bytes=10-19"})
        self.assertEqual((first.status, first.body), (206, BODY[10:20]))
        self.assertIn("fwd=uri-miss", first.cache_status)
        self.assertIn("fwd-status=200", first.cache_status)
        self.assertIn("stored", first.cache_status)
        self.assertNotIn("range", origin.last().fields)
        wait_until(lambda: node.get("/", {"Range": "bytes=90000-"}).hit, what="the whole is stored")
        self.assertEqual(node.get("/").body, BODY)
        self.assertEqual(origin.count(), 1)

    def test_clients_that_want_different_parts_share_one_fetch(self):
        asked, go_on = threading.Event(), threading.Event()

        def serve(x):
            asked.set()
            assert go_on.wait(40)
            answer_ranges(x)
        origin = self.origin(serve)
        node = self.front(origin)
        clients = [self.client(node) for _ in range(20)]
        for i, client in enumerate(clients):
            client.send(request("GET", "/", {"Range": "bytes=%d-%d" % (i * 100, i * 100 + 99)}))
        self.assertTrue(asked.wait(30))

        go_on.set()
        for i, client in enumerate(clients):
            answer = client.response()
            self.assertEqual((answer.status, answer.body), (206, BODY[i * 100:i * 100 + 100]))
        self.assertEqual(origin.count(), 1)

    def test_what_is_too_large_to_store_is_asked_for_in_part(self):
        sent = []

        def serve(x):
            if "range" in x.request.fields:
                return answer_ranges(x)
            x.send_head(200, dict(FRESH, **{"Content-Length": str(4 << 30)}))
            try:
                while True:
                    x.send(b"x" * 65536)
                    sent.append(65536)
            except OSError:
                x.close()
        origin = self.origin(serve)
        node = self.front(origin, cache={"object_max": "1MiB"})
        answer = node.get("/", {"Range": "bytes=10-19"})
        self.assertEqual((answer.status, answer.body), (206, BODY[10:20]))
        self.assertIn("detail=too-large", answer.cache_status)
        self.assertEqual([r.fields.get("range") for r in origin.seen()], [None, "bytes=10-19"])
        answer = node.get("/", {"Range": "bytes=20-29"})  # a marker is left: not twice
        self.assertEqual(answer.body, BODY[20:30])
        self.assertIn("hit-for-miss", answer.cache_status)
        self.assertEqual(origin.count(), 3)
        self.assertLess(sum(sent), 8 << 20)

    def test_followers_of_what_is_too_large_ask_for_their_parts(self):
        asked, go_on = threading.Event(), threading.Event()

        def serve(x):
            if "range" in x.request.fields:
                return answer_ranges(x)
            asked.set()
            assert go_on.wait(40)
            x.send_head(200, dict(FRESH, **{"Content-Length": str(4 << 30)}))
            x.peer_left()
            x.close()
        origin = self.origin(serve)
        node = self.front(origin, cache={"object_max": "1MiB"})
        clients = [self.client(node) for _ in range(5)]
        clients[0].send(request("GET", "/", {"Range": "bytes=0-9"}))
        self.assertTrue(asked.wait(30))
        for i, client in enumerate(clients[1:], 1):
            client.send(request("GET", "/", {"Range": "bytes=%d-%d" % (i * 10, i * 10 + 9)}))
        go_on.set()
        for i, client in enumerate(clients):
            self.assertEqual(client.response().body, BODY[i * 10:i * 10 + 10])

    def test_what_may_not_be_stored_and_names_no_length_is_asked_for_in_part(self):
        def serve(x):
            if "range" in x.request.fields:
                return answer_ranges(x, fields={"Cache-Control": "no-store"})
            x.send_head(200, {"Cache-Control": "no-store", "Transfer-Encoding": "chunked"})
            x.chunk(b"endless")
            x.peer_left()
            x.close()
        origin = self.origin(serve)
        answer = self.front(origin).get("/", {"Range": "bytes=10-19"})
        self.assertEqual((answer.status, answer.body), (206, BODY[10:20]))
        self.assertEqual(origin.count(), 2)

    def test_what_may_not_be_stored_but_is_small_is_cut(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, BODY))
        answer = self.front(origin).get("/", {"Range": "bytes=10-19"})
        self.assertEqual((answer.status, answer.body), (206, BODY[10:20]))
        self.assertNotIn("stored", answer.cache_status)
        self.assertEqual(origin.count(), 1)

    def test_an_origin_without_ranges_is_believed(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, **{"Accept-Ranges": "none"}), BODY))
        node = self.front(origin)
        self.assertEqual(node.get("/", {"Range": "bytes=10-19"}).body, BODY)
        answer = node.get("/", {"Range": "bytes=10-19"})
        self.assertEqual((answer.status, answer.fields.all("accept-ranges")), (200, ["none"]))

    def test_a_stale_whole_is_validated_and_then_cut(self):
        origin = self.origin()
        origin.on("/", [lambda x: x.reply(200, {"Cache-Control": "max-age=0", "ETag": '"v1"'}, BODY),
                        lambda x: x.reply(304, {"ETag": '"v1"', "Cache-Control": "max-age=0"}),
                        lambda x: x.reply(200, {"Cache-Control": "max-age=0", "ETag": '"v2"'}, BODY[::-1])])
        node = self.front(origin)
        node.get("/")
        answer = node.get("/", {"Range": "bytes=10-19", "If-Range": '"v1"'})
        self.assertEqual((answer.status, answer.body), (206, BODY[10:20]))
        self.assertEqual(origin.last().fields["if-none-match"], '"v1"')
        self.assertNotIn("range", origin.last().fields)
        self.assertNotIn("if-range", origin.last().fields)
        answer = node.get("/", {"Range": "bytes=10-19", "If-Range": '"v1"'})
        self.assertEqual((answer.status, answer.body), (200, BODY[::-1]))

    def test_conditions_for_the_origin_go_to_it_when_nothing_is_stored(self):
        origin = self.origin(lambda x: x.reply(412, {}, b"") if "if-match" in x.request.fields
                             or "if-unmodified-since" in x.request.fields else answer_ranges(x))
        node = self.front(origin)
        self.assertEqual(node.get("/", {"If-Match": '"old"', "Range": "bytes=0-4"}).status, 412)
        self.assertEqual(node.get("/", {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}).status, 412)
        self.assertEqual(node.get("/").status, 200)
        self.assertEqual(node.get("/", {"If-Match": '"old"'}).status, 200)  # RFC 9111 4.3.2: not for a cache


class Pass(NodeCase):
    def test_the_part_is_asked_for_and_not_stored(self):
        origin = self.origin(answer_ranges)
        node = self.front(origin, routes=PASS)
        for n in (1, 2):
            answer = node.get("/", {"Range": "bytes=10-19", "If-Range": '"v1"'})
            self.assertEqual((answer.status, answer.body), (206, BODY[10:20]))
            self.assertEqual(answer.fields["content-range"], "bytes 10-19/100000")
            self.assertIn("fwd=uri-miss", answer.cache_status)
            self.assertEqual((origin.last().fields["range"], origin.last().fields["if-range"]),
                             ("bytes=10-19", '"v1"'))
            self.assertEqual(origin.count(), n)

    def test_once_the_whole_is_stored_it_answers(self):
        origin = self.origin(answer_ranges)
        node = self.front(origin, routes=PASS)
        node.get("/")
        answer = node.get("/", {"Range": "bytes=10-19"})
        self.assertTrue(answer.hit)
        self.assertEqual((answer.status, answer.body), (206, BODY[10:20]))

    def test_what_an_origin_says_of_parts_wrongly_is_passed_on_and_never_stored(self):
        origin = self.origin()
        wrong = {"/none": {}, "/other": {"Content-Range": "bytes 50-59/100000"}, "/odd": {"Content-Range": "bytes x"},
                 "/short": {"Content-Range": "bytes 0-4/5"}}
        for path, fields in wrong.items():
            origin.on(path, lambda x, f=fields: x.reply(206, dict(FRESH, **f), b"0123456789"))
        node = self.front(origin, routes=PASS)
        for path, fields in wrong.items():
            answer = node.get(path, {"Range": "bytes=10-19"})
            self.assertEqual((answer.status, answer.body), (206, b"0123456789"))
            self.assertEqual(answer.fields.get("content-range"), fields.get("Content-Range"))
            self.assertFalse(node.get(path).hit)

    def test_a_part_nobody_asked_for_is_not_the_whole(self):
        origin = self.origin(lambda x: x.reply(206, dict(FRESH, **{"Content-Range": "bytes 0-9/100"}), b"0123456789"))
        node = self.front(origin)
        for n in (1, 2):
            self.assertEqual(node.get("/").status, 206)
            self.assertEqual(origin.count(), n)

    def test_416_is_passed_on_and_not_stored(self):
        origin = self.origin(raw(b"HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n"
                                 b"Cache-Control: max-age=60\r\n\r\n"))
        node = self.front(origin, routes=PASS)
        for n in (1, 2):
            answer = node.get("/", {"Range": "bytes=9-"})
            self.assertEqual((answer.status, answer.fields["content-range"]), (416, "bytes */5"))
            self.assertEqual(origin.count(), n)
