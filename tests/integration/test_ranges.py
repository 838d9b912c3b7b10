"""Parts of stored responses: one, several, none; If-Range and the order of conditions; fills that still grow."""
import email.utils
import re
import threading

from lib.case import NodeCase, SharedNodeCase, table
from lib.client import request
from lib.http1 import split_head, parse_fields
from lib.wait import wait_until

BODY = bytes(i * 7 % 251 for i in range(200_000))  # several slices, no short period at slice borders
LENGTH = len(BODY)
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
FIELDS = {"Cache-Control": "max-age=600", "ETag": '"v1"', "Last-Modified": MODIFIED, "Content-Type": "text/x",
          "Content-Language": "en", "Vary": "X-Unused", "Content-Digest": "sha-256=:AAAA:"}


def parts_of(answer):
    """[(fields, bytes)] of a multipart/byteranges answer, read strictly."""
    match = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-f]{32})", answer.fields["content-type"])
    mark = b"--" + match.group(1).encode()
    first, *rest = answer.body.split(b"\r\n" + mark)
    assert rest[-1] == b"--\r\n", answer.body[-80:]
    pieces = [first[len(mark):]] + rest[:-1]
    assert first.startswith(mark)
    parts = []
    for piece in pieces:
        head, _, content = piece[2:].partition(b"\r\n\r\n")
        assert piece.startswith(b"\r\n")
        parts.append((parse_fields(split_head(head + b"\r\n\r\n")), content))
    return parts


