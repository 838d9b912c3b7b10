"""RFC 9111 section 3: what a shared cache stores, and of it what. Each row is two requests; the second tells."""
from lib.rows import ASKED, HIT, MISS, VALIDATED, RowsCase, ask, get, rows, twice

FRESH = "Cache-Control: max-age=60"


@rows
class Statuses(RowsCase):
    """3: the response status code is final. Explicit freshness makes each storable, unless the code's own definition or
    the cache's lack of understanding forbids."""
    rows = {}
    for _status in (200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 399, 400, 401, 402, 403, 404, 405, 406, 408, 409,
                    410, 414, 418, 422, 451, 499, 500, 501, 502, 503, 504, 505, 599):
        rows["%d with max-age is stored (3)" % _status] = twice(FRESH, HIT, answer=_status)
        rows["%d without any freshness is not stored (3)" % _status] = twice("", MISS, answer=_status)
    for _status in (206, 304, 416, 428, 429, 431, 511, 412):
        rows["%d is not stored for what did not ask for it (3)" % _status] = twice(FRESH, ASKED, answer=_status,
                                                                                  status=_status)
    rows.update({
        "a 201 with freshness is answered from the store at most for GET (9110 9_3_3)":
            [ask("POST", MISS, FRESH, answer=201), get(FRESH, MISS)],
        "421 is passed on (9110 15_5_20)": twice(FRESH, None, answer=421),
    })


@rows
class Methods(RowsCase):
    rows = {
        "GET is stored (3)": twice(FRESH, HIT),
        "POST is not answered from what a POST brought (9110 9_3_3)": [ask("POST", MISS, FRESH), ask("POST", MISS)],
        "POST does not store for GET without Content-Location (9110 9_3_3)": [ask("POST", MISS, FRESH), get(None, MISS)],
        "PUT brings nothing to the store (9110 9_3_4)": [ask("PUT", MISS, FRESH, request_body=b"x"), get(None, MISS)],
        "PATCH brings nothing to the store": [ask("PATCH", MISS, FRESH, request_body=b"x"), get(None, MISS)],
        "DELETE brings nothing to the store (9110 9_3_5)": [ask("DELETE", MISS, FRESH), get(None, MISS)],
        "OPTIONS is not cacheable (9110 9_3_7)": [ask("OPTIONS", MISS, FRESH), ask("OPTIONS", MISS), get(None, MISS)],
        "a method nobody knows is not cacheable (3)": [ask("FOO", MISS, FRESH), ask("FOO", MISS), get(None, MISS)],
        "PROPFIND is not cacheable": [ask("PROPFIND", MISS, FRESH), ask("PROPFIND", MISS), get(None, MISS)],
        "a method in lower case is another method (9110 9_1)": [get(FRESH, MISS), ask("get", MISS), get(None, ASKED)],
        "a stored GET answers HEAD (9111 3, 9110 9_3_2)": [get(FRESH, MISS), ask("HEAD", HIT, body=b"")],
        "a stored GET does not answer POST (4)": [get(FRESH, MISS), ask("POST", MISS)],
        "a stored GET does not answer DELETE (4)": [get(FRESH, MISS), ask("DELETE", MISS)],
        "a HEAD without a stored GET is asked of the origin as HEAD or GET": [ask("HEAD", MISS, FRESH, body=b"")],
        "a HEAD brings no content for GET (9110 9_3_2)": [ask("HEAD", MISS, FRESH, body=b""), get(None, MISS)],
    }


