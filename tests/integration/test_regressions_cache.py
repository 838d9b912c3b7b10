"""Faults found by reading: what is shared. Each test failed before its repair."""
import threading

from lib.case import NodeCase
from lib.client import request
from lib.node import settings, upstream

FRESH = {"Cache-Control": "max-age=600"}


class Invalidation(NodeCase):
    def racing(self, begin, update, routes=None):
        """A fill of /page that hangs in `begin` while an update succeeds; what /page is afterwards."""
        origin = self.origin()
        self.asked, self.go = threading.Event(), threading.Event()
        self.addCleanup(self.go.set)
        origin.on("/page", begin)
        node = self.front(origin, routes)
        return origin, node

    def old_then_new(self, x):
        if x.request.method != "GET":
            return x.reply(204)
        if x.request.fields.get("x-late"):
            self.asked.set()
            self.go.wait(30)
            return x.reply(200, FRESH, b"old")
        x.reply(200, FRESH, b"new")

    def test_an_answer_asked_for_before_an_update_is_not_stored_after_it(self):
        origin, node = self.racing(self.old_then_new, None)
        early = self.client(node)
        early.send(request(path="/page", fields={"X-Late": "1"}))
        self.assertTrue(self.asked.wait(30))
        self.assert_status(node.ask("PUT", "/page", body=b"new"), 204)
        self.go.set()
        self.assertEqual(early.response().body, b"old")  # it asked before
        for _ in range(2):
            self.assertEqual(node.get("/page").body, b"new")

    def test_nobody_joins_a_fetch_that_is_older_than_an_update(self):
        origin, node = self.racing(self.old_then_new, None)
        early = self.client(node)
        early.send(request(path="/page", fields={"X-Late": "1"}))
        self.assertTrue(self.asked.wait(30))
        self.assert_status(node.ask("POST", "/page", body=b"new"), 204)
        self.assertEqual(node.get("/page").body, b"new")
        self.go.set()
        self.assertEqual(early.response().body, b"old")
        self.assertEqual(node.get("/page").body, b"new")

    def test_a_validation_that_is_older_than_an_update_brings_nothing_back(self):
        state = {"body": b"old", "tag": '"1"'}

        def page(x):
            if x.request.method != "GET":
                state.update(body=b"new", tag='"2"')
                return x.reply(204)
            fields = {"ETag": state["tag"], "Cache-Control": "max-age=%d" % (600 if "if-none-match" in
                                                                            x.request.fields else 0)}
            if x.request.fields.get("if-none-match") == state["tag"]:
                self.asked.set()
                self.go.wait(30)
                return x.reply(304, fields)
            x.reply(200, fields, state["body"])
        origin, node = self.racing(page, None)
        self.assertEqual(node.get("/page").body, b"old")
        early = self.client(node)
        early.send(request(path="/page"))
        self.assertTrue(self.asked.wait(30))
        self.assert_status(node.ask("PUT", "/page", body=b"new"), 204)
        self.go.set()
        self.assertEqual(early.response().body, b"old")
        self.assertEqual(node.get("/page").body, b"new")

    def test_what_was_invalidated_does_not_serve_when_the_origin_then_fails(self):
        calls = []

        def page(x):
            if x.request.method != "GET":
                return x.reply(204)
            calls.append(1)
            if len(calls) == 1:
                return x.reply(200, {"Cache-Control": "max-age=0, stale-if-error=600", "ETag": '"1"'}, b"old")
            self.asked.set()
            self.go.wait(30)
            x.reply(503, {}, b"down")
        origin, node = self.racing(page, None)
        node.get("/page")
        early = self.client(node)
        early.send(request(path="/page"))
        self.assertTrue(self.asked.wait(30))
        self.assert_status(node.ask("PUT", "/page", body=b"new"), 204)
        self.go.set()
        self.assert_status(early.response(), 503)