@table
class OneRange(SharedNodeCase):
    """A stored 200 asked for a part: 206 with exactly these bytes, 416, or the whole."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared_origin.on("/", lambda x: x.reply(200, FIELDS, BODY))
        cls.shared_node.get("/")

    def row(self, asked, first, last):
        answer = self.shared_node.get("/", {"Range": asked})
        self.assertTrue(answer.hit, answer.cache_status)
        if first is None:
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.body, BODY)
            self.assertNotIn("content-range", answer.fields)
            return
        if first == "416":
            self.assertEqual((answer.status, answer.body), (416, b""))
            self.assertEqual(answer.fields["content-range"], "bytes */%d" % LENGTH)
            self.assertEqual(answer.fields["cache-control"], "no-store")
            self.assertNotIn("content-type", answer.fields)
            return
        self.assertEqual(answer.status, 206)
        self.assertEqual(answer.fields["content-range"], "bytes %d-%d/%d" % (first, last, LENGTH))
        self.assertEqual(answer.fields["content-length"], str(last - first + 1))
        self.assertEqual(answer.body, BODY[first:last + 1])

    rows = {
        "first to last": ("bytes=0-499", 0, 499),
        "in the middle, over a border of slices": ("bytes=65000-140000", 65000, 140000),
        "one byte": ("bytes=70000-70000", 70000, 70000),
        "open": ("bytes=199990-", 199990, LENGTH - 1),
        "all of it": ("bytes=0-", 0, LENGTH - 1),
        "suffix": ("bytes=-10", LENGTH - 10, LENGTH - 1),
        "suffix longer than the whole": ("bytes=-999999999", 0, LENGTH - 1),
        "last beyond the end": ("bytes=199999-300000", 199999, 199999),
        "two that overlap": ("bytes=0-99,50-199", 0, 199),
        "two that touch": ("bytes=100-199,0-99", 0, 199),
        "two of which one is beyond": ("bytes=5-6,200000-", 5, 6),
        "beyond the end": ("bytes=200000-", "416", 0),
        "an empty suffix": ("bytes=-0", "416", 0),
        "beyond any number": ("bytes=99999999999999999999999999-", "416", 0),
        "another unit": ("items=0-5", None, 0),
        "no unit": ("0-5", None, 0),
        "last before first": ("bytes=5-4", None, 0),
        "invalid beside valid": ("bytes=0-5,x-y", None, 0),
        "too many": ("bytes=" + ",".join("%d-%d" % (i, i) for i in range(0, 66, 2)), None, 0),
    }


class WhatA206Says(NodeCase):
    def setUp(self):
        self.served = self.origin(lambda x: x.reply(200, FIELDS, BODY))
        self.front_node = self.front(self.served)
        self.whole = self.front_node.get("/")

    def part(self, asked="bytes=0-9", fields=(), **kw):
        return self.front_node.get("/", dict(fields, Range=asked), **kw)

    def test_a_206_carries_what_the_200_would(self):
        answer = self.part()
        for name in ("cache-control", "etag", "last-modified", "content-type", "content-language", "vary", "date"):
            self.assertEqual(answer.fields[name], self.whole.fields[name])
        self.assertIn("age", answer.fields)
        self.assertNotIn("content-digest", answer.fields)  # it is of the whole content (RFC 9530 2)

    def test_a_complete_stored_response_announces_ranges(self):
        for method in ("GET", "HEAD"):
            self.assertEqual(self.front_node.ask(method, "/").fields.all("accept-ranges"), ["bytes"])
        self.assertEqual(self.part().fields.all("accept-ranges"), ["bytes"])

    def test_head_knows_no_ranges(self):
        answer = self.front_node.ask("HEAD", "/", {"Range": "bytes=0-9"})
        self.assertEqual((answer.status, answer.fields["content-length"]), (200, str(LENGTH)))

    def test_several_parts_come_as_multipart(self):
        asked = [(0, 9), (65530, 65550), (199990, 199999), (100, 100)]
        answer = self.part("bytes=" + ", ".join("%d-%d" % p for p in asked))
        self.assertEqual(answer.status, 206)
        self.assertTrue(answer.hit)
        self.assertNotIn("content-range", answer.fields)
        self.assertEqual(answer.fields["content-length"], str(len(answer.body)))
        for (fields, content), (first, last) in zip(parts_of(answer), asked, strict=True):
            self.assertEqual(fields["content-type"], "text/x")
            self.assertEqual(fields["content-range"], "bytes %d-%d/%d" % (first, last, LENGTH))
            self.assertEqual(content, BODY[first:last + 1])

    def test_as_many_parts_as_are_allowed_and_backwards(self):
        asked = [(i * 6000, i * 6000 + 7) for i in reversed(range(32))]
        answer = self.part("bytes=" + ",".join("%d-%d" % p for p in asked))
        self.assertEqual([c for _, c in parts_of(answer)], [BODY[a:b + 1] for a, b in asked])

    def test_no_two_answers_share_a_boundary(self):
        seen = {self.part("bytes=0-0,5-5").fields["content-type"] for _ in range(20)}
        self.assertEqual(len(seen), 20)

    def test_parts_on_one_connection_and_for_http_1_0(self):
        client = self.client(self.front_node)
        for at in range(0, 100000, 9999):
            answer = client.ask("GET", "/", {"Range": "bytes=%d-%d" % (at, at + 70000)})
            self.assertEqual(answer.body, BODY[at:at + 70001])
        self.assertEqual(self.part(version="1.0").status, 206)

    def test_the_origin_was_asked_once(self):
        self.part()
        self.assertEqual(self.served.count(), 1)

    def test_two_range_lines_are_refused_as_ambiguous(self):
        client = self.client(self.front_node)
        answer = client.ask("GET", "/", [("Range", "bytes=0-1"), ("Range", "bytes=5-6")])
        self.assertEqual(answer.status, 400)

    def test_the_edits_of_the_route_apply_to_a_206_too(self):
        routes = [{"upstream": "app", "response_fields": {
            "remove": ["Accept-Ranges", "Content-Language"], "set": [{"name": "X-Own", "value": "1"}]}}]
        node = self.front(self.served, routes=routes)
        node.get("/")
        answer = node.get("/", {"Range": "bytes=5-9"})
        self.assertEqual((answer.status, answer.body, answer.fields["x-own"]), (206, BODY[5:10], "1"))
        for name in ("accept-ranges", "content-language"):
            self.assertNotIn(name, answer.fields)


@table
class Conditions(SharedNodeCase):
    """Range beside conditions (RFC 9110 13.2.2): which status, from the store, without the origin."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        weak = dict(FIELDS, ETag='W/"v1"')
        young = {"Cache-Control": "max-age=600", "Last-Modified": email.utils.formatdate(usegmt=True)}
        young["Date"] = young["Last-Modified"]
        for path, fields in (("/", FIELDS), ("/weak", weak), ("/young", young), ("/none", dict(FIELDS, **{
                "Accept-Ranges": "none"})), ("/404", FIELDS)):
            status = 404 if path == "/404" else 200
            cls.shared_origin.on(path, lambda x, f=fields, s=status: x.reply(s, f, BODY))
            cls.shared_node.get(path)
        cls.young = young["Last-Modified"]

    def row(self, status, fields, path="/"):
        fields = {k: v.replace("YOUNG", self.young) for k, v in fields.items()}
        before = self.shared_origin.count(path)
        answer = self.shared_node.get(path, dict({"Range": "bytes=0-4"}, **fields))
        self.assertEqual(answer.status, status)
        self.assertTrue(answer.hit, answer.cache_status)
        self.assertEqual(self.shared_origin.count(path), before)
        self.assertEqual(answer.body, {206: BODY[:5], 200: BODY, 304: b"", 404: BODY}[status])

    later = "Mon, 07 Nov 1994 08:49:37 GMT"
    rows = {
        "If-Range with the tag": (206, {"If-Range": '"v1"'}),
        "If-Range with another tag": (200, {"If-Range": '"v2"'}),
        "If-Range with a weak tag": (200, {"If-Range": 'W/"v1"'}),
        "If-Range with a weak tag on both sides": (200, {"If-Range": 'W/"v1"'}, "/weak"),
        "If-Range with the tag where the stored one is weak": (200, {"If-Range": '"v1"'}, "/weak"),
        "If-Range with the date": (206, {"If-Range": MODIFIED}),
        "If-Range with the date in another form": (206, {"If-Range": "Sunday, 06-Nov-94 08:49:37 GMT"}),
        "If-Range with a later date is no match": (200, {"If-Range": later}),
        "If-Range with a date that is not strong": (200, {"If-Range": "YOUNG"}, "/young"),
        "If-Range that is neither": (200, {"If-Range": "v1"}),
        "If-Range that fails beats 416": (200, {"If-Range": '"v2"', "Range": "bytes=999999-"}),
        "If-None-Match that matches beats the range": (304, {"If-None-Match": '"v1"'}),
        "If-None-Match that does not match lets the range": (206, {"If-None-Match": '"v2"'}),
        "If-None-Match that matches beats If-Range": (304, {"If-None-Match": '"v1"', "If-Range": '"v2"'}),
        "If-Modified-Since that holds beats the range": (304, {"If-Modified-Since": MODIFIED}),
        "If-Modified-Since before lets the range": (206, {"If-Modified-Since": "Sat, 05 Nov 1994 08:49:37 GMT"}),
        "If-None-Match makes If-Modified-Since void": (206, {"If-None-Match": '"v2"', "If-Modified-Since": later}),
        "If-Match is not for a cache to judge": (206, {"If-Match": '"v2"'}),
        "If-Unmodified-Since likewise": (206, {"If-Unmodified-Since": "Sat, 05 Nov 1994 08:49:37 GMT"}),
        "Accept-Ranges none is kept": (200, {}, "/none"),
        "only a 200 has parts": (404, {}, "/404"),
    }


