"""What nodes of a farm store for each other: hits, restarts, collapsing, variants, validation, damage."""
import gzip
import re
import signal
import threading
import time

from lib.client import request
from lib.crowd import Crowd
from lib.farm import FarmCase
from lib.wait import wait_until

FRESH = {"Cache-Control": "max-age=600"}
CHUNK = 256 * 1024


def noise(n, seed=1):
    """Bytes that do not compress, the same for the same arguments."""
    out, x = bytearray(), seed
    while len(out) < n:
        x = (x * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        out += x.to_bytes(8, "little")
    return bytes(out[:n])


def text(n):
    """Bytes that compress well."""
    return b"".join(b"%07d some words that come again and again\n" % i for i in range(n // 44 + 1))[:n]


class Shared(FarmCase):
    def metric(self, node, name):
        found = re.search(r"(?m)^weir_%s_total (\d+)$" % name, node.admin("GET", "/metrics")[1])
        return int(found.group(1))

    def until_stored(self, *nodes, least=1):
        """Until what was fetched by these nodes has been stored for the others."""
        wait_until(lambda: sum(self.metric(n, "shared_stores") for n in nodes) >= least, what="stored")

    def shared(self, response):
        return response.hit and "detail=shared" in response.cache_status

    def farm(self, redis, origin, count=2, **keys):
        keys.setdefault("farm", self.farm_of(redis))
        shared = keys.setdefault("cache", {}).setdefault("shared", {})
        shared.setdefault("head_timeout", "2s")  # a slow machine must not make a miss of a hit
        shared.setdefault("body_timeout", "2s")
        self.began_with = (redis, origin, keys)
        return super().farm(redis, origin, count, **keys)

    def fresh(self):
        """One more node of the farm, with nothing in its memory."""
        redis, origin, keys = self.began_with
        return super().farm(redis, origin, 1, **keys)[0]


class Hits(Shared):
    def test_a_second_node_serves_what_the_first_one_stored(self):
        for name, body, fields in (
                ("small", b"hello", {}),
                ("empty", b"", {}),
                ("just-inline", noise(47 * 1024), {}),
                ("chunks", noise(3 * CHUNK + 17), {}),
                ("large", noise(5 * 1024 * 1024 + 1), {}),
                ("text", text(300000), {"Content-Type": "text/plain"})):
            with self.subTest(name):
                redis = self.redis()
                origin = self.origin(lambda x: x.reply(200, dict(FRESH, ETag='"%s"' % name, **fields), body))
                a, b = self.farm(redis, origin)
                one = a.get("/x")
                self.assertEqual(one.body, body)
                self.assertFalse(one.hit)
                self.until_stored(a)
                two = b.get("/x")
                self.assertEqual(two.body, body)
                self.assertTrue(self.shared(two), two.fields)
                self.assertEqual(two.fields["etag"], '"%s"' % name)
                self.assertIn("age", two.fields)
                three = b.get("/x")
                self.assertEqual(three.body, body)
                self.assertTrue(three.hit)
                self.assertNotIn("shared", three.cache_status, "now it is in its memory")
                self.assertEqual(origin.count(), 1)

    def test_a_node_is_warm_at_once_after_a_restart(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.path.encode() * 999))
        node, = self.farm(self.redis(), origin, count=1)
        for n in range(20):
            node.get("/%d" % n)
        self.until_stored(node, least=20)
        node.kill_now()
        node = self.fresh()
        for n in range(20):
            r = node.get("/%d" % n)
            self.assertTrue(self.shared(r), r)
            self.assertEqual(r.body, (b"/%d" % n) * 999)
        self.assertEqual(origin.count(), 20)

    def test_no_url_can_be_read_in_redis(self):
        redis = self.redis()
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node, = self.farm(redis, origin, count=1)
        node.get("/very-secret-path")
        self.until_stored(node)
        keys = redis.keys()
        self.assertTrue(keys)
        self.assertFalse([k for k in keys if "secret" in k])

    def test_variants_are_told_apart(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, Vary="X-Kind"),
                                               b"for " + x.request.fields.get("x-kind", "none").encode()))
        a, b = self.farm(self.redis(), origin)
        for kind in ("one", "two", "three"):
            a.get("/v", {"X-Kind": kind})
        self.until_stored(a, least=3)
        for kind in ("two", "three", "one"):
            r = b.get("/v", {"X-Kind": kind})
            self.assertEqual(r.body, b"for " + kind.encode())
            self.assertTrue(self.shared(r), r)
        self.assertEqual(origin.count(), 3)
        self.assertEqual(b.get("/v").body, b"for none")
        self.assertEqual(origin.count(), 4)

    def test_parts_and_conditions_are_answered_from_the_shared_copy(self):
        body = noise(3 * 1024 * 1024)
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, ETag='"v"'), body))
        a, b = self.farm(self.redis(), origin)
        a.get("/r")
        self.until_stored(a)
        r = b.get("/r", {"Range": "bytes=1000000-1000099"})
        self.assert_status(r, 206)
        self.assertEqual(r.body, body[1000000:1000100])
        r = self.fresh().get("/r", {"If-None-Match": '"v"'})
        self.assert_status(r, 304)
        self.assertEqual(origin.count(), 1)

    def test_content_is_kept_as_zstd_and_sent_as_the_client_likes(self):
        body = text(400000)
        redis = self.redis()
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, **{"Content-Type": "text/html"}), body))
        a, b = self.farm(redis, origin)
        a.get("/t")
        self.until_stored(a)
        used = sum(redis.call("STRLEN", k) for k in redis.keys() if redis.call("TYPE", k) == "string")
        self.assertGreater(used, 1000)
        self.assertLess(used, len(body) * 0.4)
        r = b.get("/t", {"Accept-Encoding": "zstd"})
        self.assertEqual(r.fields["content-encoding"], "zstd")
        self.assertTrue(self.shared(r), r.fields)
        self.assertEqual(b.get("/t").body, body)
        self.assertEqual(origin.count(), 1)

    def test_larger_than_the_memory_of_a_node(self):
        body = noise(3 * 1024 * 1024 + 5)
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, ETag='"big"'), body))
        a, b = self.farm(self.redis(), origin, cache={"object_max": "1MiB"})
        self.assertEqual(a.get("/big").body, body)
        self.until_stored(a)
        for node in (b, a, b):
            r = node.get("/big")
            self.assertEqual(r.body, body)
            self.assertTrue(self.shared(r), r.fields)
        r = b.get("/big", {"Range": "bytes=2000000-2000009"})
        self.assertEqual(r.body, body[2000000:2000010])
        self.assertEqual(origin.count(), 1)

    def large_text(self, size, object_max, chunked):
        """Text of this size is coded on its way into Redis; every node, and every client, gets it as it was."""
        body = text(size)
        fields = dict(FRESH, **{"Content-Type": "text/plain", "ETag": '"t"'})

        def answer(x):
            if not chunked:
                return x.reply(200, fields, body)
            x.send_head(200, dict(fields, **{"Transfer-Encoding": "chunked"}))
            for at in range(0, len(body), 200000):
                x.chunk(body[at:at + 200000])
            x.last_chunk()
        origin = self.origin(answer)
        redis = self.redis()
        nodes = self.farm(redis, origin, cache={"object_max": object_max})
        self.assertEqual(nodes[0].get("/t").body, body)
        self.until_stored(nodes[0])
        used = sum(redis.call("STRLEN", k) for k in redis.keys("w1:*c"))
        self.assertTrue(0 < used < size * 0.4, used)
        for node in (nodes[1], self.fresh()):
            r = node.get("/t")
            self.assertTrue(self.shared(r), r.fields)
            self.assertEqual(r.body, body)
            self.assertEqual(node.get("/t").body, body)
            r = node.get("/t", {"Range": "bytes=1500000-1500009"})
            self.assertEqual((r.status, r.body), (206, body[1500000:1500010]))
            r = node.get("/t", {"Accept-Encoding": "gzip"})
            self.assertEqual(gzip.decompress(r.body) if "content-encoding" in r.fields else r.body, body)
        self.assertEqual(origin.count(), 1)

    def test_large_text_is_compressed_on_its_way(self):
        self.large_text(3 << 20, "8MiB", False)

    def test_large_text_of_unknown_length_is_compressed_on_its_way(self):
        self.large_text(3 << 20, "8MiB", True)

    def test_text_larger_than_the_memory_of_a_node_is_compressed_on_its_way(self):
        self.large_text(3 << 20, "1MiB", False)

    def test_large_text_that_is_damaged_in_redis_is_never_served_as_whole(self):
        body = text(3 << 20)
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, **{"Content-Type": "text/plain"}), body))
        redis = self.redis()
        a, b = self.farm(redis, origin, cache={"object_max": "1MiB"})
        a.get("/t")
        self.until_stored(a)
        keys = redis.keys("w1:*c")
        self.assertTrue(keys)
        for key in keys:
            redis.call("SETRANGE", key, 60, b"\xff\x00\xff")
        self.assertEqual(b.get("/t").body, body)
        self.assertEqual(origin.count(), 2)

    def test_a_route_may_keep_its_responses_to_itself(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"mine"))
        a, b = self.farm(self.redis(), origin, routes=[{"upstream": "app", "cache": {"shared": False}}])
        a.get("/p")
        b.get("/p")
        self.assertEqual(origin.count(), 2)

    def test_a_client_that_wants_the_origin_asked_gets_that(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"%d" % origin.count()))
        a, b = self.farm(self.redis(), origin, routes=[{"upstream": "app", "cache": {"client_directives": "all"}}])
        self.assertEqual(a.get("/n").body, b"1")
        self.until_stored(a)
        self.assertEqual(b.get("/n").body, b"1")
        self.assertEqual(b.get("/n", {"Cache-Control": "no-cache"}).body, b"2")
        self.until_stored(b)
        self.assertEqual(self.fresh().get("/n").body, b"2", "and others have it from then on")

    def test_stored_after_the_second_miss_only(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"popular"))
        a, b, c = self.farm(self.redis(), origin, count=3, cache={"shared": {"store_after": 2}})
        a.get("/s")
        wait_until(lambda: self.metric(a, "shared_store_skips") == 1)
        b.get("/s")
        self.until_stored(b)
        self.assertTrue(self.shared(c.get("/s")))
        self.assertEqual(origin.count(), 2)


