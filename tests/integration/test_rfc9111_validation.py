"""RFC 9111 4.3 and 3.2: asking the origin whether a stored response still holds, and what its answer changes."""
from lib.rows import ANY, ASKED, HIT, MISS, VALIDATED, RowsCase, ask, get, rows, twice

STALE = "Cache-Control: max-age=0"
FRESH = "Cache-Control: max-age=60"
TAG = '\nETag: "a"'
DATED = "\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT"


def stale(fields=TAG, answer=200, content=None):
    """A response that is stored and stale at once."""
    return get(STALE + fields, MISS, answer=answer, content=content)


def confirmed(answer, **kw):
    return get(None, VALIDATED, validation=(304, answer), **kw)


@rows
class Asking(RowsCase):
    """4.3.1: a conditional request with what was stored."""
    rows = {
        "an ETag in If-None-Match": [stale(), get(None, VALIDATED, sent={"if-none-match": '"a"'})],
        "a weak ETag in If-None-Match": [stale('\nETag: W/"a"'), get(None, VALIDATED, sent={"if-none-match": 'W/"a"'})],
        "an ETag with odd characters": [stale('\nETag: "a,b\'\\"'), get(None, VALIDATED, sent={"if-none-match": '"a,b\'\\"'})],
        "an empty ETag": [stale('\nETag: ""'), get(None, VALIDATED, sent={"if-none-match": '""'})],
        "a Last-Modified in If-Modified-Since":
            [stale(DATED), get(None, VALIDATED, sent={"if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT", "if-none-match": None})],
        "both": [stale(TAG + DATED), get(None, VALIDATED, sent={"if-none-match": '"a"', "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"})],
        "no validator: no condition": twice(STALE, MISS),
        "an ETag without quotes is none (9110 8_8_3)": [get(STALE + "\nETag: a", MISS), get(None, ASKED)],
        "a Last-Modified that is no date is none": [get(STALE + "\nLast-Modified: x", MISS), get(None, ASKED, sent={"if-modified-since": None})],
        "a fresh response is not validated": twice(FRESH + TAG, HIT),
        "what is stale by its Age is validated": [get(FRESH + "\nAge: 90" + TAG, MISS), get(FRESH, VALIDATED)],
        "what is stale by Expires is validated": [get("Expires: {-60}\nDate: {-120}" + TAG, MISS), get(FRESH, VALIDATED)],
        "a 404 with a validator is validated": [stale(answer=404), get(None, VALIDATED, status=404, body=b"answer 1")],
        "the client's own fields go along": [stale(), get(None, VALIDATED, request="X-Own: 1", sent={"x-own": "1"})],
        "a Range is not asked for with it": [stale(), get(None, ASKED, request="Range: bytes=0-2", status=0, sent={"range": None},
                                                         check=lambda t, r: t.assertIn(r.status, (200, 206)))],
        "a validation by HEAD does not lose the content": [stale(), ask("HEAD", ASKED, FRESH + TAG, body=b""), get(None, ANY, body=b"answer 1")],
    }


