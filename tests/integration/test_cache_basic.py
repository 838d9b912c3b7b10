"""The memory cache: hits and what they say, variants, validation both ways, collapsed fetches, what is never stored."""
import email.utils
import threading
import time

from lib.case import NodeCase, SharedNodeCase, table
from lib.client import Truncated, request
from lib.http1 import read_chunk
from lib.origin import raw
from lib.wait import wait_until

FRESH = {"Cache-Control": "max-age=600"}
STALE = {"Cache-Control": "max-age=0"}  # stored, since it has a validator, and stale at once


def http_date(offset=0):
    return email.utils.formatdate(time.time() + offset, usegmt=True)


class Hits(NodeCase):
    def test_the_second_request_is_a_hit_and_says_so(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, **{"Content-Type": "text/x"}), b"stored"))
        node = self.front(origin)
        first, second = node.get("/"), node.get("/")
        self.assertFalse(first.hit)
        self.assertIn("fwd=uri-miss", first.cache_status)
        self.assertIn("stored", first.cache_status)
        self.assertTrue(second.hit)
        self.assertTrue(second.cache_status.startswith("weir"))
        self.assertRegex(second.cache_status, r"ttl=\d+")
        self.assertEqual((second.body, second.fields["content-type"]), (b"stored", "text/x"))
        self.assertEqual(origin.count(), 1)

    def test_age_is_there_on_hits_and_counts(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, Age="100"), b"x")))
        node.get("/")
        age = int(node.get("/").fields["age"])
        self.assertGreaterEqual(age, 100)
        wait_until(lambda: int(node.get("/").fields["age"]) > age, 30, "Age grows")

    def test_a_response_that_was_old_already_is_not_fresh_for_as_long(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, Age="700"), b"x"))
        node = self.front(origin)
        node.get("/")
        self.assertFalse(node.get("/").hit)
        self.assertEqual(origin.count(), 2)

    def test_it_goes_stale_by_the_clock(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=1"}, b"x"))
        node = self.front(origin)
        node.get("/")
        wait_until(lambda: not node.get("/").hit, 30, "the stored response goes stale")
        self.assertGreaterEqual(origin.count(), 2)

    def test_hits_are_the_same_on_every_worker(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin, node={"workers": 4})
        node.get("/")
        self.assertTrue(all(node.get("/").hit for _ in range(20)))

    def test_head_is_answered_from_a_stored_get(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"stored"))
        node = self.front(origin)
        node.get("/")
        answer = node.ask("HEAD", "/")
        self.assertTrue(answer.hit)
        self.assertEqual((answer.fields["content-length"], answer.body), ("6", b""))
        self.assertEqual(origin.count(), 1)

    def test_http_1_0_clients_get_hits_too(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, b"stored")))
        node.get("/")
        answer = node.get("/", version="1.0")
        self.assertTrue(answer.hit)
        self.assertEqual(answer.body, b"stored")

    def test_a_chunked_and_a_close_delimited_response_are_stored_whole(self):
        origin = self.origin()
        origin.on("/chunked", raw(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"))
        origin.on("/close", raw(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello", then="close"))
        node = self.front(origin)
        for path in ("/chunked", "/close"):
            node.get(path)
            wait_until(lambda: node.get(path).hit, what="stored")
            self.assertEqual(node.get(path).body, b"hello")

    def test_fields_of_the_connection_are_not_stored(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, Connection="X-Hop", **{
            "X-Hop": "1", "Keep-Alive": "timeout=5"}), b"x")))
        node.get("/")
        hit = node.get("/")
        self.assertTrue(hit.hit)
        self.assertNotIn("x-hop", hit.fields)
        self.assertNotIn("keep-alive", hit.fields)

    def test_every_part_of_the_key_counts(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, (x.request.fields["host"] + x.request.target).encode()))
        node = self.front(origin)
        asked = [("a.example", "/x"), ("b.example", "/x"), ("a.example", "/X"), ("a.example", "/x?"),
                 ("a.example", "/x?a=1"), ("a.example", "/x?a=2"), ("a.example", "/x/"), ("a.examplex", "/")]
        for _ in range(2):
            for host, path in asked:
                self.assertEqual(node.get(path, host=host).body, (host + path).encode())

    def test_host_case_and_default_port_do_not_count(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin)
        node.get("/", host="a.example")
        self.assertTrue(node.get("/", host="A.Example:80").hit)

    def test_normalised_paths_share_and_the_origin_sees_the_normal_one(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin)
        node.get("/a/b/../%7Ec")
        self.assertEqual(origin.last().target, "/a/~c")
        self.assertTrue(node.get("/a/~c").hit)

    def test_large_and_empty_bodies_are_kept_exactly(self):
        blob = bytes(range(256)) * 4096 * 2
        origin = self.origin(lambda x: x.reply(200, FRESH, blob if x.request.path == "/large" else b""))
        node = self.front(origin)
        for path, body in (("/large", blob), ("/empty", b"")):
            self.assertEqual(node.get(path).body, body)
            hit = node.get(path)
            self.assertTrue(hit.hit)
            self.assertEqual(hit.body, body)
            self.assertEqual(hit.fields["content-length"], str(len(body)))


