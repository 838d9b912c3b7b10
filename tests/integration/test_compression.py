"""Content codings: what is stored once and sent in the coding each client likes best; on the way; entity tags."""
import gzip
import os
import re
import subprocess
import threading
import zlib

from lib.case import NodeCase, SharedNodeCase, table
from lib.client import Truncated
from lib.wait import wait_until

TEXT = "".join("line %d of a text that can be made smaller, said %d times\n" % (i, i % 7)
               for i in range(1200)).encode()
NOISE = os.urandom(40_000)
FIELDS = {"Cache-Control": "max-age=600", "Content-Type": "text/plain", "ETag": '"v1"'}
CODINGS = ("zstd", "br", "gzip")


def tool(*command):
    return lambda data: subprocess.run(command, input=data, capture_output=True, check=True, timeout=30).stdout


DECODE = {"gzip": gzip.decompress, "br": tool("brotli", "-dc"), "zstd": tool("zstd", "-dcq"), None: lambda data: data}


def plain(answer):
    """The content as it was before coding."""
    return DECODE[answer.fields.get("content-encoding")](answer.body)


def metric(node, name):
    found = re.search(r"(?m)^weir_%s(?:_total)? (\d+)$" % name, node.admin("GET", "/metrics")[1])
    assert found, name
    return int(found.group(1))


def wait_coded(node, jobs=1):
    """So many codings have been made or given up."""
    wait_until(lambda: metric(node, "forms_made") + metric(node, "forms_useless") >= jobs, what="codings made")


def route(**compression):
    return [{"upstream": "app", "compression": compression}]