class EmptyContent(NodeCase):
    def test_a_range_of_nothing(self):
        node = self.front(self.origin(lambda x: x.reply(200, FIELDS, b"")))
        node.get("/")
        self.assertEqual(node.get("/", {"Range": "bytes=0-"}).status, 416)
        self.assertEqual(node.get("/", {"Range": "bytes=-5"}).status, 200)


class GrowingFills(NodeCase):
    """The whole is under way: who wants a part gets it as soon as it is there."""
    def setUp(self):
        self.go_on = threading.Event()
        self.length = True

        def serve(x):
            fields = dict(FIELDS, **{"Content-Length": str(LENGTH)} if self.length else {"Transfer-Encoding": "chunked"})
            x.send_head(200, fields)
            send = x.send if self.length else x.chunk
            send(BODY[:100_000])
            assert self.go_on.wait(40)
            send(BODY[100_000:])
            if not self.length:
                x.last_chunk()
        self.served = self.origin(serve)
        self.front_node = self.front(self.served)

    def begin(self, fields=()):
        client = self.client(self.front_node)
        client.send(request("GET", "/", fields))
        return client

    def test_a_part_that_has_come_is_sent_while_the_rest_is_not_there(self):
        leader = self.begin()
        self.assert_status(leader.head(), 200)
        answer = self.front_node.get("/", {"Range": "bytes=90000-99999"})
        self.assertEqual((answer.status, answer.body), (206, BODY[90000:100000]))
        self.assertIn("collapsed", answer.cache_status)
        self.go_on.set()
        self.assertEqual(self.served.count(), 1)

    def test_a_part_across_the_point_reached_waits_for_it(self):
        leader = self.begin()
        self.assert_status(leader.head(), 200)
        follower = self.begin({"Range": "bytes=99990-100009"})
        head = follower.head()
        self.assertEqual(head.fields["content-range"], "bytes 99990-100009/%d" % LENGTH)
        self.assertEqual(follower.source.exactly(10), BODY[99990:100000])
        self.go_on.set()
        self.assertEqual(follower.source.exactly(10), BODY[100000:100010])

    def test_the_part_is_beyond_what_has_come(self):
        self.begin().head()
        follower = self.begin({"Range": "bytes=-10"})
        self.assert_status(follower.head(), 206)
        self.go_on.set()
        self.assertEqual(follower.source.exactly(10), BODY[-10:])
        self.assertEqual(follower.ask("GET", "/", {"Range": "bytes=0-0"}).body, BODY[:1])

    def test_if_range_and_416_are_judged_by_the_head_alone(self):
        self.begin().head()
        answer = self.front_node.get("/", {"Range": "bytes=200000-"})
        self.assertEqual((answer.status, answer.fields["content-range"]), (416, "bytes */%d" % LENGTH))
        whole = self.begin({"Range": "bytes=0-9", "If-Range": '"v2"'})
        self.assert_status(whole.head(), 200)
        self.go_on.set()

    def test_several_parts_of_what_still_grows_are_the_whole(self):
        self.begin().head()
        client = self.begin({"Range": "bytes=0-0,5-5"})
        head = client.head()
        self.go_on.set()
        self.assertEqual((head.status, client.content(head).body), (200, BODY))
        self.assertEqual(self.front_node.get("/", {"Range": "bytes=0-0,5-5"}).status, 206)  # it is stored now

    def test_without_a_length_it_is_the_whole(self):
        self.length = False
        client = self.begin({"Range": "bytes=0-9"})
        head = client.head()
        self.go_on.set()
        self.assertEqual((head.status, client.content(head).body), (200, BODY))
        self.assertEqual(self.front_node.get("/", {"Range": "bytes=0-9"}).body, BODY[:10])

    def test_who_has_his_part_and_leaves_does_not_end_the_fill(self):
        leader = self.begin({"Range": "bytes=0-9"})
        answer = leader.content(leader.head())
        self.assertEqual((answer.status, answer.body), (206, BODY[:10]))
        self.assertIn("fwd=uri-miss", answer.cache_status)
        self.assertIn("stored", answer.cache_status)
        leader.close()
        self.go_on.set()
        wait_until(lambda: self.front_node.get("/", {"Range": "bytes=5-"}).hit, what="the whole is stored")
        self.assertEqual(self.served.count(), 1)