@table
class Storability(SharedNodeCase):
    """What the second of two equal requests finds."""
    def row(self, stored, response_fields, status=200, request_fields=(), method="GET", body=b"content"):
        path = "/" + self._testMethodName
        self.shared_origin.on(path, lambda x: x.reply(status, response_fields, b"" if status in (204, 304) else body))
        for _ in range(2):
            last = self.shared_node.ask(method, path, request_fields)
            self.assertEqual(last.status, status)
        self.assertEqual(last.hit, stored, last.cache_status)
        self.assertEqual(self.shared_origin.count(path), 1 if stored else 2)

    rows = {
        "max-age": (True, {"Cache-Control": "max-age=60"}),
        "s-maxage": (True, {"Cache-Control": "s-maxage=60, max-age=0"}),
        "s-maxage of zero beats max-age": (False, {"Cache-Control": "s-maxage=0, max-age=60"}),
        "Expires": (True, {"Expires": http_date(600), "Date": http_date()}),
        "Expires in the past": (False, {"Expires": http_date(-600), "Date": http_date()}),
        "Expires that is no date": (False, {"Expires": "0"}),
        "max-age beats Expires": (True, {"Expires": "0", "Cache-Control": "max-age=60"}),
        "nothing said": (False, {}),
        "Last-Modified alone is not guessed from": (False, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}),
        "no-store": (False, {"Cache-Control": "no-store, max-age=60"}),
        "private": (False, {"Cache-Control": "private, max-age=60"}),
        "private with a field list": (True, {"Cache-Control": 'private="set-cookie", max-age=60', "Set-Cookie": "a=b"}),
        "private with a list that is none": (False, {"Cache-Control": 'private="a b", max-age=60'}),
        "no-cache": (False, {"Cache-Control": "no-cache, max-age=60"}),
        "directive names in capitals": (False, {"Cache-Control": "NO-STORE, Max-Age=60"}),
        "no-store inside a quoted string is none": (True, {"Cache-Control": 'x="no-store", max-age=60'}),
        "two max-age take the smaller": (False, {"Cache-Control": "max-age=60, max-age=0"}),
        "max-age that is no number": (False, {"Cache-Control": "max-age=abc"}),
        "max-age that is negative": (False, {"Cache-Control": "max-age=-1"}),
        "Set-Cookie": (False, {"Cache-Control": "max-age=60", "Set-Cookie": "a=b"}),
        "Vary asterisk": (False, {"Cache-Control": "max-age=60", "Vary": "*"}),
        "Vary asterisk in a list": (False, {"Cache-Control": "max-age=60", "Vary": "Accept, *"}),
        "404 with freshness": (True, {"Cache-Control": "max-age=60"}, 404),
        "301 with freshness": (True, {"Cache-Control": "max-age=60", "Location": "/x"}, 301),
        "500 without freshness": (False, {}, 500),
        "206 that nobody asked for": (False, {"Cache-Control": "max-age=60", "Content-Range": "bytes 0-6/9"}, 206),
        "Authorization": (False, {"Cache-Control": "max-age=60"}, 200, {"Authorization": "Basic eDp5"}),
        "Authorization and public": (True, {"Cache-Control": "public, max-age=60"}, 200,
                                     {"Authorization": "Basic eDp5"}),
        "Authorization and s-maxage": (True, {"Cache-Control": "s-maxage=60"}, 200, {"Authorization": "Basic eDp5"}),
        "Authorization and must-revalidate": (True, {"Cache-Control": "must-revalidate, max-age=60"}, 200,
                                              {"Authorization": "Basic eDp5"}),
        "a request with no-store": (False, {"Cache-Control": "max-age=60"}, 200, {"Cache-Control": "no-store"}),
        "Cookie in the request alone": (True, {"Cache-Control": "max-age=60"}, 200, {"Cookie": "a=b"}),
        "POST": (False, {"Cache-Control": "max-age=60"}, 200, (), "POST"),
        "an unknown method": (False, {"Cache-Control": "max-age=60"}, 200, (), "PROPFIND"),
        "QUERY": (True, {"Cache-Control": "max-age=60"}, 200, (), "QUERY"),
    }