@rows
class Directives(RowsCase):
    """5.2.2: what keeps a response out of a shared cache."""
    rows = {
        "no-store (5_2_2_5)": twice("Cache-Control: no-store, max-age=60", MISS),
        "no-store after max-age (5_2_2_5)": twice("Cache-Control: max-age=60, no-store", MISS),
        "no-store on a line of its own (9110 5_3)": twice("Cache-Control: max-age=60\nCache-Control: no-store", MISS),
        "no-store in capitals (5_2)": twice("Cache-Control: max-age=60, No-StOrE", MISS),
        "No-Store in a field name in capitals (9110 5_1)": twice("CACHE-CONTROL: no-store, max-age=60", MISS),
        "no-store beats Expires": twice("Cache-Control: no-store\nExpires: {+60}", MISS),
        "no-store with an argument still counts": twice("Cache-Control: no-store=1, max-age=60", MISS),
        "private (5_2_2_7)": twice("Cache-Control: private, max-age=60", MISS),
        "private beats s-maxage (5_2_2_7)": twice("Cache-Control: private, s-maxage=60", MISS),
        "private beats public": twice("Cache-Control: public, private, max-age=60", MISS),
        "Private in capitals (5_2)": twice("Cache-Control: PRIVATE, max-age=60", MISS),
        "private with a field name is at least not served with the field (5_2_2_7)":
            [get('Cache-Control: private="x-secret", max-age=60\nX-Secret: 1', MISS),
             get(None, check=lambda t, r: t.assertFalse(r.hit and "x-secret" in r.fields))],
        "private with two field names": [get('Cache-Control: private="x-a, X-B", max-age=60\nX-A: 1\nX-B: 2', MISS),
                                         get(None, check=lambda t, r: t.assertFalse(
                                             r.hit and ("x-a" in r.fields or "x-b" in r.fields)))],
        "no-cache with a field name is validated or served without it (5_2_2_4)":
            [get('Cache-Control: no-cache="x-secret", max-age=60\nX-Secret: 1', MISS),
             get(None, check=lambda t, r: t.assertFalse(r.hit and "x-secret" in r.fields))],
        "private with a field name without quotes (5_2)":
            [get("Cache-Control: private=x-secret, max-age=60\nX-Secret: 1", MISS),
             get(None, check=lambda t, r: t.assertFalse(r.hit and "x-secret" in r.fields))],
        "no-cache with a field name without quotes (5_2)":
            [get("Cache-Control: no-cache=x-secret, max-age=60\nX-Secret: 1", MISS),
             get(None, check=lambda t, r: t.assertFalse(r.hit and "x-secret" in r.fields))],
        "no-cache without a validator is asked each time (5_2_2_4)": twice("Cache-Control: no-cache, max-age=60", MISS),
        "no-cache with a validator is validated each time (5_2_2_4)":
            [get('Cache-Control: no-cache, max-age=60\nETag: "a"', MISS), get(None, VALIDATED), get(None, VALIDATED)],
        "no-cache beats immutable": [get('Cache-Control: no-cache, immutable, max-age=60\nETag: "a"', MISS),
                                     get(None, VALIDATED)],
        "an unknown directive is ignored (5_2_3)": twice("Cache-Control: community=UCI, max-age=60", HIT),
        "an unknown directive with a quoted string is ignored (5_2_3)": twice('Cache-Control: a="b, no-store", max-age=60', HIT),
        "an unknown directive alone gives no freshness": twice("Cache-Control: foo", MISS),
        "an escaped quote does not end a quoted string (9110 5_6_4)":
            twice('Cache-Control: a="b\\", no-store, c=\\"", max-age=60', HIT),
        "a directive whose name only begins like one is another": twice("Cache-Control: no-storex, max-age=60", HIT),
        "a directive whose name only ends like one is another": twice("Cache-Control: xno-store, max-age=60", HIT),
        "empty members of the list are ignored (9110 5_6_1)": twice("Cache-Control: ,, max-age=60, ,", HIT),
        "no white space between directives": twice("Cache-Control: public,max-age=60", HIT),
        "tabs between directives (9110 5_6_3)": twice("Cache-Control: public,\tmax-age=60", HIT),
        "an empty Cache-Control line changes nothing": twice("Cache-Control: \nCache-Control: max-age=60", HIT),
        "public alone gives no freshness to a 200 without Last-Modified (5_2_2_9)": twice("Cache-Control: public", MISS),
        "must-understand with no-store and a known status may be stored (5_2_2_3)":
            [get("Cache-Control: must-understand, no-store, max-age=60", MISS), get(None)],
        "must-understand with no-store and an unknown status is not stored (5_2_2_3)":
            twice("Cache-Control: must-understand, no-store, max-age=60", MISS, answer=299),
        "must-understand and an unknown status is not stored (5_2_2_3)":
            twice("Cache-Control: must-understand, max-age=60", MISS, answer=499),
        "must-understand and a known status is stored (5_2_2_3)":
            twice("Cache-Control: must-understand, max-age=60", HIT, answer=404),
        "no-transform alone keeps nothing out (5_2_2_6)": twice("Cache-Control: no-transform, max-age=60", HIT),
        "Pragma in a response means nothing (5_4)": twice("Pragma: no-cache\nCache-Control: max-age=60", HIT),
        "Vary asterisk (4_1)": twice("Cache-Control: max-age=60\nVary: *", MISS),
        "Surrogate-Control is not for a cache that does not speak it": twice("Surrogate-Control: no-store\n" + FRESH, HIT),
        "Set-Cookie is not shared by default (7_3, policy)": twice(FRESH + "\nSet-Cookie: a=b", MISS),
    }


