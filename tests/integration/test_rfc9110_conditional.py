"""RFC 9110 13 and RFC 9111 4.3.2: conditional requests of clients, answered from what is stored."""
from lib.rows import ANY, ASKED, HIT, MISS, VALIDATED, RowsCase, ask, get, rows

FRESH = "Cache-Control: max-age=60"
TAG = '\nETag: "a"'
WEAK = '\nETag: W/"a"'
THEN = "Sun, 06 Nov 1994 08:49:37 GMT"
DATED = "\nLast-Modified: " + THEN


def stored(response, request, status, method="GET", answer=200, **kw):
    """A fresh stored response, and a conditional request that it answers with `status`."""
    return [get(FRESH + response, MISS, answer=answer),
            ask(method, HIT, request=request, status=status, body=b"" if status == 304 or method == "HEAD" else b"answer 1", **kw)]


@rows
class IfNoneMatch(RowsCase):
    """13.1.2, by weak comparison (8.8.3.2)."""
    rows = {
        "the same tag": stored(TAG, 'If-None-Match: "a"', 304),
        "another tag": stored(TAG, 'If-None-Match: "b"', 200),
        "the case of a tag counts": stored(TAG, 'If-None-Match: "A"', 200),
        "the weak form of a strong one": stored(TAG, 'If-None-Match: W/"a"', 304),
        "the strong form of a weak one": stored(WEAK, 'If-None-Match: "a"', 304),
        "weak and weak": stored(WEAK, 'If-None-Match: W/"a"', 304),
        "weak and another": stored(WEAK, 'If-None-Match: W/"b"', 200),
        "a lower-case w is no tag (8_8_3)": stored(WEAK, 'If-None-Match: w/"a"', 200),
        "in a list": stored(TAG, 'If-None-Match: "x", "a", "y"', 304),
        "last in a list": stored(TAG, 'If-None-Match: "x", W/"y", "a"', 304),
        "in a list without spaces": stored(TAG, 'If-None-Match: "x","a"', 304),
        "in a list with odd spaces": stored(TAG, 'If-None-Match: "x" ,\t"a" ,', 304),
        "in a list with empty members (5_6_1)": stored(TAG, 'If-None-Match: ,, "a"', 304),
        "not in a list": stored(TAG, 'If-None-Match: "x", "y"', 200),
        "on the second line": stored(TAG, 'If-None-Match: "x"\nIf-None-Match: "a"', 304),
        "asterisk": stored(TAG, "If-None-Match: *", 304),
        "asterisk without a stored tag": stored("", "If-None-Match: *", 304),
        "a tag without quotes is none": stored(TAG, "If-None-Match: a", 200),
        "a tag with a comma in it": stored('\nETag: "a,b"', 'If-None-Match: "a,b"', 304),
        "a part of a tag with a comma is another": stored('\nETag: "a,b"', 'If-None-Match: "a", "b"', 200),
        "a tag with a backslash, which escapes nothing": stored('\nETag: "a\\"', 'If-None-Match: "a\\"', 304),
        "a tag with bytes beyond ASCII": stored('\nETag: "\xe4"', 'If-None-Match: "\xe4"', 304),
        "the empty tag": stored('\nETag: ""', 'If-None-Match: ""', 304),
        "a stored tag without quotes matches nothing": stored("\nETag: a", "If-None-Match: a", 200),
        "no stored tag": stored("", 'If-None-Match: "a"', 200),
        "it decides alone over If-Modified-Since (13_1_3)": stored(TAG + DATED, 'If-None-Match: "b"\nIf-Modified-Since: ' + THEN, 200),
        "it decides alone, also that way (13_1_3)": stored(TAG + DATED, 'If-None-Match: "a"\nIf-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT', 304),
        "also an unusable one makes If-Modified-Since void (13_1_3)": stored(DATED, 'If-None-Match: "a"\nIf-Modified-Since: ' + THEN, 200),
        "HEAD": stored(TAG, 'If-None-Match: "a"', 304, "HEAD"),
        "HEAD with another tag": stored(TAG, 'If-None-Match: "b"', 200, "HEAD"),
        "a stored 404 is not for conditions (13_2_1)": stored(TAG, 'If-None-Match: "a"', 404, answer=404),
        "a stored redirect is not for conditions (13_2_1)": stored(TAG, 'If-None-Match: "a"', 301, answer=301),
    }