class NotStored(NodeCase):
    def test_a_get_with_content_is_neither_stored_nor_served_from_the_store(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.body))
        node = self.front(origin)
        self.assertEqual(node.ask("GET", "/", body=b"one").body, b"one")
        self.assertEqual(node.ask("GET", "/", body=b"two").body, b"two")
        self.assertEqual(node.get("/").body, b"")
        self.assertEqual(node.ask("GET", "/", body=b"three").body, b"three")

    def test_truncated_responses_are_never_stored(self):
        good = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n"
        chunked = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        origin = self.origin()
        node = self.front(origin)
        for n, (data, then) in enumerate([(good + b"hello", "close"), (good + b"hello", "reset"), (chunked, "close"),
                                          (chunked, "reset")]):
            path = "/%d" % n
            origin.on(path, [raw(data, then=then), lambda x: x.reply(200, FRESH, b"whole")])
            try:
                self.assertNotEqual(node.get(path).status, 200)
            except (Truncated, ConnectionResetError):
                pass
            self.assertEqual(node.get(path).body, b"whole")

    def test_a_body_beyond_the_limit_is_passed_on_and_not_stored(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x" * 5000))
        node = self.front(origin, cache={"object_max": "4000"})
        for _ in range(2):
            self.assertEqual(len(node.get("/").body), 5000)
        self.assertEqual(origin.count(), 2)

    def test_a_chunked_body_that_grows_beyond_the_limit_is_passed_on_and_not_stored(self):
        def send(x):
            x.send_head(200, dict(FRESH, **{"Transfer-Encoding": "chunked"}))
            for _ in range(5):
                x.chunk(b"x" * 1000)
            x.last_chunk()
        origin = self.origin(send)
        node = self.front(origin, cache={"object_max": "4000"})
        for _ in range(2):
            self.assertEqual(len(node.get("/").body), 5000)
        self.assertEqual(origin.count(), 2)

    def test_no_cache_at_all_when_it_is_off(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin, cache={"memory": "0"})
        node.get("/")
        self.assertEqual(node.get("/").status, 200)
        self.assertEqual(origin.count(), 2)

    def test_no_cache_on_a_route_that_does_not_want_it(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x"))
        node = self.front(origin, [{"upstream": "app", "cache": {"enabled": False}}])
        node.get("/")
        self.assertIn("fwd=bypass", node.get("/").cache_status)
        self.assertEqual(origin.count(), 2)

    def test_the_status_field_can_be_left_out(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, b"x")), cache={"status_field": False})
        node.get("/")
        self.assertNotIn("cache-status", node.get("/").fields)


