"""RFC 9110: what concerns a cache as an intermediary: fields of the connection, Date, Via, Content-Length, methods, and
statuses nobody knows."""
from lib.rows import ANY, ASKED, HIT, MISS, RowsCase, ask, get, rows, twice

FRESH = "Cache-Control: max-age=60"


@rows
class Connection(RowsCase):
    """7.6.1: fields of one connection go no further, either way."""
    rows = {
        "what the request's Connection names is not forwarded": [
            get(FRESH, MISS, request="Connection: X-Hop, x-other\nX-Hop: 1\nX-Other: 2", sent={"x-hop": None, "x-other": None, "connection": None})],
        "TE is not forwarded": [get(FRESH, MISS, request="TE: trailers\nConnection: TE", sent={"te": None})],
        "Keep-Alive is not forwarded": [get(FRESH, MISS, request="Keep-Alive: timeout=1", sent={"keep-alive": None})],
        "Proxy-Connection is not forwarded": [get(FRESH, MISS, request="Proxy-Connection: x", sent={"proxy-connection": None})],
        "Upgrade is not forwarded": [get(FRESH, MISS, request="Connection: upgrade\nUpgrade: foo", sent={"upgrade": None})],
        "Connection naming Cache-Control does not hide it": [get("Connection: cache-control\nCache-Control: no-store, max-age=60", MISS), get(FRESH, ASKED)],
        "Connection naming Age does not make young": [get(FRESH + "\nConnection: age\nAge: 90", MISS), get(FRESH, ASKED)],
        "Connection naming Vary does not hide it": [get(FRESH + "\nConnection: vary\nVary: Foo", MISS, request="Foo: 1"), get(None, ASKED, request="Foo: 2")],
        "fields named on a second line of Connection": [
            get(FRESH + "\nConnection: x-a\nConnection: x-b\nX-A: 1\nX-B: 2", MISS, fields={"x-a": None, "x-b": None}),
            get(None, HIT, fields={"x-a": None, "x-b": None})],
        "a named field that is not there": twice(FRESH + "\nConnection: x-none", HIT),
        "Connection in another case": twice(FRESH + "\ncOnNeCtIoN: X-a\nX-A: 1", HIT, then_fields={"x-a": None}),
        "close from the origin does not close the client's": twice(FRESH + "\nConnection: close", HIT,
                                                                   check=lambda t, r: t.assertFalse(r.closes)),
    }


@rows
class Fields(RowsCase):
    rows = {
        "Date of a pass is kept (6_6_1)": [get("Cache-Control: no-store\nDate: Sun, 06 Nov 1994 08:49:37 GMT", MISS,
                                               fields={"date": "Sun, 06 Nov 1994 08:49:37 GMT"})],
        "Via names the protocol and us (7_6_3)": twice(FRESH, HIT, fields={"via": lambda v: v is not None and v.endswith("1.1 weir")}),
        "Via of others stays before ours (7_6_3)": twice(FRESH + "\nVia: 1.0 inner", HIT, fields={"via": "1.0 inner, 1.1 weir"}),
        "Via in the request (7_6_3)": [get(FRESH, MISS, request="Via: 1.0 outer", sent={"via": "1.0 outer, 1.1 weir"})],
        "Content-Length is what is sent (8_6)": twice(FRESH, HIT, fields={"content-length": "8"}),
        "Content-Length of a HEAD hit is that of the GET (8_6)": [get(FRESH, MISS), ask("HEAD", HIT, body=b"", fields={"content-length": "8"})],
        "none in a 204 (8_6)": twice(FRESH, HIT, answer=204, then_fields={"content-length": None}),
        "Max-Forwards of a GET means nothing (7_6_2)": twice(FRESH, HIT, request="Max-Forwards: 0"),
        "OPTIONS with Max-Forwards of zero is not forwarded, or answered all the same (7_6_2)": [
            ask("OPTIONS", ANY, "", request="Max-Forwards: 0", status=0)],
        "unknown fields are forwarded (5_1)": [get(FRESH, MISS, request="X-Unknown: \xe4 1", sent={"x-unknown": "\xe4 1"})],
        "order of lines of one name is kept (5_3)": [get(FRESH, MISS, request="X-A: 1\nX-B: 0\nX-A: 2", sent={"x-a": "1, 2"})],
        "Accept-Ranges is passed on or ours (14_3)": twice(FRESH + "\nAccept-Ranges: bytes", HIT, fields={"accept-ranges": "bytes"}),
        "Content-Encoding is kept (8_4)": twice(FRESH + "\nContent-Encoding: x-foo", HIT, fields={"content-encoding": "x-foo"}),
    }


@rows
class Statuses(RowsCase):
    """15: a status nobody knows is as the first of its class, and passed on as it is."""
    rows = {}
    for _status in (200, 201, 202, 203, 205, 207, 208, 226, 299, 305, 306, 399, 420, 425, 450, 499, 506, 507, 508, 510, 520, 526, 530, 598, 599, 600, 999):
        rows["%d passes (15)" % _status] = [get("Cache-Control: no-store", MISS, answer=_status)]
    for _status in (299, 399, 499, 599, 600, 999):  # RFC 9111 3: final, and explicit freshness
        rows["%d is stored with freshness (15)" % _status] = twice(FRESH, HIT, answer=_status)


class Ejection(RowsCase):
    """Defaults: an origin that answers with errors is still asked, for there is no other."""
    def test_an_origin_with_many_errors_is_asked_all_the_same(self):
        for n in range(12):
            self.upstream.on("/e%d" % n, lambda x: x.reply(503, {}, b"busy"))
            self.assertEqual(self.front_node.get("/e%d" % n).body, b"busy")
        self.upstream.on("/fine", lambda x: x.reply(200, {}, b"fine"))
        self.assertEqual(self.front_node.get("/fine").body, b"fine")
