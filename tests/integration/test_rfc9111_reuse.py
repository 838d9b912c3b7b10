"""RFC 9111 4 and 2: when a stored response may answer, and what the key is."""
from lib.rows import ASKED, HIT, MISS, VALIDATED, RowsCase, get, rows, twice

FRESH = "Cache-Control: max-age=60"


@rows
class Keys(RowsCase):
    """2 and 4: the target URI of the request must match."""
    rows = {
        "another path": [get(FRESH, MISS, path="/a"), get(None, MISS, path="/b")],
        "another query": [get(FRESH, MISS, path="?a=1"), get(None, MISS, path="?a=2")],
        "a query and none": [get(FRESH, MISS), get(None, MISS, path="?")],
        "the order of the query's parameters counts": [get(FRESH, MISS, path="?a=1&b=2"), get(None, MISS, path="?b=2&a=1")],
        "the case of the path counts (9110 4_2_3)": [get(FRESH, MISS, path="/a"), get(None, MISS, path="/A")],
        "the case of the query counts": [get(FRESH, MISS, path="?a"), get(None, MISS, path="?A")],
        "a slash at the end counts": [get(FRESH, MISS, path="/a"), get(None, MISS, path="/a/")],
        "another host": [get(FRESH, MISS), get(None, MISS, host="other.example")],
        "another port": [get(FRESH, MISS), get(None, MISS, host="test.example:81")],
        "the default port is no other (9110 4_2_3)": [get(FRESH, MISS), get(None, HIT, host="test.example:80")],
        "the case of the host does not count (9110 4_2_3)": [get(FRESH, MISS), get(None, HIT, host="TEST.Example")],
        "escapes that need not be do not count (3986 6_2_2_2)": [get(FRESH, MISS, path="/%7Ea"), get(None, HIT, path="/~a")],
        "the case of hexadecimal digits does not count (3986 6_2_2_1)": [get(FRESH, MISS, path="/%2fa"), get(None, HIT, path="/%2Fa")],
        "an escaped slash is no slash (3986 2_2)": [get(FRESH, MISS, path="/%2Fa"), get(None, MISS, path="//a")],
        "request fields that Vary does not name do not count": [get(FRESH, MISS, request="X-A: 1"), get(None, HIT, request="X-A: 2")],
        "Cookie does not count": [get(FRESH, MISS, request="Cookie: a=1"), get(None, HIT, request="Cookie: a=2")],
        "Referer, User-Agent, Accept do not count": [get(FRESH, MISS, request="User-Agent: a\nReferer: http://a.example/\nAccept: a/b"),
                                                     get(None, HIT, request="User-Agent: b")],
    }


@rows
class Twice(RowsCase):
    """What the next ones find."""
    rows = {
        "a third request is answered too": [get(FRESH, MISS), get(None, HIT), get(None, HIT), get(None, HIT)],
        "what may not be stored does not keep the next answer out (3)": [get("Cache-Control: no-store", MISS), get(FRESH, ASKED), get(None, HIT)],
        "an error does not keep the next answer out (3)": [get("", MISS, answer=500), get(FRESH, ASKED), get(None, HIT)],
        "what has no freshness does not keep the next answer out (3)": [get("", MISS), get(FRESH, ASKED), get(None, HIT)],
        "a private one does not keep the next answer out (3)": [get("Cache-Control: private", MISS), get(FRESH, ASKED), get(None, HIT)],
        "a Set-Cookie does not keep the next answer out": [get(FRESH + "\nSet-Cookie: a=b", MISS), get(FRESH, ASKED), get(None, HIT)],
        "a Vary of asterisk does not keep the next answer out": [get(FRESH + "\nVary: *", MISS), get(FRESH, ASKED), get(None, HIT)],
        "a request with Authorization does not keep the next answer out":
            [get(FRESH, MISS, request="Authorization: Basic eDp5"), get(FRESH, MISS), get(None, HIT)],
        "a request with no-store does not keep the next answer out":
            [get(FRESH, MISS, request="Cache-Control: no-store"), get(FRESH, MISS), get(None, HIT)],
        "a stale one is replaced by the next answer": [get(FRESH + "\nAge: 90", MISS), get(FRESH, MISS), get(None, HIT, body=b"answer 2")],
        "an uncacheable answer in between: what was stored is no longer fresh evidence or still is":
            [get(FRESH + "\nAge: 90", MISS), get("Cache-Control: no-store", MISS), get(FRESH, ASKED, body=b"answer 3")],
        "the content of a HIT is whole": twice(FRESH, HIT, content=bytes(range(256)) * 300),
    }


@rows
class Never(RowsCase):
    """4: without validation a stored response answers only if it is fresh or allowed stale."""
    rows = {
        "stale without a validator is asked for": twice(FRESH + "\nAge: 90", MISS),
        "stale with must-revalidate is validated (5_2_2_2)": twice('Cache-Control: max-age=60, must-revalidate\nAge: 90\nETag: "a"', VALIDATED),
        "stale with proxy-revalidate is validated (5_2_2_8)": twice('Cache-Control: max-age=60, proxy-revalidate\nAge: 90\nETag: "a"', VALIDATED),
        "an argument of must-revalidate changes nothing": twice('Cache-Control: max-age=60, must-revalidate="x"\nAge: 90\nETag: "a"', VALIDATED),
        "fresh with must-revalidate is not (5_2_2_2)": twice("Cache-Control: max-age=60, must-revalidate", HIT),
        "fresh with proxy-revalidate is not (5_2_2_8)": twice("Cache-Control: max-age=60, proxy-revalidate", HIT),
        "no-cache is validated though fresh (5_2_2_4)": twice('Cache-Control: max-age=60, no-cache\nETag: "a"', VALIDATED),
        "no-cache by Last-Modified": twice("Cache-Control: max-age=60, no-cache\nLast-Modified: {-3600}", VALIDATED),
        "must-revalidate when the origin fails: an error, not the stale one (5_2_2_2)":
            [get('Cache-Control: max-age=0, must-revalidate, stale-if-error=60\nETag: "a"', MISS),
             get(None, ASKED, validation=(503, ""), check=lambda t, r: t.assertGreaterEqual(r.status, 500))],
        "proxy-revalidate when the origin fails (5_2_2_8)":
            [get('Cache-Control: max-age=0, proxy-revalidate, stale-if-error=60\nETag: "a"', MISS), get(None, ASKED, validation=(503, ""), status=503)],
        "s-maxage when the origin fails (5_2_2_10)":
            [get('Cache-Control: s-maxage=0, stale-if-error=60\nETag: "a"', MISS), get(None, ASKED, validation=(503, ""), status=503)],
        "no-cache when the origin fails (5_2_2_4)":
            [get('Cache-Control: max-age=60, no-cache, stale-if-error=60\nETag: "a"', MISS), get(None, ASKED, validation=(503, ""), status=503)],
        "stale when the origin fails and nothing allows it (4_2_4)":
            [get('Cache-Control: max-age=0\nETag: "a"', MISS), get(None, ASKED, validation=(503, ""), status=503)],
    }