class Variants(NodeCase):
    def test_who_waits_for_a_validation_gets_his_own_variant_or_asks_for_it(self):
        """One validates what is stored in English; the other, who comes meanwhile, reads German."""
        asked, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def page(x):
            language = x.request.fields.get("accept-language", "")
            fields = {"Vary": "Accept-Language", "Cache-Control": "max-age=0", "ETag": '"%s"' % language}
            if "if-none-match" in x.request.fields:
                asked.set()
                go.wait(30)
                return x.reply(304, fields)
            x.reply(200, fields, language.encode())
        origin = self.origin(page)
        node = self.front(origin)
        self.assertEqual(node.get("/", {"Accept-Language": "en"}).body, b"en")
        english, german = self.client(node), self.client(node)
        english.send(request(fields={"Accept-Language": "en"}))
        self.assertTrue(asked.wait(30))
        german.send(request(fields={"Accept-Language": "de"}))
        self.assertFalse(german.readable(0.2))
        go.set()
        self.assertEqual(english.response().body, b"en")
        self.assertEqual(german.response().body, b"de")

    def test_a_field_that_connection_takes_away_chooses_no_variant(self):
        """The origin does not see it: its answer is not the one to that field."""
        node = self.front(self.origin(lambda x: x.reply(
            200, dict(FRESH, Vary="X-Language"), x.request.fields.get("x-language", "none").encode())))
        hidden = node.get("/", {"X-Language": "de", "Connection": "keep-alive, X-Language"})
        self.assertEqual(hidden.body, b"none")
        self.assertEqual(node.get("/", {"X-Language": "de"}).body, b"de")
        self.assertEqual(node.get("/").body, b"none")


class Keys(NodeCase):
    def test_routes_that_go_by_who_asks_do_not_share(self):
        stable = self.origin(lambda x: x.reply(200, FRESH, b"stable"))
        beta = self.origin(lambda x: x.reply(200, FRESH, b"beta"))
        for match, given in (({"fields": [{"name": "X-Beta", "value": "1"}]}, {"X-Beta": "1"}),
                             ({"cookies": [{"name": "beta"}]}, {"Cookie": "beta=1"})):
            with self.subTest(match):
                node = self.node(settings([upstream(stable), upstream(beta, "beta")],
                                          [{"upstream": "beta", "match": match}, {"upstream": "app"}]))
                for _ in range(2):
                    self.assertEqual(node.get("/", given).body, b"beta")
                    self.assertEqual(node.get("/").body, b"stable")
                self.assertTrue(node.get("/", given).hit)

    def test_the_scheme_of_an_absolute_target_opens_no_second_key(self):
        """X-Forwarded-Proto says http whatever the client writes: that answer is none for https."""
        origin = self.origin(lambda x: x.reply(200, FRESH, x.request.fields["x-forwarded-proto"].encode()))
        node = self.front(origin, forward={"trusted": ["127.0.0.1"]})
        plain = self.front(origin)
        self.assertEqual(plain.get("https://test.example/").body, b"http")
        self.assertTrue(plain.get("/").hit)
        self.assertEqual(node.get("/", {"X-Forwarded-Proto": "http"}).body, b"http")
        self.assertEqual(node.get("/", {"X-Forwarded-Proto": "https"}).body, b"https")

    def test_hosts_a_trusted_peer_forwards_are_apart(self):
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, x.request.fields["x-forwarded-host"].encode())),
                          forward={"trusted": ["127.0.0.1"]})
        for _ in range(2):
            for host in ("a.example", "b.example"):
                self.assertEqual(node.get("/", {"X-Forwarded-Host": host}).body, host.encode())


class Desync(NodeCase):
    def test_bytes_on_a_kept_connection_are_never_the_next_answer(self):
        """They come while the process stands still, so the next request and they are seen in one turn."""
        kept = []

        def answer(x):
            kept.append(x.sock)
            x.reply(200, {}, x.request.path.encode())
        origin = self.origin(answer)
        node = self.front(origin, node={"workers": 1})
        for _ in range(5):
            self.assertEqual(node.get("/one").body, b"/one")
            client = self.client(node)
            node.halt()
            try:
                client.send(request(path="/two"))
                threading.Event().wait(0.02)
                try:
                    kept[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
                except OSError:
                    pass
                threading.Event().wait(0.02)
            finally:
                node.go_on()
            self.assertEqual(client.response().body, b"/two")
            client.close()