@table
class Negotiation(SharedNodeCase):
    """What is stored, asked for with this Accept-Encoding (None: without), comes in this coding."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared_origin.on("/", lambda x: x.reply(200, FIELDS, TEXT))
        cls.shared_node.get("/")
        wait_coded(cls.shared_node)

    def row(self, accept, coding):
        answer = self.shared_node.get("/", {"Accept-Encoding": accept} if accept is not None else {})
        self.assertTrue(answer.hit, answer.cache_status)
        self.assertEqual(answer.fields.get("content-encoding"), coding)
        self.assertEqual(plain(answer), TEXT)
        self.assertEqual(answer.fields["etag"], '"v1-%s"' % coding if coding else '"v1"')
        self.assertEqual(answer.fields.all("vary"), ["Accept-Encoding"])
        self.assertEqual(answer.fields["content-length"], str(len(answer.body)))
        self.assertEqual(self.shared_origin.count("/"), 1)

    rows = {
        "none": (None, None),
        "empty": ("", None),
        "gzip": ("gzip", "gzip"),
        "br": ("br", "br"),
        "zstd": ("zstd", "zstd"),
        "as browsers ask": ("gzip, deflate, br, zstd", "zstd"),
        "older browsers": ("gzip, deflate, br", "br"),
        "x-gzip": ("x-gzip", "gzip"),
        "any case": ("GZip", "gzip"),
        "weights": ("zstd;q=0.1, br;q=0.2, gzip;q=0.3", "gzip"),
        "weight zero": ("gzip;q=0, br;q=0.000", None),
        "any": ("*", "zstd"),
        "any but zstd": ("*, zstd;q=0", "br"),
        "identity first": ("identity, gzip;q=0.5", None),
        "identity refused": ("gzip, identity;q=0", "gzip"),
        "all refused": ("*;q=0", None),
        "identity refused and nothing else named": ("identity;q=0", None),
        "malformed weight": ("gzip;q=2, br;q=x", None),
        "unknown codings": ("deflate, compress, dcb", None),
    }


@table
class LeftAlone(SharedNodeCase):
    """Responses that go out as they came, whoever asks, and without a word in Vary."""
    def row(self, name, fields, body=TEXT, status=200):
        path = "/" + name
        self.shared_origin.on(path, lambda x: x.reply(status, dict(FIELDS, **fields), body))
        for _ in range(3):
            answer = self.shared_node.get(path, {"Accept-Encoding": "zstd, br, gzip"})
            self.assertEqual(answer.body, body)
            self.assertEqual(answer.fields.get("content-encoding"), fields.get("Content-Encoding"))
            self.assertEqual(answer.fields["etag"], '"v1"')
            self.assertNotIn("accept-encoding", answer.fields.get("vary", "").lower())
        self.assertTrue(answer.hit)
        self.assertEqual(self.shared_origin.count(path), 1)

    rows = {
        "no-transform": ("a", {"Cache-Control": "max-age=60, no-transform"}),
        "another type": ("b", {"Content-Type": "image/png"}),
        "no type": ("c", {"Content-Type": "nothing"}),
        "small": ("d", {}, b"x" * 1023),
        "a digest of the content": ("e", {"Content-Digest": "sha-256=:AAAA:"}),
        "another coding": ("f", {"Content-Encoding": "deflate"}, zlib.compress(TEXT)),
        "two codings": ("g", {"Content-Encoding": "gzip, gzip"}),
        "another status": ("h", {}, TEXT, 404),
    }


class Stored(NodeCase):
    def setUp(self):
        self.served = self.origin(lambda x: x.reply(200, FIELDS, TEXT))

    def stored(self, **kw):
        node = self.front(self.served, **kw)
        node.get("/")
        wait_coded(node)
        return node

    def test_zstd_is_one_frame_with_its_size_and_a_window_that_browsers_take(self):
        body = self.stored().get("/", {"Accept-Encoding": "zstd"}).body
        said = subprocess.run(["zstd", "-lv", "-"], input=body, capture_output=True).stdout
        self.assertEqual(body[:4], b"\x28\xb5\x2f\xfd")
        self.assertEqual(body.count(b"\x28\xb5\x2f\xfd"), 1, said)
        descriptor = body[4]
        self.assertEqual(descriptor & 0x04, 0, "no checksum")
        self.assertTrue(descriptor & 0x20, "single segment: the window is the content")
        size = {0: 1, 1: 2, 2: 4, 3: 8}[descriptor >> 6]
        self.assertEqual(int.from_bytes(body[5:5 + size], "little") + (256 if size == 2 else 0), len(TEXT))

    def test_what_is_stored_is_the_zstd_form_alone(self):
        node = self.stored()
        used = node.admin()[1]["memory"]["used_bytes"]
        self.assertLess(used, len(TEXT) // 2)

    def test_each_coding_is_made_once(self):
        node = self.stored()
        for _ in range(5):
            for accept in ("gzip", "br", "zstd", "identity"):
                node.get("/", {"Accept-Encoding": accept})
        self.assertEqual(metric(node, "forms_made"), 4)

    def test_a_hundred_clients_at_once_make_one_job(self):
        node = self.stored()
        answers = []

        def ask():
            answers.append(node.get("/", {"Accept-Encoding": "br"}))
        threads = [threading.Thread(target=ask) for _ in range(100)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(answers), 100)
        self.assertEqual({a.body for a in answers}, {answers[0].body})
        self.assertEqual({a.fields["content-encoding"] for a in answers}, {"br"})
        self.assertEqual(metric(node, "forms_made"), 2)

    def test_head_says_what_get_would(self):
        node = self.stored()
        for accept in ("identity", "gzip", "br", "zstd"):
            get = node.get("/", {"Accept-Encoding": accept})
            head = node.ask("HEAD", "/", {"Accept-Encoding": accept})
            for name in ("content-encoding", "content-length", "etag", "vary"):
                self.assertEqual(head.fields.get(name), get.fields.get(name), (accept, name))

    def test_noise_is_not_coded_and_not_tried_again(self):
        self.served.on("/", lambda x: x.reply(200, FIELDS, NOISE))
        node = self.stored()
        for accept in ("gzip", "br", "zstd"):
            answer = node.get("/", {"Accept-Encoding": accept})
            self.assertEqual(answer.body, NOISE)
            self.assertEqual(answer.fields["etag"], '"v1"')
        self.assertEqual((metric(node, "forms_made"), metric(node, "forms_useless")), (0, 1))

    def test_a_range_is_cut_out_of_what_the_origin_sent(self):
        node = self.stored()
        answer = node.get("/", {"Accept-Encoding": "gzip, zstd", "Range": "bytes=100-199"})
        self.assertEqual((answer.status, answer.body), (206, TEXT[100:200]))
        self.assertEqual(answer.fields["etag"], '"v1"')
        self.assertNotIn("content-encoding", answer.fields)
        answer = node.get("/", {"Range": "bytes=100-199", "If-Range": '"v1-gzip"'})
        self.assertEqual((answer.status, answer.body), (200, TEXT))

    def test_vary_of_the_origin_is_kept_and_shares_one_variant(self):
        self.served.on("/", lambda x: x.reply(200, dict(FIELDS, Vary="Accept-Encoding, X-Kind"), TEXT))
        node = self.stored()
        for accept in (None, "gzip", "br;q=0.5"):
            answer = node.get("/", {"Accept-Encoding": accept} if accept else {})
            self.assertTrue(answer.hit)
            self.assertEqual(answer.fields.all("vary"), ["Accept-Encoding, X-Kind"])
        self.assertEqual(self.served.count(), 1)
        self.assertEqual(self.served.last().fields["accept-encoding"], "identity")

    def test_a_route_may_let_the_origin_code(self):
        def reply(x):
            accept = x.request.fields.get("accept-encoding", "")
            if "gzip" in accept:
                x.reply(200, dict(FIELDS, **{"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}),
                        gzip.compress(TEXT))
            else:
                x.reply(200, dict(FIELDS, Vary="Accept-Encoding"), TEXT)
        self.served.on("/", reply)
        node = self.front(self.served, routes=route(ask_origin="client"))
        for _ in range(2):
            self.assertEqual(plain(node.get("/", {"Accept-Encoding": "gzip, br"})), TEXT)
            self.assertEqual(node.get("/").body, TEXT)
        self.assertEqual(self.served.count(), 2)

    def test_what_was_not_storable_is_asked_for_in_the_clients_codings(self):
        """It goes to one client, and weir will not code it."""
        def reply(x):
            fields = {"Cache-Control": "no-store", "Content-Type": "text/html"}
            if "gzip" in x.request.fields.get("accept-encoding", ""):
                x.reply(200, dict(fields, **{"Content-Encoding": "gzip"}), gzip.compress(TEXT))
            else:
                x.reply(200, fields, TEXT)
        self.served.on("/page", reply)
        node = self.front(self.served)
        node.get("/page")
        answer = node.get("/page", {"Accept-Encoding": "gzip;q=0.9, br"})
        self.assertEqual(self.served.last().fields["accept-encoding"], "br, gzip")
        self.assertEqual(answer.fields["content-encoding"], "gzip")
        self.assertEqual(plain(answer), TEXT)

    def test_a_route_may_turn_it_off(self):
        node = self.front(self.served, routes=route(enabled=False))
        for _ in range(2):
            answer = node.get("/", {"Accept-Encoding": "gzip"})
            self.assertEqual(answer.body, TEXT)
            self.assertNotIn("vary", answer.fields)
        self.assertEqual(self.served.last().fields["accept-encoding"], "gzip")

    def test_forms_go_before_responses_when_memory_is_short(self):
        node = self.front(self.served, routes=route(types=["text/plain"]), cache={"memory": "2MiB"})
        self.served.on("/big", lambda x: x.reply(200, dict(FIELDS, **{"Content-Type": "image/x"}), bytes(100_000)))
        node.get("/")
        wait_coded(node)
        node.get("/", {"Accept-Encoding": "gzip"})
        node.get("/", {"Accept-Encoding": "identity"})
        for i in range(60):
            node.get("/big?%d" % i)
        stats = node.admin()[1]
        self.assertLessEqual(stats["memory"]["used_bytes"], 2 << 20)
        self.assertEqual(stats["stored"]["forms"], 0)
        self.assertGreaterEqual(stats["stored"]["form_drops"], 2)


    def test_an_operator_sees_the_forms(self):
        node = self.stored()
        node.get("/", {"Accept-Encoding": "br"})
        status, entry = node.admin("GET", "/v1/cache/entry?url=http://test.example/")
        self.assertEqual(status, 200, entry)
        forms = entry["stored"][0]["forms"]
        self.assertEqual([f["coding"] for f in forms], ["zstd", "br"])
        self.assertTrue(all(0 < f["bytes"] < len(TEXT) for f in forms))


class Tags(NodeCase):
    """Entity tags: one for each coding, strong or weak as the origin's."""
    def setUp(self):
        self.tag = '"v1"'
        self.age = 600
        self.served = self.origin(self.reply)
        self.node_ = self.front(self.served)
        self.node_.get("/")
        wait_coded(self.node_)

    def reply(self, x):
        fields = dict(FIELDS, ETag=self.tag, **{"Cache-Control": "max-age=%d" % self.age})
        if self.tag in x.request.fields.get("if-none-match", ""):
            x.reply(304, fields)
        else:
            x.reply(200, fields, TEXT)

    def test_each_tag_brings_a_304_with_itself(self):
        for accept in ("identity", "gzip", "br", "zstd"):
            tag = self.node_.get("/", {"Accept-Encoding": accept}).fields["etag"]
            for asked in (tag, "W/" + tag, '"x", ' + tag):
                answer = self.node_.get("/", {"Accept-Encoding": accept, "If-None-Match": asked})
                self.assertEqual((answer.status, answer.body), (304, b""))
                self.assertEqual(answer.fields["etag"], tag)
                self.assertEqual(answer.fields["vary"], "Accept-Encoding")
                self.assertNotIn("content-encoding", answer.fields)

    def test_who_holds_one_acceptable_coding_needs_no_other(self):
        answer = self.node_.get("/", {"Accept-Encoding": "gzip, zstd", "If-None-Match": '"v1"'})
        self.assertEqual((answer.status, answer.fields["etag"]), (304, '"v1"'))
        answer = self.node_.get("/", {"Accept-Encoding": "gzip, zstd", "If-None-Match": '"v1-gzip"'})
        self.assertEqual((answer.status, answer.fields["etag"]), (304, '"v1-gzip"'))
        self.assertEqual(metric(self.node_, "forms_made"), 1, "nothing was made for that")

    def test_who_holds_a_coding_it_does_not_accept_gets_another(self):
        answer = self.node_.get("/", {"Accept-Encoding": "gzip", "If-None-Match": '"v1-br"'})
        self.assertEqual((answer.status, answer.fields["etag"]), (200, '"v1-gzip"'))
        self.assertEqual(plain(answer), TEXT)

    def test_origins_get_their_own_tags(self):
        self.served.on("/put", lambda x: x.reply(200, {}, b""))
        self.node_.ask("PUT", "/put", {"If-Match": '"v1-gzip", W/"w-br"'}, b"x")
        self.assertEqual(self.served.last("/put").fields["if-match"], '"v1-gzip", W/"w-br", "v1", W/"w"')