@rows
class Confirmed(RowsCase):
    """4.3.3 and 4.3.4: 304 frees the stored response, 3.2: and updates its fields."""
    rows = {
        "the stored content is sent": [stale(), confirmed(STALE + TAG, body=b"answer 1")],
        "it is fresh again": [stale(), confirmed(FRESH + TAG), get(None, HIT, body=b"answer 1")],
        "it is fresh again without an ETag in the 304": [stale(), confirmed(FRESH), get(None, HIT, body=b"answer 1")],
        "it is fresh again by Expires in the 304": [get("Expires: {-60}\nDate: {-120}" + TAG, MISS), confirmed("Expires: {+60}" + TAG), get(None, HIT)],
        "it is stale again when the 304 says so": [stale(), confirmed(STALE + TAG), confirmed(FRESH + TAG), get(None, HIT, body=b"answer 1")],
        "a 304 without any field makes max-age count anew": [
            get("Cache-Control: max-age=60\nAge: 70" + TAG, MISS), confirmed("", body=b"answer 1"), get(None, HIT, body=b"answer 1")],
        "a 304 without any field leaves stale what is always stale": [stale(), confirmed("", body=b"answer 1"), confirmed("", body=b"answer 1")],
        "a 304 that leaves Expires as it was leaves it stale": [
            get("Expires: {-60}\nDate: {-120}" + TAG, MISS), confirmed("Date: {0}", body=b"answer 1"), confirmed("Date: {0}", body=b"answer 1")],
        "its Age begins anew (4_2_3)": [get(FRESH + "\nAge: 90" + TAG, MISS), confirmed(FRESH + TAG, fields={"age": lambda v: v is None or int(v) < 20}),
                                        get(None, HIT, fields={"age": lambda v: int(v) < 20})],
        "the Age of the 304 counts": [stale(), confirmed(FRESH + TAG + "\nAge: 90"), get(None, VALIDATED, validation=(304, FRESH + TAG))],
        "the Age of the 304 is told": [stale(), confirmed("Cache-Control: max-age=600" + TAG + "\nAge: 90"),
                                       get(None, HIT, fields={"age": lambda v: int(v) >= 90})],
        "the Date of the 304 replaces the stored one": [get(STALE + TAG + "\nDate: {-100}", MISS), confirmed(FRESH + TAG + "\nDate: Sun, 06 Nov 2044 08:49:37 GMT"),
                                                        get(None, HIT, fields={"date": "Sun, 06 Nov 2044 08:49:37 GMT"})],
        "a field of the 304 replaces the stored one (3_2)":
            [stale(TAG + "\nX-A: old"), confirmed(FRESH + TAG + "\nX-A: new", fields={"x-a": "new"}), get(None, HIT, fields={"x-a": "new"})],
        "a field of the 304 replaces all stored lines of its name (3_2)":
            [stale(TAG + "\nX-A: 1\nX-A: 2"), confirmed(FRESH + TAG + "\nX-A: 3", fields={"x-a": "3"}), get(None, HIT, fields={"x-a": "3"})],
        "all lines of a field of the 304 are taken (3_2)":
            [stale(TAG + "\nX-A: 1"), confirmed(FRESH + TAG + "\nX-A: 2\nX-A: 3"), get(None, HIT, fields={"x-a": "2, 3"})],
        "a field only the 304 has is added (3_2)": [stale(), confirmed(FRESH + TAG + "\nX-New: 1", fields={"x-new": "1"}), get(None, HIT, fields={"x-new": "1"})],
        "a field only the stored one has is kept (3_2)": [stale(TAG + "\nX-A: old"), confirmed(FRESH + TAG), get(None, HIT, fields={"x-a": "old"})],
        "Content-Type is updated (3_2)": [stale(TAG + "\nContent-Type: text/a"), confirmed(FRESH + TAG + "\nContent-Type: text/b"),
                                          get(None, HIT, fields={"content-type": "text/b"})],
        "Content-Length is not updated (3_2)": [stale(), confirmed(FRESH + TAG + "\nContent-Length: 8"), get(None, HIT, fields={"content-length": "8"})],
        "Content-Encoding is not updated (3_2)": [stale(), confirmed(FRESH + TAG + "\nContent-Encoding: gzip"), get(None, HIT, fields={"content-encoding": None})],
        "Content-Range is not updated (3_2)": [stale(), confirmed(FRESH + TAG + "\nContent-Range: bytes 0-1/2"), get(None, HIT, fields={"content-range": None})],
        "Set-Cookie makes it the asker's alone, by policy": [stale(), confirmed(FRESH + TAG + "\nSet-Cookie: a=b"), get(None, ASKED)],
        "what Connection names in the 304 is not taken (3_1)":
            [stale(TAG + "\nX-A: old"), confirmed(FRESH + TAG + "\nConnection: x-a\nX-A: new"), get(None, HIT, fields={"x-a": "old"})],
        "Cache-Control is replaced as a whole": [get("Cache-Control: max-age=0, foo" + TAG, MISS), confirmed(FRESH + TAG),
                                                 get(None, HIT, fields={"cache-control": "max-age=60"})],
        "a no-store in the 304 ends storing": [stale(), confirmed("Cache-Control: no-store" + TAG, body=b"answer 1"), get(FRESH, ASKED)],
        "a private in the 304 ends sharing": [stale(), confirmed("Cache-Control: private, max-age=60" + TAG), get(FRESH, ASKED)],
        "Vary from the 304 counts": [stale(), confirmed(FRESH + TAG + "\nVary: Foo", request="Foo: 1"), get(None, HIT, request="Foo: 1"),
                                     get(None, ASKED, request="Foo: 2")],
        "a 304 about something else is not used (4_3_4)":
            [stale(), get(None, None, validation=(304, FRESH + '\nETag: "z"'), status=200,
                          check=lambda t, r: t.assertEqual((r.fields.get("etag"), r.body), ('"a"', b"answer 3")))],
        "by Last-Modified alone": [stale(DATED), confirmed(FRESH), get(None, HIT, body=b"answer 1")],
        "by Last-Modified that the 304 repeats": [stale(DATED), confirmed(FRESH + DATED), get(None, HIT, body=b"answer 1")],
        "a weak tag confirmed by the weak tag": [stale('\nETag: W/"a"'), confirmed(FRESH + '\nETag: W/"a"'), get(None, HIT, body=b"answer 1")],
        "a strong tag confirmed by its weak form is of no strong use": [stale(), confirmed(FRESH + '\nETag: W/"a"', body=b"answer 1")],
        "a client that has it gets 304": [stale(), confirmed(FRESH + TAG, request='If-None-Match: "a"', status=304, body=b"")],
        "a client that has another gets the whole": [stale(), confirmed(FRESH + TAG, request='If-None-Match: "z"', status=200, body=b"answer 1")],
        "HEAD is answered from it after that": [stale(), confirmed(FRESH + TAG), ask("HEAD", HIT, body=b"", fields={"etag": '"a"'})],
    }