class Vary(NodeCase):
    def test_each_variant_is_stored_by_itself(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, Vary="Accept-Language"),
                                               x.request.fields.get("accept-language", "none").encode()))
        node = self.front(origin)
        for _ in range(2):
            for language in ("de", "en", "fr"):
                self.assertEqual(node.get("/", {"Accept-Language": language}).body, language.encode())
            self.assertEqual(node.get("/").body, b"none")
        self.assertEqual(origin.count(), 4)
        self.assertTrue(node.get("/", {"Accept-Language": "de"}).hit)

    def test_a_new_variant_says_vary_miss(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, Vary="Accept-Language"), b"x")))
        node.get("/", {"Accept-Language": "de"})
        self.assertIn("fwd=vary-miss", node.get("/", {"Accept-Language": "en"}).cache_status)

    def test_fields_that_vary_does_not_name_do_not_matter(self):
        node = self.front(self.origin(lambda x: x.reply(200, dict(FRESH, Vary="Accept-Language"), b"x")))
        node.get("/", {"Accept-Language": "de", "User-Agent": "one"})
        self.assertTrue(node.get("/", {"Accept-Language": "de", "User-Agent": "two"}).hit)

    def test_all_vary_lines_count(self):
        origin = self.origin(lambda x: x.reply(200, list(FRESH.items()) + [("Vary", "A"), ("Vary", "B")],
                                               (x.request.fields["a"] + x.request.fields["b"]).encode()))
        node = self.front(origin)
        for a, b in (("1", "1"), ("1", "2"), ("2", "1"), ("1", "1"), ("1", "2")):
            self.assertEqual(node.get("/", {"A": a, "B": b}).body, (a + b).encode())
        self.assertEqual(origin.count(), 3)

    def test_the_number_of_variants_is_bounded(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, Vary="A"), x.request.fields["a"].encode()))
        node = self.front(origin, cache={"variants": 4})
        for n in range(30):
            self.assertEqual(node.get("/", {"A": str(n)}).body, str(n).encode())
        hits = sum(node.get("/", {"A": str(n)}).hit for n in range(30))
        self.assertLessEqual(hits, 8)


