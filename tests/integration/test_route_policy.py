"""What a route makes of what responses say: lifetimes, cookies, what is not heeded, fields of one client alone."""
import threading

from lib.case import NodeCase
from lib.client import request
from lib.rows import ASKED, HIT, MISS, REFRESHED, VALIDATED, RowsCase, get, rows, twice
from lib.wait import wait_until

FRESH = "Cache-Control: max-age=60"


def route(**cache):
    return classmethod(lambda cls: {"routes": [{"upstream": "app", "cache": cache}]})


@rows
class Lifetimes(RowsCase):
    configure = route(ttl={"otherwise": "1m", "status": ["404 1m", "302 1m", "5xx 1m", "410 0s"], "min": "10s", "max": "100s"})
    rows = {
        "a response that names none has the default": twice("X: 1", HIT),
        "but not with a status that may not be guessed at": twice("X: 1", MISS, answer=403),
        "unless it is public": twice("Cache-Control: public", HIT, answer=403),
        "a status has its own": twice("X: 1", HIT, answer=404),
        "also one that may not be guessed at": twice("X: 1", HIT, answer=302),
        "also a failure": twice("X: 1", HIT, answer=503),
        "none for this one": twice("X: 1", MISS, answer=410),
        "what the response names comes first": twice("Cache-Control: max-age=60\nAge: 70", MISS, answer=404),
        "no-store is no lifetime": twice("Cache-Control: no-store", MISS),
        "a cookie is no lifetime": twice("Set-Cookie: a=b", MISS),
        "a default counts from arrival": twice("Age: 1000", HIT),
        "short ones are raised": twice("Cache-Control: max-age=1\nAge: 5", HIT),
        "zero is raised too": twice("Cache-Control: max-age=0", HIT),
        "an invalid Expires is raised too": twice("Expires: 0", HIT),
        "long ones are lowered": twice("Cache-Control: max-age=1000\nAge: 101", MISS),
        "statuses that are never stored are not": twice("X: 1", MISS, answer=429),
    }


@rows
class Forced(RowsCase):
    configure = route(despite={"ttl": "1m"})
    rows = {
        "whatever the response names": twice("Cache-Control: max-age=0", HIT),
        "also nothing": twice("X: 1", HIT, answer=403),
        "however old it is": twice("Cache-Control: s-maxage=5\nAge: 600", HIT),
        "no-store holds": twice("Cache-Control: no-store", MISS),
        "private holds": twice("Cache-Control: private", MISS),
        "no-cache holds": twice('Cache-Control: no-cache\nETag: "a"', VALIDATED),
    }


@rows
class StoredDespite(RowsCase):
    configure = route(despite={"store": ["no-store", "private", "no-cache", "authorization", "vary-star"],
                               "ignore_vary": ["User-Agent"]})
    rows = {
        "no-store": twice("Cache-Control: no-store, max-age=60", HIT),
        "private": twice("Cache-Control: private, max-age=60", HIT),
        "no-cache": twice("Cache-Control: no-cache, max-age=60", HIT),
        "authorization": twice(FRESH, HIT, request="Authorization: Basic eDp5"),
        "vary-star": twice(FRESH + "\nVary: *", HIT),
        "vary-star leaves the others in force":
            twice(FRESH + "\nVary: *, Accept-Language", MISS, request="Accept-Language: de", then_request="Accept-Language: en"),
        "a name that Vary has in vain": twice(FRESH + "\nVary: User-Agent", HIT, request="User-Agent: a", then_request="User-Agent: b"),
        "a name beside it": twice(FRESH + "\nVary: User-Agent, Accept", MISS, request="Accept: a/a", then_request="Accept: b/b"),
        "Vary goes to clients as it came": twice(FRESH + "\nVary: User-Agent", HIT, fields={"vary": "User-Agent"}),
        "nothing that names no lifetime": twice("Cache-Control: no-store", MISS),
        "a cookie still keeps it out": twice(FRESH + "\nSet-Cookie: a=b", MISS),
    }


@rows
class StaleDespite(RowsCase):
    configure = route(stale_while_revalidate="1m", stale_if_error="1h",
                      despite={"stale": ["must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"]})
    OLD = '\nAge: 70\nETag: "a"'
    rows = {
        "must-revalidate": twice(FRESH + ", must-revalidate" + OLD, REFRESHED),
        "proxy-revalidate": twice(FRESH + ", proxy-revalidate" + OLD, REFRESHED),
        "s-maxage": twice("Cache-Control: s-maxage=60" + OLD, REFRESHED),
        "no-cache": twice('Cache-Control: no-cache, max-age=60\nETag: "a"', REFRESHED),
        "the window ends all the same": twice(FRESH + ', must-revalidate\nAge: 130\nETag: "a"', VALIDATED),
        "a failure within its window":
            [get(FRESH + ', must-revalidate\nAge: 200\nETag: "a"', MISS), get(None, ASKED, validation=(503, "X: 1"), status=200, body=b"answer 1")],
    }