@rows
class Replaced(RowsCase):
    """4.3.3: any other answer."""
    rows = {
        "a 200 replaces it": [stale(), get(None, VALIDATED, validation=(200, FRESH + '\nETag: "b"'), body=b"answer 2"),
                              get(None, HIT, body=b"answer 2", fields={"etag": '"b"'})],
        "a 200 with the same tag replaces it too": [stale(), get(None, VALIDATED, validation=(200, FRESH + TAG), body=b"answer 2"), get(None, HIT, body=b"answer 2")],
        "nothing of the old fields stays": [stale(TAG + "\nX-Old: 1"), get(None, VALIDATED, validation=(200, FRESH), fields={"x-old": None}),
                                            get(None, HIT, fields={"x-old": None})],
        "a 404 is passed on": [stale(), get(None, VALIDATED, validation=(404, FRESH)), get(None, HIT, body=b"answer 2", status=404)],
        "a 410 is passed on": [stale(), get(None, VALIDATED, validation=(410, "")), get(None, ASKED, validation=(410, ""))],
        "a 500 is passed on, or the stale one is served where allowed": [stale(), get(None, VALIDATED, validation=(500, ""), status=500)],
        "a 503 is passed on": [stale(), get(None, VALIDATED, validation=(503, ""), status=503)],
        "after an error it is validated again": [stale(), get(None, VALIDATED, validation=(503, ""), status=503), confirmed(FRESH + TAG, body=b"answer 1")],
        "a redirect is passed on": [stale(), get(None, VALIDATED, validation=(302, "Location: /b"), fields={"location": "/b"})],
        "a 200 that may not be stored is for the asker, and what was stored is not served":
            [stale(), get(None, VALIDATED, validation=(200, "Cache-Control: no-store"), body=b"answer 2"), get("Cache-Control: no-store", ASKED)],
    }


@rows
class Head(RowsCase):
    """4.3.5: a HEAD may freshen or invalidate a stored GET."""
    rows = {
        "HEAD with the same tag keeps it": [get(FRESH + TAG, MISS), ask("HEAD", HIT, body=b""), get(None, HIT)],
        "HEAD of a stale one with another tag makes it unusable":
            [stale(), ask("HEAD", ASKED, None, validation=(200, FRESH + '\nETag: "b"'), body=b""), get(None, ASKED, validation=(200, FRESH + '\nETag: "b"'))],
        "HEAD of a stale one with another Content-Length makes it unusable":
            [stale(), ask("HEAD", ASKED, None, validation=(200, FRESH + TAG + "\nContent-Length: 99"), body=b""), get(None, ASKED)],
        "HEAD sends no content": [get(FRESH, MISS), ask("HEAD", HIT, body=b"", fields={"content-length": "8"})],
        "HEAD to a URI that is not stored reaches the origin": [ask("HEAD", MISS, FRESH, body=b"")],
        "HEAD that is answered 404 is no GET": [ask("HEAD", MISS, FRESH, answer=404, body=b""), get(FRESH, MISS)],
    }