class Validation(NodeCase):
    def test_a_304_keeps_what_was_made(self):
        def reply(x):
            fields = dict(FIELDS, **{"Cache-Control": "max-age=0, stale-if-error=600", "X-Turn": str(served.count())})
            x.reply(304 if "if-none-match" in x.request.fields else 200, fields,
                    b"" if "if-none-match" in x.request.fields else TEXT)
        served = self.origin(reply)
        node = self.front(served)
        node.get("/")
        wait_coded(node)
        for turn in range(3):
            for accept in ("gzip", "br", "zstd"):
                answer = node.get("/", {"Accept-Encoding": accept})
                self.assertEqual(answer.fields["content-encoding"], accept)
                self.assertEqual(plain(answer), TEXT)
                self.assertEqual(answer.fields["x-turn"], str(served.count()))
        self.assertEqual(metric(node, "forms_made"), 3)
        self.assertEqual(served.last().fields["if-none-match"], '"v1"')

    def test_weak_tags_stay_weak(self):
        served = self.origin(lambda x: x.reply(200, dict(FIELDS, ETag='W/"v1"'), TEXT))
        node = self.front(served)
        node.get("/")
        wait_coded(node)
        answer = node.get("/", {"Accept-Encoding": "zstd"})
        self.assertEqual(answer.fields["etag"], 'W/"v1-zstd"')
        answer = node.get("/", {"Accept-Encoding": "zstd", "If-None-Match": 'W/"v1-zstd"'})
        self.assertEqual((answer.status, answer.fields["etag"]), (304, 'W/"v1-zstd"'))

    def test_a_304_that_forbids_it_brings_back_what_the_origin_sent(self):
        def reply(x):
            if "if-none-match" in x.request.fields:
                x.reply(304, dict(FIELDS, **{"Cache-Control": "max-age=600, no-transform"}))
            else:
                x.reply(200, dict(FIELDS, **{"Cache-Control": "max-age=0"}), TEXT)
        node = self.front(self.origin(reply))
        node.get("/")
        wait_coded(node)
        for _ in range(3):
            answer = node.get("/", {"Accept-Encoding": "zstd, gzip"})
            self.assertEqual(answer.body, TEXT)
            self.assertNotIn("content-encoding", answer.fields)