@rows
class Authorization(RowsCase):
    """3.5: what answers a request with Authorization is shared only when it says so."""
    WITH = "Authorization: Basic eDp5"
    rows = {
        "not stored (3_5)": twice(FRESH, MISS, request=WITH),
        "not served to others (3_5)": [get(FRESH, MISS, request=WITH), get(None, MISS)],
        "stored with public (5_2_2_9)": twice("Cache-Control: public, max-age=60", HIT, request=WITH),
        "stored with s-maxage (5_2_2_10)": twice("Cache-Control: s-maxage=60", HIT, request=WITH),
        "stored with must-revalidate (5_2_2_2)": twice("Cache-Control: must-revalidate, max-age=60", HIT, request=WITH),
        "not stored with proxy-revalidate alone (3_5)": twice("Cache-Control: proxy-revalidate, max-age=60", MISS, request=WITH),
        "served to others with public": [get("Cache-Control: public, max-age=60", MISS, request=WITH), get(None, HIT)],
        "what was stored for one without serves one with (3_5)": [get(FRESH, MISS), get(None, HIT, request=WITH)],
        "not stored with Expires alone": twice("Expires: {+60}", MISS, request=WITH),
        "no-store beats public": twice("Cache-Control: public, no-store, max-age=60", MISS, request=WITH),
        "a HEAD with it is not answered for others": [ask("HEAD", MISS, FRESH, request=WITH, body=b""), get(None, MISS)],
        "it reaches the origin (9110 11_6_2)": [get(FRESH, MISS, request=WITH, sent={"authorization": "Basic eDp5"})],
        "Cookie is no Authorization": twice(FRESH, HIT, request="Cookie: a=b"),
        "WWW-Authenticate does not keep a 401 out": twice(FRESH + "\nWWW-Authenticate: Basic realm=x", HIT, answer=401),
    }