class Validation(NodeCase):
    def test_a_client_that_has_it_gets_304(self):
        origin = self.origin(lambda x: x.reply(200, dict(FRESH, ETag='"a"', **{
            "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Content-Type": "text/x"}), b"x"))
        node = self.front(origin)
        node.get("/")
        for fields in ({"If-None-Match": '"a"'}, {"If-None-Match": 'W/"a"'}, {"If-None-Match": '"b", "a"'},
                       {"If-None-Match": "*"}, {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"},
                       {"If-Modified-Since": "Tue, 02 Jan 2024 00:00:00 GMT"}):
            answer = node.get("/", fields)
            self.assertEqual(answer.status, 304, fields)
            self.assertEqual(answer.fields["etag"], '"a"')
        for fields in ({"If-None-Match": '"b"'}, {"If-Modified-Since": "Sun, 31 Dec 2023 00:00:00 GMT"},
                       {"If-None-Match": '"b"', "If-Modified-Since": "Tue, 02 Jan 2024 00:00:00 GMT"}):
            self.assertEqual(node.get("/", fields).status, 200, fields)
        self.assertEqual(origin.count(), 1)

    def test_the_first_clients_conditions_are_not_the_fills(self):
        """Whether they are passed on or left out: nobody else's answer may depend on them."""
        def conditional(x):
            if x.request.fields.get("if-none-match") == '"a"':
                x.reply(304, dict(FRESH, ETag='"a"'))
            elif "range" in x.request.fields:
                x.reply(206, dict(FRESH, ETag='"a"', **{"Content-Range": "bytes 0-1/5"}), b"wh")
            else:
                x.reply(200, dict(FRESH, ETag='"a"'), b"whole")
        for fields, statuses in (({"If-None-Match": '"a"'}, (200, 304)), ({"Range": "bytes=0-1"}, (200, 206))):
            node = self.front(self.origin(conditional))
            self.assertIn(node.get("/", fields).status, statuses)
            for _ in range(2):
                answer = node.get("/")
                self.assertEqual((answer.status, answer.body), (200, b"whole"))

    def validated(self, second, first=None):
        """A node whose store holds a stale response with ETag "a"; `second` answers its validation."""
        origin = self.origin()
        origin.on("/", [first or (lambda x: x.reply(200, dict(STALE, ETag='"a"', X="old"), b"stored")), second])
        node = self.front(origin)
        node.get("/")
        return node, origin

    def test_a_stale_response_is_validated_and_its_body_used_again(self):
        node, origin = self.validated(lambda x: x.reply(304, dict(FRESH, ETag='"a"', X="new")))
        answer = node.get("/")
        self.assertEqual((answer.status, answer.body, answer.fields["x"]), (200, b"stored", "new"))
        self.assertEqual(origin.last().fields["if-none-match"], '"a"')
        self.assertIn("fwd=stale", answer.cache_status)
        self.assertIn("fwd-status=304", answer.cache_status)
        self.assertTrue(node.get("/").hit)
        self.assertEqual(origin.count(), 2)

    def test_fields_that_a_304_does_not_carry_are_kept(self):
        node, _ = self.validated(lambda x: x.reply(304, dict(FRESH, ETag='"a"')))
        node.get("/")
        hit = node.get("/")
        self.assertTrue(hit.hit)
        self.assertEqual((hit.fields["x"], hit.fields["content-length"]), ("old", "6"))

    def test_a_full_answer_to_a_validation_replaces_the_stored_one(self):
        node, _ = self.validated(lambda x: x.reply(200, dict(FRESH, ETag='"b"'), b"newer"))
        self.assertEqual(node.get("/").body, b"newer")
        hit = node.get("/")
        self.assertTrue(hit.hit)
        self.assertEqual((hit.body, hit.fields["etag"]), (b"newer", '"b"'))

    def test_last_modified_validates_too(self):
        date = "Mon, 01 Jan 2024 00:00:00 GMT"
        node, origin = self.validated(lambda x: x.reply(304, FRESH),
                                      lambda x: x.reply(200, dict(STALE, **{"Last-Modified": date}), b"stored"))
        self.assertEqual(node.get("/").body, b"stored")
        self.assertEqual(origin.last().fields["if-modified-since"], date)

    def test_a_server_error_during_validation_is_passed_on(self):
        node, _ = self.validated(lambda x: x.reply(500, {}, b"broken"))
        self.assertEqual(node.get("/").status, 500)

    def test_a_client_with_the_same_validator_gets_304_after_validation(self):
        node, _ = self.validated(lambda x: x.reply(304, dict(FRESH, ETag='"a"')))
        self.assertEqual(node.get("/", {"If-None-Match": '"a"'}).status, 304)

    def test_an_unasked_304_is_passed_on_and_not_stored(self):
        origin = self.origin(lambda x: x.reply(304, dict(FRESH, ETag='"a"')))
        node = self.front(origin, [{"upstream": "app", "cache": {"enabled": False}}])
        self.assertEqual(node.get("/", {"If-None-Match": '"a"'}).status, 304)
        self.assertEqual(origin.last().fields["if-none-match"], '"a"')

    def test_an_unsafe_method_invalidates(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"version %d" % origin.count()))
        node = self.front(origin)
        node.get("/")
        self.assertTrue(node.get("/").hit)
        node.ask("POST", "/", body=b"change")
        self.assertFalse(node.get("/").hit)