class Coded(NodeCase):
    """Content that comes coded, though it was not asked for."""
    def coded(self, body, coding="gzip"):
        self.served = self.origin(lambda x: x.reply(200, dict(FIELDS, **{"Content-Encoding": coding}), body))
        return self.front(self.served)

    def test_it_is_stored_as_it_came_and_recoded_for_who_needs_it(self):
        body = gzip.compress(TEXT)
        node = self.coded(body)
        node.get("/", {"Accept-Encoding": "gzip"})
        answer = node.get("/", {"Accept-Encoding": "gzip, br, zstd"})
        self.assertEqual((answer.body, answer.fields["etag"]), (body, '"v1"'))
        answer = node.get("/", {"Accept-Encoding": "br"})
        self.assertEqual((answer.fields["content-encoding"], plain(answer)), ("br", TEXT))
        answer = node.get("/")
        self.assertEqual((answer.body, answer.fields["etag"]), (TEXT, '"v1-identity"'))
        self.assertNotIn("content-encoding", answer.fields)
        self.assertEqual(self.served.count(), 1)

    def test_the_first_client_gets_it_decoded_on_the_way(self):
        node = self.coded(gzip.compress(TEXT))
        answer = node.get("/")
        self.assertEqual(answer.body, TEXT)
        self.assertNotIn("content-encoding", answer.fields)

    def test_damaged_content_is_never_passed_off_as_the_whole(self):
        for body in (gzip.compress(TEXT)[:-20], b"\x1f\x8b nonsense" * 50, gzip.compress(TEXT) + b"tail"):
            node = self.coded(body)
            node.get("/", {"Accept-Encoding": "gzip"})
            for accept in ({}, {"Accept-Encoding": "br"}):
                try:
                    answer = node.get("/", accept)
                except Truncated:
                    continue
                if answer.status == 200:
                    self.assertEqual((answer.body, answer.fields["content-encoding"]), (body, "gzip"))

    def test_a_bomb_goes_out_as_it_came(self):
        body = gzip.compress(bytes(64 << 20))
        node = self.coded(body)
        node.get("/", {"Accept-Encoding": "gzip"})
        answer = node.get("/")
        self.assertEqual((answer.body, answer.fields["content-encoding"]), (body, "gzip"))

    def test_a_bomb_is_decoded_no_further_than_it_is_sent(self):
        node = self.coded(gzip.compress(bytes(128 << 20)))
        node.get("/other", {"Accept-Encoding": "gzip"})
        before = node.rss()
        client = self.client(node)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(client.head().status, 200)
        self.skip_under_sanitizers()
        self.assertLess(node.rss() - before, 16 << 20)


