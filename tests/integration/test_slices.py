"""Large media in slices: what is fetched, stored and sent, and what happens when the origin does otherwise."""
import random
import re
import threading

from lib.case import NodeCase
from lib.client import Truncated, request
from lib.wait import wait_until

SLICE = 65536
GIB = 1 << 30
BLOCK = bytes(range(251)) * 1024  # no period of a power of two: a byte tells where it stands


def content(first, last):
    """Bytes first to last of the endless file."""
    at = first % 251
    size = last - first + 1
    return (BLOCK * (size // len(BLOCK) + 2))[at:at + size]


def wait_stored(node, slices):
    """A client may have its part before the rest of the slice has come."""
    def stored():
        found = re.search(r"(?m)^weir_cache_stores_total (\d+)$", node.admin("GET", "/metrics")[1])
        return found and int(found.group(1)) >= slices
    wait_until(stored, what="slices stored")


class Media:
    """A file of any size that is made while it is read, behind an origin that knows ranges."""

    def __init__(self, size, etag='"v1"', **fields):
        self.size, self.etag, self.sent = size, etag, 0
        self.fields = dict({"Cache-Control": "max-age=600", "Content-Type": "video/x"},
                           **{k.replace("_", "-"): v for k, v in fields.items()})
        self.gate = None  # called with the first byte asked for
        self.lock = threading.Lock()

    def head(self):
        return dict(self.fields, **({"ETag": self.etag} if self.etag else {}))

    def __call__(self, x):
        if x.request.fields.get("if-none-match") == self.etag and self.etag:
            return x.reply(304, self.head())
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", x.request.fields.get("range", ""))
        if not match:
            return self.send(x, 200, 0, self.size - 1, {})
        first, last = int(match.group(1)), min(int(match.group(2) or self.size), self.size - 1)
        if self.gate:
            self.gate(first)
        if first >= self.size:
            return x.reply(416, {"Content-Range": "bytes */%d" % self.size})
        return self.send(x, 206, first, last, {"Content-Range": "bytes %d-%d/%d" % (first, last, self.size)})

    def send(self, x, status, first, last, fields):
        x.send_head(status, dict(self.head(), **fields, **{"Content-Length": str(last - first + 1)}))
        if x.request.method == "HEAD":
            return
        while first <= last:
            n = min(1 << 18, last - first + 1)
            x.send(content(first, first + n - 1))
            with self.lock:
                self.sent += n
            first += n


class Slices(NodeCase):
    def serve(self, media, size=SLICE, **kw):
        self.media = media
        self.served = self.origin(media)
        cache = dict({"slice": "%dKiB" % (size // 1024)}, **kw.pop("route_cache", {}))
        return self.front(self.served, routes=[{"upstream": "app", "cache": cache}], **kw)

    def asked(self):
        return [r.fields.get("range") for r in self.served.seen()]

    def assert_sent(self, count):
        """Content that the origin has sent; it counts when the node may have gone on already."""
        wait_until(lambda: self.media.sent >= count, what="%d bytes sent" % count)
        self.assertEqual(self.media.sent, count)

    def assert_part(self, node, first, last, hit=None):
        answer = node.get("/", {"Range": "bytes=%d-%d" % (first, last)})
        self.assertEqual(answer.status, 206)
        self.assertEqual(answer.fields["content-range"], "bytes %d-%d/%d" % (first, last, self.media.size))
        self.assertEqual(answer.body == content(first, last), True)
        if hit is not None:
            self.assertEqual(answer.hit, hit, answer.cache_status)
        return answer


class Seeking(Slices):
    def test_only_the_slices_asked_for_are_fetched_and_stored(self):
        node = self.serve(Media(4 * GIB))
        answer = self.assert_part(node, 3 * GIB + 5, 3 * GIB + 9, hit=False)
        self.assertIn("fwd=uri-miss", answer.cache_status)
        self.assertIn("stored", answer.cache_status)
        self.assertEqual((answer.fields["content-type"], answer.fields["etag"]), ("video/x", '"v1"'))
        self.assertEqual(self.asked(), ["bytes=%d-%d" % (3 * GIB, 3 * GIB + SLICE - 1)])
        wait_stored(node, 1)
        self.assert_part(node, 3 * GIB + 100, 3 * GIB + 200, hit=True)
        self.assert_part(node, 4 * GIB - 10, 4 * GIB - 1, hit=False)  # the last slice
        self.assert_part(node, 0, 0, hit=False)
        self.assert_sent(3 * SLICE)
        self.assertEqual(self.served.count(), 3)

    def test_across_borders(self):
        node = self.serve(Media(4 * GIB))
        at = 2 * GIB
        self.assert_part(node, at - 1, at)
        self.assert_part(node, at - SLICE, at + 2 * SLICE - 1)
        self.assert_part(node, at - SLICE - 1, at + 2 * SLICE)
        self.assertEqual(self.served.count(), 5)
        self.assert_sent(5 * SLICE)
        self.assert_part(node, at - SLICE - 1, at + 2 * SLICE, hit=True)
        self.assertEqual(self.served.count(), 5)

    def test_a_suffix_and_an_open_range(self):
        node = self.serve(Media(4 * GIB))
        answer = node.get("/", {"Range": "bytes=-%d" % (SLICE + 1)})
        self.assertEqual(answer.fields["content-range"], "bytes %d-%d/%d" % (4 * GIB - SLICE - 1, 4 * GIB - 1, 4 * GIB))
        self.assertEqual(answer.body, content(4 * GIB - SLICE - 1, 4 * GIB - 1))
        self.assertEqual(self.served.count(), 3)  # the first one tells the length
        answer = node.get("/", {"Range": "bytes=%d-" % (4 * GIB - 7)})
        self.assertEqual((answer.status, answer.hit, answer.body), (206, True, content(4 * GIB - 7, 4 * GIB - 1)))
        self.assertEqual(self.served.count(), 3)

    def test_beyond_the_end(self):
        node = self.serve(Media(4 * GIB))
        for _ in range(2):
            answer = node.get("/", {"Range": "bytes=%d-" % (5 * GIB)})
            self.assertEqual((answer.status, answer.fields["content-range"]), (416, "bytes */%d" % (4 * GIB)))
        answer = node.get("/", {"Range": "bytes=%d-" % (4 * GIB)})
        self.assertEqual(answer.status, 416)
        self.assertLessEqual(self.media.sent, SLICE)

    def test_several_ranges_pass(self):
        node = self.serve(lambda x: x.reply(206, {"Content-Type": "multipart/byteranges; boundary=x"}, b"parts"))
        answer = node.get("/", {"Range": "bytes=0-0,5-5"})
        self.assertEqual((answer.status, answer.body, self.asked()), (206, b"parts", ["bytes=0-0,5-5"]))

    def test_head_says_what_the_whole_is(self):
        node = self.serve(Media(4 * GIB))
        for hit in (False, True):
            answer = node.ask("HEAD", "/", {"Range": "bytes=5-9"})
            self.assertEqual((answer.status, answer.fields["content-length"]), (200, str(4 * GIB)))
            self.assertEqual((answer.hit, answer.fields["accept-ranges"], answer.fields["etag"]), (hit, "bytes", '"v1"'))
            self.assertNotIn("content-range", answer.fields)
            wait_stored(node, 1)
        self.assertEqual(self.served.count(), 1)

    def test_conditions_of_the_client_hold_for_the_whole(self):
        node = self.serve(Media(4 * GIB))
        self.assertEqual(node.get("/", {"If-None-Match": '"v1"'}).status, 304)
        self.assertEqual(node.get("/", {"If-None-Match": '"v1"', "Range": "bytes=0-4"}).status, 304)
        answer = node.get("/", {"If-Range": '"v1"', "Range": "bytes=1-4"})
        self.assertEqual((answer.status, answer.body), (206, content(1, 4)))
        self.assertEqual(self.served.count(), 1)
        client = self.client(node)
        client.send(request("GET", "/", {"If-Range": '"old"', "Range": "bytes=1-4"}))
        head = client.head()
        self.assertEqual((head.status, head.fields["content-length"]), (200, str(4 * GIB)))
        self.assertEqual(client.source.exactly(3 * SLICE), content(0, 3 * SLICE - 1))

    def test_slices_go_stale_and_are_validated_one_by_one(self):
        node = self.serve(Media(10 * SLICE, Cache_Control="max-age=0"))
        self.assert_part(node, SLICE, 3 * SLICE - 1)
        self.assert_sent(2 * SLICE)
        self.assert_part(node, SLICE, 3 * SLICE - 1)
        self.assert_sent(2 * SLICE)  # 304 for both
        self.assertEqual(self.asked(), 2 * ["bytes=%d-%d" % (SLICE, 2 * SLICE - 1), "bytes=%d-%d" % (2 * SLICE, 3 * SLICE - 1)])
        self.assertEqual(self.served.last().fields["if-none-match"], '"v1"')


class TheWhole(Slices):
    SIZE = 20 * SLICE + 77

    def test_it_comes_slice_after_slice_and_then_from_the_store(self):
        node = self.serve(Media(self.SIZE))
        answer = node.get("/")
        self.assertEqual((answer.status, answer.fields["content-length"]), (200, str(self.SIZE)))
        self.assertEqual(answer.body, content(0, self.SIZE - 1))
        self.assertNotIn("content-range", answer.fields)
        self.assertEqual(self.served.count(), 21)
        wait_until(lambda: node.get("/").body == content(0, self.SIZE - 1) and self.served.count() == 21)
        self.assertTrue(node.get("/").hit)

    def test_exactly_one_slice_and_less_than_one(self):
        for size in (SLICE, SLICE - 1, 1, 2 * SLICE):
            node = self.serve(Media(size))
            self.assertEqual(node.get("/").body, content(0, size - 1))
            self.assertEqual(self.served.count(), (size + SLICE - 1) // SLICE)

    def test_a_slow_client_is_one_slice_ahead_at_most(self):
        node = self.serve(Media(4 * GIB), size=1 << 20)
        client = self.client(node, receive_buffer=65536)
        client.send(request("GET", "/"))
        client.head()
        self.assertEqual(client.source.exactly(100_000), content(0, 99_999))
        self.served.wait_count(2)
        for _ in range(20):  # the node turns, and asks for no more
            self.assertEqual(node.ask("HEAD", "/").status, 200)
        self.assertLessEqual(self.served.count(), 8)  # what lies in socket buffers was taken
        self.assertLessEqual(self.media.sent, 8 << 20)

    def test_two_clients_share_the_slices(self):
        here, go_on = threading.Event(), threading.Event()
        media = Media(self.SIZE)

        def gate(first):
            if first == 2 * SLICE:
                here.set()
                assert go_on.wait(40)
        media.gate = gate
        node = self.serve(media)
        clients = [self.client(node), self.client(node)]
        for client in clients:
            client.send(request("GET", "/"))
            client.answer = client.head()
        self.assertTrue(here.wait(30))
        go_on.set()
        for client in clients:
            self.assertEqual(client.content(client.answer).body, content(0, self.SIZE - 1))
        self.assertEqual(self.served.count(), 21)

    def test_text_is_not_coded_in_slices(self):
        node = self.serve(Media(self.SIZE, Content_Type="text/plain"))
        for _ in range(2):
            answer = node.get("/", {"Accept-Encoding": "gzip, br, zstd"})
            self.assertEqual(answer.body, content(0, self.SIZE - 1))
            self.assertNotIn("content-encoding", answer.fields)
            self.assertEqual(answer.fields["etag"], '"v1"')

    def test_many_clients_seek_at_random(self):
        node = self.serve(Media(self.SIZE), cache={"memory": "2MiB", "object_max": "256KiB"}, node={"workers": 4})
        wrong = []

        def seek(seed):
            dice = random.Random(seed)
            client = self.client(node)
            for _ in range(60):
                first = dice.randrange(self.SIZE)
                last = min(self.SIZE - 1, first + dice.choice((0, 10, 1000, SLICE, 5 * SLICE)))
                answer = client.ask("GET", "/", {"Range": "bytes=%d-%d" % (first, last)})
                if answer.status != 206 or answer.body != content(first, last):
                    wrong.append((seed, first, last, answer))
        threads = [threading.Thread(target=seek, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_who_leaves_stops_the_slices(self):
        media = Media(4 * GIB)
        node = self.serve(media)
        client = self.client(node, receive_buffer=65536)
        client.send(request("GET", "/"))
        client.source.exactly(1000)
        client.reset()
        self.assert_part(node, 3 * GIB, 3 * GIB + 1)  # the node is well
        self.assertLess(media.sent, 1 << 28)

    def test_a_reload_while_it_streams(self):
        media = Media(self.SIZE)
        here, go_on = threading.Event(), threading.Event()

        def gate(first):
            if first == 2 * SLICE:
                here.set()
                assert go_on.wait(40)
        media.gate = gate
        node = self.serve(media)
        client = self.client(node)
        client.send(request("GET", "/"))
        answer = client.head()
        self.assertTrue(here.wait(30))
        node.reload()
        go_on.set()
        self.assertEqual(client.content(answer).body, content(0, self.SIZE - 1))

    def test_http_1_0(self):
        node = self.serve(Media(self.SIZE))
        self.assertEqual(node.get("/", version="1.0").body, content(0, self.SIZE - 1))

    def test_variants_have_slices_of_their_own(self):
        media = Media(self.SIZE, Vary="X-Kind")
        node = self.serve(media)
        for kind in ("a", "b", "a", "b"):
            answer = node.get("/", {"X-Kind": kind, "Range": "bytes=0-9"})
            self.assertEqual(answer.body, content(0, 9))
        self.assertEqual([r.fields["x-kind"] for r in self.served.seen()], ["a", "b"])


class Changes(Slices):
    SIZE = 20 * SLICE

    def change_at(self, number, change):
        media = Media(self.SIZE)

        def gate(first):
            if first == number * SLICE:
                media.gate = None
                change(media)
        media.gate = gate
        return media

    def breaks_off(self, node, fields=()):
        with self.assertRaises((Truncated, ConnectionError)) as caught:
            node.get("/", fields)
        return getattr(caught.exception, "partial", b"")

    def test_another_validator_in_the_middle_is_visible_and_the_next_request_starts_anew(self):
        node = self.serve(self.change_at(5, lambda m: setattr(m, "etag", '"v2"')))
        partial = self.breaks_off(node)
        self.assertEqual(partial, content(0, len(partial) - 1))
        before = self.served.count()
        answer = node.get("/")
        self.assertEqual((answer.fields["etag"], answer.body == content(0, self.SIZE - 1)), ('"v2"', True))
        self.assertEqual(self.served.count() - before, 20)  # nothing of the old is used
        self.assertTrue(node.get("/").hit)

    def test_another_length_in_the_middle(self):
        node = self.serve(self.change_at(5, lambda m: setattr(m, "size", self.SIZE + 1)))
        self.breaks_off(node)
        self.assertEqual(node.get("/").body, content(0, self.SIZE))

    def in_the_middle(self, **fields):
        """Slice 5 comes with these fields instead of its own, and ten bytes."""
        media = Media(self.SIZE)

        def serve(x):
            if not x.request.fields.get("range", "").startswith("bytes=%d-" % (5 * SLICE)):
                return media(x)
            return x.reply(206, dict(media.head(), **{k.replace("_", "-"): v for k, v in fields.items()}), b"0123456789")
        node = self.serve(media)
        self.served.default = serve
        partial = self.breaks_off(node)
        self.assertEqual(partial, content(0, len(partial) - 1))
        self.assertLessEqual(len(partial), 5 * SLICE)

    def test_a_short_part_in_the_middle(self):
        self.in_the_middle(Content_Range="bytes %d-%d/%d" % (5 * SLICE, 5 * SLICE + 9, self.SIZE))

    def test_a_content_range_in_the_middle_that_says_more_than_there_is(self):
        self.in_the_middle(Content_Range="bytes %d-%d/%d" % (5 * SLICE, 6 * SLICE - 1, self.SIZE))

    def test_a_content_range_in_the_middle_of_something_else(self):
        self.in_the_middle(Content_Range="bytes 0-9/%d" % self.SIZE)

    def test_no_content_range_in_the_middle(self):
        self.in_the_middle()

    def test_old_and_new_slices_in_the_store_are_not_mixed(self):
        node = self.serve(Media(self.SIZE))
        self.assert_part(node, 0, 2 * SLICE - 1)
        self.media.etag = '"v2"'
        answer = self.assert_part(node, 5 * SLICE, 5 * SLICE + 1)
        self.assertEqual(answer.fields["etag"], '"v2"')
        self.breaks_off(node)  # slices 0 and 1 are of v1, 2 is of v2
        self.assertEqual(node.get("/").fields["etag"], '"v2"')

    def test_the_origin_is_gone_in_the_middle(self):
        def gone(media):
            raise ConnectionResetError
        node = self.serve(self.change_at(5, gone), upstream={"retries": {"attempts": 0}})
        self.breaks_off(node)
        self.assertEqual(node.get("/").body, content(0, self.SIZE - 1))

    def test_the_origin_knows_ranges_no_more(self):
        media = Media(self.SIZE)

        def serve(x):
            if x.request.fields.get("range", "").startswith("bytes=%d-" % (5 * SLICE)):
                x.request.fields.lines = [l for l in x.request.fields.lines if l[0].lower() != "range"]
            media(x)
        node = self.serve(media)
        self.served.default = serve
        self.breaks_off(node)

    def test_a_purge_covers_all_slices(self):
        node = self.serve(Media(self.SIZE), cache={"purge_clients": ["127.0.0.0/8"]})
        self.assertEqual(node.get("/").body, content(0, self.SIZE - 1))
        wait_until(lambda: node.get("/", {"Range": "bytes=-1"}).hit)
        self.media.etag = '"v2"'
        self.assertIn(node.ask("PURGE", "/").status, (200, 204))
        before = self.served.count()
        answer = node.get("/")
        self.assertEqual((answer.fields["etag"], answer.body == content(0, self.SIZE - 1)), ('"v2"', True))
        self.assertEqual(self.served.count() - before, 20)

    def test_an_unsafe_method_invalidates_all_slices(self):
        node = self.serve(Media(self.SIZE))
        self.assert_part(node, 0, 3 * SLICE - 1)
        media, self.served.default = self.served.default, lambda x: x.reply(204)
        self.assertEqual(node.ask("DELETE", "/").status, 204)
        self.served.default = media
        before = self.served.count()
        self.assert_part(node, 0, 3 * SLICE - 1)
        self.assertEqual(self.served.count() - before, 3)


class OtherAnswers(Slices):
    """To the request for a slice."""
    def test_the_whole_is_stored_as_the_whole(self):
        node = self.serve(lambda x: x.reply(200, {"Cache-Control": "max-age=60", "ETag": '"v1"'}, content(0, 999)))
        answer = node.get("/", {"Range": "bytes=5-9"})
        self.assertEqual((answer.status, answer.body), (206, content(5, 9)))
        self.assertEqual(self.asked(), ["bytes=0-%d" % (SLICE - 1), None])
        hit = node.get("/")
        self.assertTrue(hit.hit)
        self.assertEqual((hit.status, hit.body), (200, content(0, 999)))
        self.assertEqual(self.served.count(), 2)

    def test_a_status_that_is_no_part_is_the_answer(self):
        node = self.serve(lambda x: x.reply(404, {"Cache-Control": "max-age=60"}, b"no"))
        for _ in range(2):
            answer = node.get("/")
            self.assertEqual((answer.status, answer.body), (404, b"no"))
        self.assertTrue(answer.hit)

    def test_a_redirect(self):
        node = self.serve(lambda x: x.reply(302, {"Location": "/x"}))
        self.assertEqual(node.get("/", {"Range": "bytes=0-"}).fields["location"], "/x")

    def test_the_origin_does_not_answer(self):
        node = self.serve(lambda x: x.reset())
        self.assertEqual(node.get("/", {"Range": "bytes=0-"}).status, 502)

    def passes(self, **fields):
        """What a 206 of 10 bytes with these fields comes to: the client's own range is asked for."""
        def serve(x):
            whole = dict({"Cache-Control": "max-age=60", "ETag": '"v1"', "Content-Range": "bytes 0-9/10"},
                         **{k.replace("_", "-"): v for k, v in fields.items()})
            x.reply(206, {k: v for k, v in whole.items() if v is not None}, content(0, 9))
        node = self.serve(serve)
        for _ in range(2):
            answer = node.get("/", {"Range": "bytes=0-9"})
            self.assertEqual((answer.status, answer.body), (206, content(0, 9)))
            self.assertFalse(answer.hit)
            self.assertEqual(self.asked()[-1], "bytes=0-9")

    def test_a_length_that_is_not_told(self):
        self.passes(Content_Range="bytes 0-9/*")

    def test_no_content_range(self):
        self.passes(Content_Range=None)

    def test_a_content_range_elsewhere(self):
        self.passes(Content_Range="bytes 10-19/20")

    def test_a_content_range_that_says_more_than_there_is(self):
        self.passes(Content_Range="bytes 0-10/11")

    def test_a_short_part(self):
        self.passes(Content_Range="bytes 0-9/1000")

    def test_a_weak_validator(self):
        self.passes(ETag='W/"v1"')

    def test_no_validator(self):
        self.passes(ETag=None)

    def test_parts_that_may_not_be_stored(self):
        self.passes(Cache_Control="no-store")

    def test_a_slice_that_breaks_off_is_not_stored(self):
        media = Media(4 * SLICE)
        breaks = [True]

        def serve(x):
            if breaks:
                breaks.pop()
                x.send_head(206, dict(media.head(), **{"Content-Range": "bytes 0-%d/%d" % (SLICE - 1, 4 * SLICE),
                                                       "Content-Length": str(SLICE)}))
                x.send(content(0, 999))
                x.reset()
            else:
                media(x)
        node = self.serve(media, upstream={"retries": {"attempts": 0}})
        self.served.default = serve
        with self.assertRaises((Truncated, ConnectionError)):
            node.get("/")
        self.assertEqual(node.get("/").body, content(0, 4 * SLICE - 1))

    def test_a_slice_that_breaks_off_is_completed(self):
        media = Media(4 * SLICE)
        breaks = [True]

        def serve(x):
            if breaks and x.request.fields.get("range") == "bytes=%d-%d" % (SLICE, 2 * SLICE - 1):
                breaks.pop()
                x.send_head(206, dict(media.head(), **{"Content-Range": "bytes %d-%d/%d" % (SLICE, 2 * SLICE - 1, 4 * SLICE),
                                                       "Content-Length": str(SLICE)}))
                x.send(content(SLICE, SLICE + 9999))
                x.close()
            else:
                media(x)
        node = self.serve(media)
        self.served.default = serve
        self.assertEqual(node.get("/").body, content(0, 4 * SLICE - 1))
        self.assertIn("bytes=%d-%d" % (SLICE + 10000, 2 * SLICE - 1), self.asked())
        self.assertEqual(self.served.count(), 5)
        self.assert_part(node, SLICE, 2 * SLICE - 1, hit=True)

    def test_only_if_cached(self):
        node = self.serve(Media(4 * SLICE), route_cache={"client_directives": "all"})
        self.assertEqual(node.get("/", {"Cache-Control": "only-if-cached"}).status, 504)
        self.assertEqual(self.served.count(), 0)
        self.assert_part(node, 0, 9)
        wait_until(lambda: node.get("/", {"Range": "bytes=0-0"}).hit, what="the slice is stored")
        answer = node.get("/", {"Cache-Control": "only-if-cached", "Range": "bytes=5-9"})
        self.assertEqual((answer.status, answer.body), (206, content(5, 9)))