@rows
class Incomplete(RowsCase):
    """3.3: an incomplete response is not used as a complete one."""
    rows = {
        "an empty content is complete": twice(FRESH, HIT, content=b""),
        "a 204 is complete": twice(FRESH, HIT, answer=204),
        "a chunked one is stored whole (9112 7_1)":
            [get(expect=MISS, raw=b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", body=b"hello"), get(None, HIT, body=b"hello")],
        "chunk extensions are not stored (9112 7_1_1)":
            [get(expect=MISS, raw=b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 b"5;a=b\r\nhello\r\n0;c\r\n\r\n", body=b"hello"), get(None, HIT, body=b"hello")],
        "trailers are not merged into the head (9110 6_5_1)":
            [get(expect=MISS, raw=b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 b"5\r\nhello\r\n0\r\nETag: \"t\"\r\nX-Trailer: 1\r\n\r\n", body=b"hello"),
             get(None, HIT, body=b"hello", fields={"etag": None, "x-trailer": None})],
        "one that ends with the connection is stored whole (9112 6_3)":
            [get(expect=MISS, raw=b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello", body=b"hello"),
             get(None, HIT, body=b"hello")],
        "one from HTTP/1.0 is stored": [get(expect=MISS, raw=b"HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n"
                                                             b"Content-Length: 5\r\n\r\nhello", body=b"hello"),
                                        get(None, HIT, body=b"hello")],
    }


@rows
class Fields(RowsCase):
    """3.1: every field is stored, but those of the connection."""
    rows = {
        "unknown fields are stored and their order kept (3_1)":
            twice(FRESH + "\nX-One: 1\nX-One: 2\nFoo: bar", HIT,
                  check=lambda t, r: t.assertEqual(r.fields.all("x-one"), ["1", "2"])),
        "Connection is not stored (3_1)": twice(FRESH + "\nConnection: keep-alive", HIT),
        "what Connection names is neither stored nor passed on (3_1, 9110 7_6_1)":
            [get(FRESH + "\nConnection: x-hop, X-Other\nX-Hop: 1\nX-OTHER: 2", MISS, fields={"x-hop": None, "x-other": None}),
             get(None, HIT, fields={"x-hop": None, "x-other": None})],
        "Keep-Alive is not stored (9110 7_6_1)": twice(FRESH + "\nKeep-Alive: timeout=5", HIT, fields={"keep-alive": None}),
        "Proxy-Connection is not stored (9110 7_6_1)":
            twice(FRESH + "\nProxy-Connection: keep-alive", HIT, fields={"proxy-connection": None}),
        "TE is not stored (9110 7_6_1)": twice(FRESH + "\nTE: trailers", HIT, fields={"te": None}),
        "Upgrade is not stored (9110 7_6_1)": twice(FRESH + "\nUpgrade: HTTP/2.0", HIT, fields={"upgrade": None}),
        "Proxy-Authenticate is not stored (3_1)":
            twice(FRESH + "\nProxy-Authenticate: Basic", HIT, fields={"proxy-authenticate": None}),
        "Proxy-Authentication-Info is not stored (3_1)":
            twice(FRESH + "\nProxy-Authentication-Info: a=b", HIT, fields={"proxy-authentication-info": None}),
        "Content-Type and others are stored (3_1)":
            twice(FRESH + "\nContent-Type: text/x\nContent-Language: de\nContent-Location: /x\nLink: </a>; rel=b", HIT,
                  fields={"content-type": "text/x", "content-language": "de", "content-location": "/x",
                          "link": "</a>; rel=b"}),
        "Warning is stored as any other (5_5)": twice(FRESH + '\nWarning: 110 - "x"', HIT, fields={"warning": '110 - "x"'}),
        "Date is kept (9110 6_6_1)": twice(FRESH + "\nDate: Sun, 06 Nov 2044 08:49:37 GMT", HIT,
                                          fields={"date": "Sun, 06 Nov 2044 08:49:37 GMT"}),
        "Cache-Control is passed on as it came (5_2)":
            twice("Cache-Control: max-age=60, community=UCI, foo=\"a, b\"", HIT,
                  fields={"cache-control": 'max-age=60, community=UCI, foo="a, b"'}),
        "Expires is passed on as it came": twice(FRESH + "\nExpires: 0", HIT, fields={"expires": "0"}),
        "Vary is passed on": twice(FRESH + "\nVary: Accept-Language, X", HIT, fields={"vary": "Accept-Language, X"}),
        "an ETag is passed on as it came": twice(FRESH + '\nETag: W/"x y\'"', HIT, fields={"etag": 'W/"x y\'"'}),
        "values with bytes beyond ASCII are kept": twice(FRESH + "\nX-Bytes: \xe4\xf6", HIT, fields={"x-bytes": "\xe4\xf6"}),
        "an empty value is kept": twice(FRESH + "\nX-Empty: ", HIT, fields={"x-empty": ""}),
        "Pragma is passed on": twice(FRESH + "\nPragma: x", HIT, fields={"pragma": "x"}),
        "Allow is kept in a stored 405": twice(FRESH + "\nAllow: GET", HIT, answer=405, fields={"allow": "GET"}),
        "Location is kept in a stored redirect": twice(FRESH + "\nLocation: /there", HIT, answer=301,
                                                      fields={"location": "/there"}),
        "Retry-After is kept in a stored 503": twice(FRESH + "\nRetry-After: 9", HIT, answer=503, fields={"retry-after": "9"}),
    }


@rows
class Interim(RowsCase):
    """9110 15.2: interim responses are passed on and never stored."""
    rows = {
        "103 is passed on (8297)":
            [get(FRESH, MISS, interim="103\nLink: </a>; rel=preload\n\n",
                 check=lambda t, r: t.assertEqual([i.status for i in r.interim], [103]))],
        "103 keeps its fields (8297)":
            [get(FRESH, MISS, interim="103\nLink: </a>; rel=preload\n\n",
                 check=lambda t, r: t.assertEqual(r.interim[0].fields.get("link"), "</a>; rel=preload"))],
        "102 is passed on": [get(FRESH, MISS, interim="102\n\n",
                                 check=lambda t, r: t.assertEqual([i.status for i in r.interim], [102]))],
        "an unknown one is passed on (9110 15_2)":
            [get(FRESH, MISS, interim="199\nX-A: b\n\n", check=lambda t, r: t.assertEqual([i.status for i in r.interim], [199]))],
        "several are passed on in order": [get(FRESH, MISS, interim="102\n\n103\nLink: </a>\n\n103\nLink: </b>\n\n",
                                               check=lambda t, r: t.assertEqual([i.status for i in r.interim], [102, 103, 103]))],
        "fields of an interim one are not those of the final one (9110 15_2)":
            [get(FRESH, MISS, interim="103\nX-Early: 1\n\n", fields={"x-early": None}), get(None, HIT, fields={"x-early": None})],
        "an interim one is not stored (3)":
            [get(FRESH, MISS, interim="103\nLink: </a>\n\n"), get(None, HIT, check=lambda t, r: t.assertEqual(r.interim, []))],
        "freshness in an interim one means nothing": [get("", MISS, interim="103\nCache-Control: max-age=60\n\n"), get(None, MISS)],
        "no-store in an interim one means nothing": [get(FRESH, MISS, interim="103\nCache-Control: no-store\n\n"), get(None, HIT)],
    }