class CodedContent(NodeCase):
    """What weir compresses has no parts: they are cut out of the content as the origin sent it."""
    TEXT = b"".join(b"line %d of a text that can be compressed\n" % n for n in range(5000))
    GZIP = {"Accept-Encoding": "gzip"}

    def setUp(self):
        fields = {"Cache-Control": "max-age=600", "ETag": '"v1"', "Content-Type": "text/plain"}
        self.front_node = self.front(self.origin(lambda x: x.reply(200, fields, self.TEXT)))
        self.front_node.get("/")
        self.coded = wait_until(self.gzip, what="a coded answer")

    def gzip(self):
        answer = self.front_node.get("/", self.GZIP)
        return answer if answer.fields.get("content-encoding") == "gzip" else None

    def part(self, **fields):
        return self.front_node.get("/", dict(self.GZIP, Range="bytes=10-19",
                                             **{k.replace("_", "-"): v for k, v in fields.items()}))

    def test_a_part_is_of_the_content_as_it_came_under_its_own_tag(self):
        for _ in range(2):
            answer = self.part()
            self.assertEqual((answer.status, answer.body, answer.fields["etag"]), (206, self.TEXT[10:20], '"v1"'))
            self.assertNotIn("content-encoding", answer.fields)
            self.assertEqual(answer.fields["content-range"], "bytes 10-19/%d" % len(self.TEXT))

    def test_parts_are_not_mixed_with_a_coded_whole(self):
        self.assertNotEqual(self.coded.fields["etag"], '"v1"')
        answer = self.part(If_Range=self.coded.fields["etag"])
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.part(If_Range='"v1"').status, 206)