@rows
class NotValidated(RowsCase):
    """9111 5.2.2.2: what must be validated, and cannot be, is an error."""
    OLD = ', stale-if-error=600\nAge: 70\nETag: "a"'
    rows = {
        "an origin that hangs up: 504 (5_2_2_2)":
            [get(FRESH + ", must-revalidate" + OLD, MISS), get(None, raw=b"", status=504)],
        "with s-maxage (5_2_2_10)": [get("Cache-Control: s-maxage=60" + OLD, MISS), get(None, raw=b"", status=504)],
        "with proxy-revalidate (5_2_2_8)":
            [get(FRESH + ", proxy-revalidate" + OLD, MISS), get(None, raw=b"", status=504)],
        "an answer of 500 is passed on (4_3_3)":
            [get(FRESH + ", must-revalidate" + OLD, MISS), get(None, ASKED, validation=(500, "X: 1"), status=500)],
        "without it the stale one serves (RFC 5861 4)": [get(FRESH + OLD, MISS), get(None, raw=b"", status=200, body=b"answer 1")],
        "with nothing stored it is 502": [get(FRESH, raw=b"", status=502)],
    }


@rows
class Cookies(RowsCase):
    configure = route(set_cookie="strip")
    rows = {
        "only who caused the fetch gets them":
            [get(FRESH + "\nSet-Cookie: a=b", MISS, fields={"set-cookie": "a=b"}), get(None, HIT, fields={"set-cookie": None})],
        "what is not stored keeps them": twice("Cache-Control: no-store\nSet-Cookie: a=b", MISS, fields={"set-cookie": "a=b"}),
        "a 304 brings them to who asked":
            [get('Cache-Control: max-age=0\nSet-Cookie: a=b\nETag: "a"', MISS),
             get(None, VALIDATED, validation=(304, FRESH + '\nSet-Cookie: c=d\nETag: "a"'), fields={"set-cookie": "c=d"}),
             get(None, HIT, fields={"set-cookie": None})],
        "also when the client is told 304":
            [get(FRESH + '\nSet-Cookie: a=b\nETag: "a"', MISS, request='If-None-Match: "a"', status=304, fields={"set-cookie": "a=b"}),
             get(None, HIT, request='If-None-Match: "a"', status=304, fields={"set-cookie": None})],
    }


@rows
class CookiesStored(RowsCase):
    configure = route(set_cookie="store")
    rows = {"all get them": twice(FRESH + "\nSet-Cookie: a=b", HIT, fields={"set-cookie": "a=b"})}


@rows
class RefreshAhead(RowsCase):
    configure = route(refresh_ahead="50%")
    rows = {
        "a hit in the last part refreshes": [get(FRESH + "\nAge: 40", MISS), get(FRESH, REFRESHED),
                                             get(FRESH, body=b"answer 2", until=True), get(None, HIT)],
        "one before does not": [get(FRESH + "\nAge: 20", MISS), get(None, HIT), get(None, HIT)],
        "a validator makes it a validation": [get(FRESH + '\nAge: 40\nETag: "a"', MISS), get(None, REFRESHED)],
    }


@rows
class Outdating(RowsCase):
    """What a validation does to what is stored, whoever asked for it."""
    STALE = 'Cache-Control: max-age=60\nAge: 70\nETag: "a"'
    AGAIN = 'Cache-Control: max-age=60\nETag: "a"'
    rows = {
        "a client's no-store stores nothing new, and takes nothing away (9111 5_2_1_5)":
            [get(STALE, MISS), get(None, VALIDATED, validation=(304, AGAIN), request="Cache-Control: no-store"),
             get(None, VALIDATED, validation=(304, AGAIN)), get(None, HIT)],
        "nor does Authorization (9111 3_5)":
            [get(STALE, MISS), get(None, VALIDATED, validation=(304, AGAIN), request="Authorization: Basic eDp5"),
             get(None, VALIDATED, validation=(304, AGAIN)), get(None, HIT)],
        "a 304 that says private takes it away (9111 3_2)":
            [get(STALE, MISS), get(None, VALIDATED, validation=(304, 'Cache-Control: private\nETag: "a"')),
             get(AGAIN, MISS)],
    }