class Marked(NodeCase):
    def test_a_key_that_was_marked_for_long_is_looked_at_again(self):
        """Most of its answers are not; once in a second one is, and is stored if it may be."""
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"mine"))
        node = self.front(origin)
        for _ in range(20):
            self.assertEqual(node.get("/").body, b"mine")
        origin.on("/", lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, b"all's"))
        wait_until(lambda: node.get("/").hit, what="the answer to be stored")
        self.assertEqual(node.get("/").body, b"all's")


class Collapse(NodeCase):
    def together(self, node, count, path="/", fields=()):
        """Clients that have all sent the same request."""
        clients = [self.client(node) for _ in range(count)]
        for client in clients:
            client.send(request(path=path, fields=fields))
        return clients

    def test_concurrent_clients_share_one_fetch(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, FRESH, b"shared")))
        node = self.front(origin, node={"workers": 4})
        clients = self.together(node, 20)
        origin.wait_count(1)
        go.set()
        answers = [c.response() for c in clients]
        self.assertEqual({a.body for a in answers}, {b"shared"})
        self.assertEqual(origin.count(), 1)
        self.assertTrue(any("collapsed" in a.cache_status for a in answers), [a.cache_status for a in answers])

    def test_followers_stream_while_it_grows(self):
        step = threading.Semaphore(0)

        def drip(x):
            x.send_head(200, dict(FRESH, **{"Transfer-Encoding": "chunked"}))
            for n in range(4):
                step.acquire(timeout=10)
                x.chunk(b"piece %d" % n)
            x.last_chunk()
        origin = self.origin(drip)
        node = self.front(origin, node={"workers": 2})
        clients = self.together(node, 6)
        heads = [c.head() for c in clients]
        self.assertEqual({h.status for h in heads}, {200})
        for n in range(4):
            step.release()
            for client in clients:
                got = b""
                while len(got) < 7:
                    got += read_chunk(client.source)
                self.assertEqual(got, b"piece %d" % n)
        late = self.client(node)
        late.send(request())
        self.assertEqual(late.response().body, b"piece 0piece 1piece 2piece 3")
        self.assertEqual(origin.count(), 1)

    def test_a_late_follower_gets_what_came_before_it(self):
        step = threading.Semaphore(0)

        def drip(x):
            x.send_head(200, dict(FRESH, **{"Content-Length": "10"}))
            x.send(b"hello")
            step.acquire(timeout=10)
            x.send(b"world")
        origin = self.origin(drip)
        node = self.front(origin)
        first, = self.together(node, 1)
        first.head()
        self.assertEqual(first.source.exactly(5), b"hello")
        late, = self.together(node, 1)
        late.head()
        self.assertEqual(late.source.exactly(5), b"hello")
        step.release()
        self.assertEqual(late.source.exactly(5), b"world")
        self.assertEqual(origin.count(), 1)

    def test_a_slow_follower_holds_nobody_up(self):
        body = b"x" * (4 << 20)
        origin = self.origin(lambda x: x.reply(200, FRESH, body))
        node = self.front(origin)
        slow = self.client(node, receive_buffer=4096)
        slow.send(request())
        self.assertEqual(node.get("/").body, body)
        self.assertEqual(slow.response().body, body)
        self.assertEqual(origin.count(), 1)

    def test_uncacheable_responses_do_not_line_up(self):
        """Once a key is known to be uncacheable its requests run side by side."""
        together = threading.Barrier(5)

        def alone(x):
            if x.request.path == "/" and "x-wait" in x.request.fields:
                together.wait(30)  # passes only when five are here at once
            x.reply(200, {"Cache-Control": "no-store"}, b"own")
        origin = self.origin(alone)
        node = self.front(origin)
        node.get("/")
        clients = self.together(node, 5, fields={"X-Wait": "1"})
        self.assertEqual([c.response().body for c in clients], [b"own"] * 5)
        self.assertEqual(origin.count(), 6)

    def test_followers_of_an_uncacheable_answer_ask_for_themselves(self):
        go = threading.Event()
        self.addCleanup(go.set)
        lock, bodies = threading.Lock(), [0]

        def own(x):
            go.wait(30)
            with lock:
                bodies[0] += 1
                mine = bodies[0]
            x.reply(200, {"Cache-Control": "private"}, b"%d" % mine)
        origin = self.origin(own)
        node = self.front(origin)
        clients = self.together(node, 8)
        origin.wait_count(1)
        go.set()
        answers = sorted(c.response().body for c in clients)
        self.assertEqual(len(set(answers)), 8, "a private answer was shared: %r" % answers)

    def test_variants_are_not_mixed_up(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, dict(FRESH, Vary="A"),
                                                             x.request.fields["a"].encode())))
        node = self.front(origin)
        clients = [(name, self.client(node)) for name in "abcabc"]
        for name, client in clients:
            client.send(request(fields={"A": name}))
        origin.wait_count(1)
        go.set()
        for name, client in clients:
            self.assertEqual(client.response().body, name.encode())

    def test_a_failing_fetch_fails_its_followers_visibly(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def cut(x):
            x.send_head(200, dict(FRESH, **{"Content-Length": "10"}))
            x.send(b"hello")
            go.wait(30)
            x.reset()
        origin = self.origin()
        origin.on("/", [cut, lambda x: x.reply(200, FRESH, b"wholewhole")])
        node = self.front(origin)
        clients = self.together(node, 4)
        heads = [c.head() for c in clients]
        go.set()
        for client, head in zip(clients, heads):
            with self.assertRaises((Truncated, ConnectionResetError)):
                client.content(head)
        self.assertEqual(node.get("/").body, b"wholewhole")

    def test_the_client_that_began_it_may_leave(self):
        go = threading.Event()
        self.addCleanup(go.set)
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, FRESH, b"shared")))
        node = self.front(origin)
        first, second = self.together(node, 2)
        origin.wait_count(1)
        first.reset()
        go.set()
        self.assertEqual(second.response().body, b"shared")
        self.assertEqual(origin.count(), 1)

    def test_a_follower_goes_alone_after_its_time(self):
        origin = self.origin()
        go = threading.Event()
        self.addCleanup(go.set)
        origin.on("/", [lambda x: (go.wait(30), x.reply(200, FRESH, b"late")),
                        lambda x: x.reply(200, FRESH, b"own")])
        node = self.front(origin, cache={"collapse_timeout": "200ms"})
        first, = self.together(node, 1)
        origin.wait_count(1)
        second, = self.together(node, 1)
        self.assertEqual(second.response().body, b"own")
        go.set()
        self.assertEqual(first.response().body, b"late")


class Eviction(NodeCase):
    def test_the_store_stays_within_its_limit(self):
        body = b"x" * 100000
        origin = self.origin(lambda x: x.reply(200, FRESH, body))
        node = self.front(origin, cache={"memory": "4MiB"})
        before = node.rss()
        for n in range(300):
            self.assertEqual(len(node.get("/%d" % n).body), 100000)
        hits = sum(node.get("/%d" % n).hit for n in range(290, 300))
        self.assertGreater(hits, 0)
        self.skip_under_sanitizers()
        self.assertLess(node.rss() - before, 16 << 20)

    def test_what_is_used_often_survives_a_scan(self):
        origin = self.origin(lambda x: x.reply(200, FRESH, b"x" * 10000))
        node = self.front(origin, cache={"memory": "2MiB"})
        for _ in range(5):
            node.get("/popular")
        for n in range(400):
            node.get("/scan/%d" % n)
            if n % 50 == 0:
                node.get("/popular")
        self.assertTrue(node.get("/popular").hit)
        self.assertLessEqual(origin.count("/popular"), 2)