class Streams(NodeCase):
    """compression.stream: on the way."""
    def test_a_miss_is_coded_and_stored_as_it_came(self):
        served = self.origin(lambda x: x.reply(200, FIELDS, TEXT))
        node = self.front(served, routes=route(stream=True))
        for coding in CODINGS:
            answer = node.get("/?" + coding, {"Accept-Encoding": coding})
            self.assertFalse(answer.hit)
            self.assertEqual(answer.fields["content-encoding"], coding)
            self.assertEqual(answer.fields["etag"], '"v1-%s"' % coding)
            self.assertEqual(answer.fields["vary"], "Accept-Encoding")
            self.assertNotIn("content-length", answer.fields)
            self.assertLess(len(answer.body), len(TEXT) // 2)
            self.assertEqual(plain(answer), TEXT)
            self.assertEqual(node.get("/?" + coding).body, TEXT)

    def test_a_pass_is_coded_too(self):
        served = self.origin(lambda x: x.reply(200, {"Content-Type": "text/html", "Cache-Control": "no-store"}, TEXT))
        node = self.front(served, routes=route(stream=True))
        for method in ("GET", "POST"):
            answer = node.ask(method, "/", {"Accept-Encoding": "br"}, b"x" if method == "POST" else b"")
            self.assertEqual((answer.fields["content-encoding"], plain(answer)), ("br", TEXT))
        head = node.ask("HEAD", "/", {"Accept-Encoding": "br"})
        self.assertEqual(head.fields["content-encoding"], "br")
        self.assertNotIn("content-length", head.fields)

    def test_an_event_arrives_while_the_origin_holds_the_connection(self):
        go = [threading.Event() for _ in range(3)]

        def events(x):
            x.send_head(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-store",
                              "Transfer-Encoding": "chunked"})
            for i, event in enumerate(go):
                x.chunk(b"data: %d\n\n" % i)
                event.wait(30)
            x.last_chunk()
        node = self.front(self.origin(events), routes=route(stream=True))
        client = self.client(node)
        client.send(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        head = client.head()
        self.assertEqual(head.fields["content-encoding"], "gzip")
        decoder = zlib.decompressobj(31)
        for i, event in enumerate(go):
            seen = b""
            while not seen.endswith(b"\n\n"):
                size = int(client.source.until(b"\r\n"), 16)
                seen += decoder.decompress(client.source.exactly(size + 2)[:-2])
            self.assertEqual(seen, b"data: %d\n\n" % i)
            event.set()

    def test_a_body_that_breaks_off_does_so_coded_too(self):
        def half(x):
            x.send_head(200, {"Content-Type": "text/plain", "Content-Length": "100000"})
            x.send(TEXT[:5000])
            x.close()
        node = self.front(self.origin(half), routes=route(stream=True))
        with self.assertRaises((Truncated, ConnectionResetError)):
            node.get("/", {"Accept-Encoding": "gzip"})

    def test_without_it_misses_go_out_as_they_came(self):
        node = self.front(self.origin(lambda x: x.reply(200, FIELDS, TEXT)))
        answer = node.get("/", {"Accept-Encoding": "gzip"})
        self.assertEqual((answer.body, answer.fields["vary"]), (TEXT, "Accept-Encoding"))
        self.assertEqual(answer.fields["content-length"], str(len(TEXT)))

    def test_fragments_are_put_together_from_text(self):
        def reply(x):
            if x.request.target == "/page":
                x.reply(200, {"Content-Type": "text/html", "Cache-Control": "max-age=60"},
                        b'<esi:include src="/part"/>' + TEXT)
            else:
                x.reply(200, FIELDS, TEXT)
        node = self.front(self.origin(reply), routes=[{"upstream": "app", "cache": {"esi": {"enabled": True}}}])
        node.get("/part")
        for _ in range(2):
            self.assertEqual(plain(node.get("/page", {"Accept-Encoding": "gzip, br"})), TEXT + TEXT)