class Mistaken(NodeCase):
    def test_a_304_about_another_representation_leads_to_a_request_without_condition(self):
        """RFC 9111 4.3.4: it updates nothing that is stored; what is current is asked for."""
        def answer(x):
            if "if-none-match" in x.request.fields:
                return x.reply(304, {"ETag": '"b"', "Cache-Control": "max-age=60"})
            x.reply(200, {"ETag": '"%d"' % origin.count(), "Cache-Control": "max-age=%d" % (60 * (origin.count() > 1))},
                    b"%d" % origin.count())
        origin = self.origin(answer)
        node = self.front(origin)
        with self.client(node) as client:
            self.assertEqual(client.ask().body, b"1")
            second = client.ask()
            self.assertEqual((second.status, second.body, origin.count()), (200, b"3", 3))
            self.assertNotIn("if-none-match", origin.last().fields)
            third = client.ask()
            self.assertTrue(third.hit)
            self.assertEqual(third.body, b"3")


class Alone(NodeCase):
    """Fields of one client, and followers of its fetch."""
    def test_followers_do_not_get_what_is_for_the_leader(self):
        go = threading.Event()
        self.addCleanup(go.set)
        fields = {"Cache-Control": 'max-age=60, private="x-user"', "X-User": "7", "X-All": "1"}
        origin = self.origin(lambda x: (go.wait(30), x.reply(200, fields, b"shared")))
        node = self.front(origin, node={"workers": 4})
        clients = [self.client(node) for _ in range(12)]
        for client in clients:
            client.send(request())
        origin.wait_count(1)
        go.set()
        answers = [c.response() for c in clients]
        self.assertEqual(origin.count(), 1)
        self.assertEqual({a.body for a in answers}, {b"shared"})
        self.assertEqual({a.fields.get("x-all") for a in answers}, {"1"})
        self.assertEqual([a.fields.get("x-user") for a in answers if "x-user" in a.fields], ["7"])

    def test_what_comes_with_every_refresh_goes_to_nobody(self):
        """A refresh behind a client's back has no client whose own fields could be."""
        fields = {"Cache-Control": "max-age=60, stale-while-revalidate=600", "Age": "70", "Set-Cookie": "a=b"}
        origin = self.origin(lambda x: x.reply(200, fields, b"%d" % origin.count()))
        node = self.front(origin, routes=[{"upstream": "app", "cache": {"set_cookie": "strip"}}])
        with self.client(node) as client:
            self.assertIn("set-cookie", client.ask().fields)
            for _ in range(3):
                self.assertNotIn("set-cookie", client.ask().fields)
            wait_until(lambda: origin.count() > 1, what="a refresh")


class Late(NodeCase):
    """Who joins a fetch whose head has come already."""
    def drip(self, control):
        go = threading.Event()
        self.addCleanup(go.set)

        def answer(x):
            if origin.count() > 1:
                return x.reply(200, {"Cache-Control": control, "ETag": '"b"'}, b"second")
            x.send_head(200, {"Cache-Control": control, "ETag": '"a"', "Content-Length": "8"})
            x.send(b"half")
            go.wait(30)
            x.send(b"half")
        origin = self.origin(answer)
        node = self.front(origin)
        first, second = self.client(node), self.client(node)
        first.send(request())
        first.head()
        second.send(request())
        head = second.head()
        go.set()
        return origin, head

    def test_a_fresh_one_is_shared(self):
        origin, head = self.drip("max-age=60")
        self.assertEqual((origin.count(), head.fields["etag"]), (1, '"a"'))

    def test_one_that_needs_validation_is_not(self):
        origin, head = self.drip("max-age=0")
        self.assertEqual((origin.count(), head.fields["etag"]), (2, '"b"'))
        origin, head = self.drip("no-cache")
        self.assertEqual((origin.count(), head.fields["etag"]), (2, '"b"'))

    def test_who_waited_for_it_shares_even_that(self):
        """RFC 9111 4: it was validated for all of them."""
        go = threading.Event()
        self.addCleanup(go.set)
        fields = {"Cache-Control": "max-age=0", "ETag": '"a"'}
        origin = self.origin(lambda x: (x.request.path == "/" and go.wait(30), x.reply(200, fields, b"all")))
        node = self.front(origin, node={"workers": 1})
        clients = [self.client(node) for _ in range(6)]
        clients[0].send(request())
        origin.wait_count(1)
        for client in clients[1:]:
            client.send(request())
        with self.client(node) as client:  # answered later than they were read: there is one worker
            client.ask(path="/other")
        go.set()
        answers = [c.response() for c in clients]
        self.assertEqual({a.body for a in answers}, {b"all"})
        self.assertEqual(origin.count("/"), 1)