@rows
class IfModifiedSince(RowsCase):
    """13.1.3"""
    rows = {
        "the same date": stored(DATED, "If-Modified-Since: " + THEN, 304),
        "a later date": stored(DATED, "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT", 304),
        "a second later": stored(DATED, "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT", 304),
        "a second earlier": stored(DATED, "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
        "an earlier date": stored(DATED, "If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT", 200),
        "the form of RFC 850 (5_6_7)": stored(DATED, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
        "the form of RFC 850, earlier": stored(DATED, "If-Modified-Since: Saturday, 29-Oct-94 19:43:31 GMT", 200),
        "the form of asctime (5_6_7)": stored(DATED, "If-Modified-Since: Sun Nov  6 08:49:37 1994", 304),
        "the form of asctime, earlier": stored(DATED, "If-Modified-Since: Sat Oct 29 19:43:31 1994", 200),
        "a stored date in the form of asctime": stored("\nLast-Modified: Sun Nov  6 08:49:37 1994", "If-Modified-Since: " + THEN, 304),
        "a stored date in the form of RFC 850": stored("\nLast-Modified: Sunday, 06-Nov-94 08:49:37 GMT", "If-Modified-Since: " + THEN, 304),
        "no date is ignored (13_1_3)": stored(DATED, "If-Modified-Since: yesterday", 200),
        "0 is ignored": stored(DATED, "If-Modified-Since: 0", 200),
        "empty is ignored": stored(DATED, "If-Modified-Since: ", 200),
        "no Last-Modified: Date counts (9111 4_3_2)": stored("\nDate: {-30}", "If-Modified-Since: {-10}", 304),
        "no Last-Modified: Date counts, earlier (9111 4_3_2)": stored("\nDate: {-30}", "If-Modified-Since: {-50}", 200),
        "HEAD": stored(DATED, "If-Modified-Since: " + THEN, 304, "HEAD"),
        "a stored 404 is not for conditions (13_2_1)": stored(DATED, "If-Modified-Since: " + THEN, 404, answer=404),
        "in the future (13_1_3)": stored(DATED, "If-Modified-Since: {+86400}", 304),
    }


@rows
class NotModified(RowsCase):
    """15.4.5: what a 304 made by the cache carries."""
    ALL = TAG + DATED + "\nContent-Location: /there\nExpires: Thu, 18 Aug 2050 02:01:18 GMT\nVary: X-Foo\nContent-Type: text/x\nX-Own: 1"
    ASK = 'If-None-Match: "a"'
    rows = {
        "ETag": stored(ALL, ASK, 304, fields={"etag": '"a"'}),
        "Date": stored(ALL + "\nDate: Sun, 06 Nov 2044 08:49:37 GMT", ASK, 304, fields={"date": "Sun, 06 Nov 2044 08:49:37 GMT"}),
        "Cache-Control": stored(ALL, ASK, 304, fields={"cache-control": "max-age=60"}),
        "Expires": stored(ALL, ASK, 304, fields={"expires": "Thu, 18 Aug 2050 02:01:18 GMT"}),
        "Vary": stored(ALL, ASK, 304, fields={"vary": "X-Foo"}),
        "Content-Location": stored(ALL, ASK, 304, fields={"content-location": "/there"}),
        "Age": stored(ALL, ASK, 304, fields={"age": lambda v: v is not None}),
        "not Content-Type": stored(ALL, ASK, 304, fields={"content-type": None}),
        "not Content-Length of no content, or the right one": stored(ALL, ASK, 304, fields={"content-length": lambda v: v in (None, "8")}),
        "Last-Modified where there is no ETag": stored(DATED, "If-Modified-Since: " + THEN, 304, fields={"last-modified": THEN}),
        "no content": stored(ALL, ASK, 304),
    }


@rows
class Forwarded(RowsCase):
    """Nothing is stored, or it is stale: what becomes of the client's condition."""
    rows = {
        "nothing stored: the client gets 304 or the whole": [get(FRESH + TAG, ASKED, request='If-None-Match: "a"', validation=(304, FRESH + TAG),
                                                                check=lambda t, r: t.assertIn(r.status, (200, 304)), status=0)],
        "nothing stored: what a condition brought does not spoil the store": [
            get(FRESH + TAG, None, request='If-None-Match: "a"', validation=(304, FRESH + TAG), status=0), get(None, None, status=200, check=
                lambda t, r: t.assertRegex(r.body, rb"^answer \d$"))],
        "stale: the origin confirms, the client has it: 304": [
            get("Cache-Control: max-age=0" + TAG, MISS), get(None, VALIDATED, request='If-None-Match: "a"', validation=(304, FRESH + TAG), status=304)],
        "stale: the origin confirms, the client has another: 200": [
            get("Cache-Control: max-age=0" + TAG, MISS), get(None, VALIDATED, request='If-None-Match: "b"', validation=(304, FRESH + TAG), status=200,
                                                             body=b"answer 1")],
        "stale: the origin has a new one, which the client has: 304 or the whole": [
            get("Cache-Control: max-age=0" + TAG, MISS),
            get(None, ASKED, request='If-None-Match: "b"', validation=(200, FRESH + '\nETag: "b"'), status=0,
                check=lambda t, r: t.assertIn(r.status, (200, 304))),
            get(None, HIT, body=b"answer 2")],
        "a POST keeps its conditions (13_2_1)": [ask("POST", MISS, "", request='If-None-Match: *', validation="ignored", sent={"if-none-match": "*"})],
        "a PUT keeps If-Match (13_1_1)": [ask("PUT", MISS, "", request='If-Match: "a"', request_body=b"x", sent={"if-match": '"a"'})],
        "a PUT keeps If-Unmodified-Since (13_1_4)": [
            ask("PUT", MISS, "", request="If-Unmodified-Since: " + THEN, request_body=b"x", sent={"if-unmodified-since": THEN})],
        "a 412 to a PUT is passed on": [ask("PUT", MISS, "", request='If-Match: "a"', request_body=b"x", answer=412)],
        "a 412 is not stored": [get(FRESH, ANY, request='If-Match: "a"', answer=412, status=0), get(FRESH, ASKED)],
    }


@rows
class IfMatch(RowsCase):
    """13.1.1, 13.1.4: are for origins; a cache may leave them alone or forward, but not answer wrongly."""
    rows = {
        "If-Match that holds": [get(FRESH + TAG, MISS), get(None, ANY, request='If-Match: "a"', status=200)],
        "If-Match that does not hold: the origin's 412, or the stored response (13_2_1)": [
            get(FRESH + TAG, MISS), get("", ANY, request='If-Match: "b"', answer=412, status=0, check=lambda t, r: t.assertIn(r.status, (200, 412)))],
        "If-Unmodified-Since that holds": [get(FRESH + DATED, MISS), get(None, ANY, request="If-Unmodified-Since: " + THEN, status=200)],
    }