class Stale(Shared):
    def test_a_stale_copy_of_another_node_is_validated(self):
        def answer(x):
            if x.request.fields.get("if-none-match") == '"e"':
                x.reply(304, {"ETag": '"e"', "Cache-Control": "max-age=600"})
            else:
                x.reply(200, {"ETag": '"e"', "Cache-Control": "max-age=0"}, b"content")
        origin = self.origin(answer)
        a, b = self.farm(self.redis(), origin)
        a.get("/e")
        self.until_stored(a)
        r = b.get("/e")
        self.assertEqual(r.body, b"content")
        self.assertEqual(origin.last().fields.get("if-none-match"), '"e"')
        self.assertIn("fwd=stale", r.cache_status)
        self.until_stored(b)
        r = self.fresh().get("/e")
        self.assertTrue(self.shared(r), r)
        self.assertEqual(r.body, b"content")
        self.assertEqual(origin.count(), 2)

    def test_a_validation_leaves_the_content_where_it_lies(self):
        body = noise(4 * CHUNK)

        def answer(x):
            if x.request.fields.get("if-none-match") == '"e"':
                x.reply(304, {"ETag": '"e"', "Cache-Control": "max-age=600"})
            else:
                x.reply(200, {"ETag": '"e"', "Cache-Control": "max-age=0"}, body)
        redis = self.redis()
        origin = self.origin(answer)
        a, b = self.farm(redis, origin)
        a.get("/e")
        self.until_stored(a)
        before = [k for k in redis.keys() if k.endswith(":c")]
        self.assertGreater(len(before), 3)
        left = redis.call("PTTL", before[0])
        self.assertEqual(b.get("/e").body, body)
        self.until_stored(b)
        self.assertEqual([k for k in redis.keys() if k.endswith(":c")], before)
        self.assertGreater(redis.call("PTTL", before[0]), left, "it lives as long as its new head")
        r = self.fresh().get("/e")
        self.assertTrue(self.shared(r), r.fields)
        self.assertEqual(r.body, body)
        self.assertEqual(origin.count(), 2)

    def test_what_is_purged_while_it_is_fetched_is_fetched_again(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (origin.count() > 1 or go.wait(30), x.reply(
            200, FRESH, b"old" if origin.count() == 1 else b"new")))
        a, b = self.farm(self.redis(), origin)
        first = self.client(a)
        first.send(request(path="/p"))
        origin.wait_count(1)
        status, text = b.admin("POST", "/v1/cache/purge", {"scope": "all", "mode": "hard"})
        self.assertIn(status, (200, 202), text)
        wait_until(lambda: a.admin()[1]["purges"]["sequence"] > 0, what="the other node has heard of it")
        go.set()
        first.response()
        for node in (b, a, self.fresh()):
            self.assertEqual(node.get("/p").body, b"new")

    def test_an_origin_that_fails_after_a_restart_is_covered_by_the_shared_copy(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=0, stale-if-error=600"}, b"as it was"))
        node, = self.farm(self.redis(), origin, count=1)
        node.get("/f")
        self.until_stored(node)
        origin.stop()
        r = self.fresh().get("/f")
        self.assertEqual((r.status, r.body), (200, b"as it was"))

    def test_a_stale_copy_is_served_while_it_is_refreshed(self):
        bodies = [b"first", b"second"]
        origin = self.origin(lambda x: x.reply(
            200, {"Cache-Control": "max-age=1, stale-while-revalidate=600"}, bodies[min(origin.count(), 2) - 1]))
        a, b = self.farm(self.redis(), origin)
        a.get("/w")
        self.until_stored(a)
        time.sleep(2.1)  # its lifetime is in whole seconds
        self.assertEqual(b.get("/w").body, b"first")
        wait_until(lambda: b.get("/w").body == b"second")


class Collapsing(Shared):
    def crowds(self, nodes, each, path="/cold"):
        crowds = [Crowd(n.address, each) for n in nodes]
        for c in crowds:
            self.addCleanup(c.close)
            c.send(request(path=path))
        return crowds

    def one_fetch(self, handler, body, each=50, check=True, **keys):
        origin = self.origin(handler)
        nodes = self.farm(self.redis(), origin, count=3, **keys)
        crowds = self.crowds(nodes, each)
        for crowd in crowds:
            for answer in crowd.answers(40):
                self.assertIsNotNone(answer)
                self.assertEqual(answer[0], 200)
                if check:
                    self.assertEqual(answer[2], body)
        self.assertEqual(origin.count(), 1)
        return nodes

    def test_a_small_response(self):
        self.one_fetch(lambda x: (time.sleep(0.3), x.reply(200, FRESH, b"only once")), b"only once")

    def test_a_fast_origin(self):
        self.one_fetch(lambda x: x.reply(200, FRESH, b"quick"), b"quick")

    def test_compressible_content(self):
        body = text(200000)
        self.one_fetch(lambda x: (time.sleep(0.1),
                                  x.reply(200, dict(FRESH, **{"Content-Type": "text/css"}), body)), body, each=20)

    def test_a_large_response_that_comes_slowly(self):
        body = noise(4 * 1024 * 1024)

        def slow(x):
            x.send_head(200, dict(FRESH, **{"Content-Length": str(len(body))}))
            for at in range(0, len(body), 512 * 1024):
                x.send(body[at:at + 512 * 1024])
                time.sleep(0.1)
        self.one_fetch(slow, body, each=5)

    def test_a_large_response_in_chunks(self):
        body = noise(3 * 1024 * 1024)

        def chunked(x):
            x.send_head(200, dict(FRESH, **{"Transfer-Encoding": "chunked"}))
            for at in range(0, len(body), 100000):
                x.chunk(body[at:at + 100000])
            x.last_chunk()
        origin = self.origin(chunked)
        nodes = self.farm(self.redis(), origin, count=3)
        got = {}

        def ask(n):
            got[n] = nodes[n % 3].get("/c").body
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(40)
        self.assertEqual({b == body for b in got.values()}, {True})
        self.assertEqual(len(got), 12)
        self.assertEqual(origin.count(), 1)

    def test_others_read_while_it_grows(self):
        body = noise(3 * 1024 * 1024)
        go = threading.Event()
        self.addCleanup(go.set)

        def halves(x):
            x.send_head(200, dict(FRESH, **{"Content-Length": str(len(body))}))
            x.send(body[:2 * 1024 * 1024])
            go.wait(30)
            x.send(body[2 * 1024 * 1024:])
        origin = self.origin(halves)
        a, b = self.farm(self.redis(), origin)
        first = a.client()
        self.addCleanup(first.close)
        first.send(request(path="/g"))
        origin.wait_count(1)
        second = b.client()
        self.addCleanup(second.close)
        second.send(request(path="/g"))
        head = second.head()
        self.assertEqual(head.status, 200)
        got = second.source.exactly(1024 * 1024)
        self.assertEqual(got, body[:1024 * 1024], "before the origin has sent the rest")
        go.set()
        self.assertEqual(second.source.exactly(len(body) - len(got)), body[1024 * 1024:])
        self.assertEqual(first.response().body, body)
        self.assertEqual(origin.count(), 1)

    def test_a_killed_leader_costs_a_lease_at_most(self):
        go = threading.Event()
        self.addCleanup(go.set)
        seen = []

        def answer(x):
            seen.append(x)
            if len(seen) == 1:
                go.wait(30)
            x.reply(200, FRESH, b"from the second")
        origin = self.origin(answer)
        a, b = self.farm(self.redis(), origin, cache={"shared": {"lease": "1s", "wait": "1m"}})
        first = a.client()
        self.addCleanup(first.close)
        first.send(request(path="/k"))
        origin.wait_count(1)
        begun = time.monotonic()
        second = b.client()
        self.addCleanup(second.close)
        second.send(request(path="/k"))
        wait_until(lambda: self.metric(b, "shared_waits") == 1)
        a.expect_exit = -signal.SIGKILL
        a.signal(signal.SIGKILL)
        self.assertEqual(second.response().body, b"from the second")
        self.assertLess(time.monotonic() - begun, 20)
        self.assertEqual(origin.count(), 2)

    def together(self, *reply):
        """An origin that takes its time, and a list whose last is how many it has had to answer at once."""
        lock, busy, most = threading.Lock(), [0], [0]

        def answer(x):
            with lock:
                busy[0] += 1
                most.append(max(busy[0], most[-1]))
            time.sleep(0.2)
            with lock:
                busy[0] -= 1
            x.reply(*reply)
        return self.origin(answer), most

    def test_nobody_waits_for_what_cannot_be_stored(self):
        origin, most = self.together(200, {"Cache-Control": "private"}, b"yours")
        nodes = self.farm(self.redis(), origin, count=3)
        for crowd in self.crowds(nodes, 10):
            for answer in crowd.answers(40):
                self.assertEqual((answer[0], answer[2]), (200, b"yours"))
        self.assertGreater(most[-1], 3, "one after the other, if only in each node")
        self.assertEqual(origin.count(), 30)
        wait_until(lambda: sum(self.metric(n, "shared_stores") for n in nodes) >= 1, what="a marker")
        r = self.fresh().get("/cold")
        self.assertIn("hit-for-miss", r.cache_status)

    def test_nobody_waits_for_an_origin_that_fails(self):
        origin, most = self.together(503, {}, b"no")
        nodes = self.farm(self.redis(), origin, count=3)
        for crowd in self.crowds(nodes, 10):
            for answer in crowd.answers(40):
                self.assertEqual(answer[0], 503)
        self.assertGreater(most[-1], 3, "one after the other, if only in each node")


class Damage(Shared):
    def stored(self, body):
        redis = self.redis()
        origin = self.origin(lambda x: x.reply(200, FRESH, body))
        a, b = self.farm(redis, origin)
        a.get("/d")
        self.until_stored(a)
        return redis, origin, a, b

    def chunks(self, redis):
        return sorted(k for k in redis.keys() if k.endswith(":c"))

    def test_a_chunk_that_is_gone_is_a_miss_and_cleaned_up(self):
        body = noise(4 * CHUNK)
        redis, origin, a, b = self.stored(body)
        for key in self.chunks(redis):
            redis.call("DEL", key)
        r = b.get("/d")
        self.assertEqual(r.body, body)
        self.assertFalse(r.hit)
        self.assertEqual(origin.count(), 2)
        self.until_stored(b)
        self.assertEqual(self.fresh().get("/d").body, body)
        self.assertEqual(origin.count(), 2)

    def test_no_flipped_bit_reaches_a_client(self):
        for size in (2000, 4 * CHUNK):
            body = noise(size)
            redis, origin, a, b = self.stored(body)
            keys = [k for k in redis.keys() if redis.call("TYPE", k) == "string" and k.endswith((":m", ":c"))]
            self.assertTrue(keys)
            for key in keys:
                value = bytearray(redis.call("GET", key))
                value[len(value) // 2] ^= 4
                redis.call("SET", key, bytes(value), "KEEPTTL")
            r = b.get("/d")
            self.assertEqual(r.body, body)
            self.assertFalse(r.hit)
            self.assertEqual(origin.count(), 2)

    def test_a_last_chunk_that_is_gone_is_made_up_for_by_the_origin_or_seen(self):
        body = noise(16 * CHUNK)

        def answer(x):
            part = x.request.fields.get("range")
            if part:
                first = int(part[6:].split("-")[0])
                x.reply(206, dict(FRESH, ETag='"s"', **{"Content-Range": "bytes %d-%d/%d" % (
                    first, len(body) - 1, len(body))}), body[first:])
            else:
                x.reply(200, dict(FRESH, ETag='"s"'), body)
        redis = self.redis()
        origin = self.origin(answer)
        a, b = self.farm(redis, origin)
        a.get("/d")
        self.until_stored(a)
        keys = self.chunks(redis)
        self.assertGreater(len(keys), 10)
        last = min(keys, key=lambda k: redis.call("STRLEN", k))
        redis.call("DEL", last)
        self.assertEqual(b.get("/d").body, body)
        self.assertEqual(origin.count(), 2)

    def test_redis_going_away_is_nothing_to_a_client(self):
        redis = self.redis()
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.path.encode()))
        a, b = self.farm(redis, origin)
        self.assertEqual(a.get("/1").body, b"/1")
        redis.kill()
        for n in range(2, 30):
            self.assertEqual(a.get("/%d" % n).body, b"/%d" % n)
            self.assertEqual(b.get("/%d" % n).body, b"/%d" % n)
