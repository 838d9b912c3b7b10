"""RFC 9111 3.3 and 3.4, RFC 9110 14 and 13.1.5: ranges, from what is stored, and what parts do to the store."""
from lib.case import table
from lib.rows import ANY, ASKED, HIT, MISS, VALIDATED, RowsCase, ask, get, rows

FRESH = "Cache-Control: max-age=60"
TAG = '\nETag: "a"'
WEAK = '\nETag: W/"a"'
THEN = "Sun, 06 Nov 1994 08:49:37 GMT"
DATED = "\nLast-Modified: " + THEN
BODY = b"0123456789"
PART = (b"HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\n"
        b"Content-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\n0123")


def stored(value, status, body, range_of=None, response=FRESH, request="", **kw):
    """A stored response of ten bytes, and a range of it."""
    fields = dict(kw.pop("fields", {}), **{"content-range": range_of})
    return [get(response, MISS, content=BODY),
            get(None, HIT, request="Range: " + value + request, status=status, body=body, fields=fields, **kw)]


def whole(value, **kw):
    """The range is not heeded: 200."""
    return stored(value, 200, BODY, **kw)


@rows
class Single(RowsCase):
    """14.1.2, 14.2, 15.3.7"""
    rows = {
        "the first bytes": stored("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        "in the middle": stored("bytes=2-5", 206, b"2345", "bytes 2-5/10"),
        "one byte": stored("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        "the last byte": stored("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        "to the end": stored("bytes=6-", 206, b"6789", "bytes 6-9/10"),
        "beyond the end (14_1_2)": stored("bytes=6-99", 206, b"6789", "bytes 6-9/10"),
        "far beyond the end (14_1_2)": stored("bytes=6-99999999999999999999", 206, b"6789", "bytes 6-9/10"),
        "the last three (14_1_2)": stored("bytes=-3", 206, b"789", "bytes 7-9/10"),
        "the last hundred of ten (14_1_2)": stored("bytes=-100", 206, BODY, "bytes 0-9/10"),
        "all of it": stored("bytes=0-", 206, BODY, "bytes 0-9/10"),
        "the unit without case (14_1)": stored("BYTES=0-3", 206, b"0123", "bytes 0-3/10"),
        "its length is told (8_6)": stored("bytes=0-3", 206, b"0123", "bytes 0-3/10", fields={"content-length": "4"}),
        "its fields are those of a 200 (15_3_7)": stored("bytes=0-3", 206, b"0123", "bytes 0-3/10", response=FRESH + TAG + "\nContent-Type: text/x\nX-Own: 1",
                                                         fields={"etag": '"a"', "content-type": "text/x", "x-own": "1", "cache-control": "max-age=60"}),
        "its age is told (9111 5_1)": stored("bytes=0-3", 206, b"0123", "bytes 0-3/10", fields={"age": lambda v: v is not None}),
        "beginning at the end is not satisfiable (15_5_17)": stored("bytes=10-", 416, None, "bytes */10"),
        "beginning beyond the end is not satisfiable (15_5_17)": stored("bytes=20-30", 416, None, "bytes */10"),
        "the last zero bytes are not satisfiable (14_1_2)": stored("bytes=-0", 416, None, "bytes */10"),
        "an unknown unit is ignored (14_2)": whole("lines=0-3"),
        "an end before the beginning is invalid and ignored (14_1_1)": whole("bytes=5-2"),
        "no numbers are invalid": whole("bytes=-"),
        "letters are invalid": whole("bytes=a-b"),
        "nothing is invalid": whole("bytes="),
        "no unit is invalid": whole("0-3"),
        "a space inside is invalid": whole("bytes=0 -3"),
        "a negative beginning is invalid": whole("bytes=--3"),
        "an empty content has no range": [get(FRESH, MISS, content=b""), get(None, HIT, request="Range: bytes=0-0", status=0, body=b"",
                                                                            check=lambda t, r: t.assertIn(r.status, (200, 416)))],
    }


@rows
class Methods(RowsCase):
    """14.2: Range is for GET alone."""
    rows = {
        "HEAD ignores it": [get(FRESH, MISS, content=BODY), ask("HEAD", HIT, request="Range: bytes=0-3", status=200, body=b"",
                                                               fields={"content-length": "10", "content-range": None})],
        "POST passes it on or not, and answers as the origin does": [ask("POST", MISS, "", request="Range: bytes=0-3", status=200)],
        "a stored 404 has no parts": [get(FRESH, MISS, content=BODY, answer=404), get(None, HIT, request="Range: bytes=0-3", status=404, body=BODY)],
        "a stored 301 has no parts": [get(FRESH, MISS, content=BODY, answer=301), get(None, HIT, request="Range: bytes=0-3", status=301, body=BODY)],
        "If-None-Match that holds comes first (13_2_2)": [get(FRESH + TAG, MISS, content=BODY),
                                                          get(None, HIT, request='Range: bytes=0-3\nIf-None-Match: "a"', status=304, body=b"")],
        "If-None-Match of another lets the range be (13_2_2)": [get(FRESH + TAG, MISS, content=BODY),
                                                                get(None, HIT, request='Range: bytes=0-3\nIf-None-Match: "b"', status=206, body=b"0123")],
        "If-Modified-Since comes first (13_2_2)": [get(FRESH + DATED, MISS, content=BODY),
                                                   get(None, HIT, request="Range: bytes=0-3\nIf-Modified-Since: " + THEN, status=304, body=b"")],
    }


@rows
class IfRange(RowsCase):
    """13.1.5: by strong comparison, or the exact date; else the whole."""
    rows = {
        "the same tag": stored("bytes=0-3", 206, b"0123", "bytes 0-3/10", response=FRESH + TAG, request='\nIf-Range: "a"'),
        "another tag": whole("bytes=0-3", response=FRESH + TAG, request='\nIf-Range: "b"'),
        "a weak tag is never the same": whole("bytes=0-3", response=FRESH + WEAK, request='\nIf-Range: W/"a"'),
        "the strong form of a weak one": whole("bytes=0-3", response=FRESH + WEAK, request='\nIf-Range: "a"'),
        "no tag stored": whole("bytes=0-3", request='\nIf-Range: "a"'),
        "the same date": stored("bytes=0-3", 206, b"0123", "bytes 0-3/10", response=FRESH + DATED, request="\nIf-Range: " + THEN),
        "a later date is not the same": whole("bytes=0-3", response=FRESH + DATED, request="\nIf-Range: Mon, 07 Nov 1994 08:49:37 GMT"),
        "an earlier date": whole("bytes=0-3", response=FRESH + DATED, request="\nIf-Range: Sat, 29 Oct 1994 19:43:31 GMT"),
        "no date stored": whole("bytes=0-3", request="\nIf-Range: " + THEN),
        "no date and no tag": whole("bytes=0-3", response=FRESH + TAG + DATED, request="\nIf-Range: a"),
        "without Range it is ignored": [get(FRESH + TAG, MISS, content=BODY), get(None, HIT, request='If-Range: "b"', status=200, body=BODY)],
        "an unsatisfiable range under another tag is the whole": whole("bytes=20-", response=FRESH + TAG, request='\nIf-Range: "b"'),
    }


@table
class Multiple(RowsCase):
    """14.6, 15.3.7.2: multipart/byteranges, or the whole."""
    def row(self, value, parts):
        super().row(get(FRESH + "\nContent-Type: text/x", MISS, content=BODY),
                    get(None, HIT, request="Range: bytes=" + value, status=0, check=lambda t, r: self.check(r, parts)))

    def check(self, r, parts):
        if r.status == 200:  # allowed for any (14_2)
            return self.assertEqual(r.body, BODY)
        self.assertEqual(r.status, 206)
        if len(parts) == 1 and "content-range" in r.fields:  # one satisfiable range is sent as one
            return self.assertEqual((r.fields["content-range"], r.body), ("bytes %s/10" % parts[0][0], parts[0][1]))
        kind, _, boundary = r.fields["content-type"].partition("boundary=")
        self.assertTrue(kind.startswith("multipart/byteranges"))
        self.assertNotIn("content-range", r.fields)
        sections = r.body.split(b"\r\n--" + boundary.strip('"').encode())
        self.assertEqual(sections[-1].strip(), b"--")
        first = sections[0]
        self.assertTrue(first == b"" or first.startswith(b"--" + boundary.strip('"').encode()), r.body)
        sections = [s for s in ([first.split(boundary.strip('"').encode(), 1)[1]] if first else []) + sections[1:-1]]
        got = []
        for section in sections:
            head, _, body = section.partition(b"\r\n\r\n")
            fields = {n.strip().lower(): v.strip() for n, _, v in (l.partition(b":") for l in head.split(b"\r\n") if l)}
            self.assertEqual(fields.get(b"content-type"), b"text/x")
            got.append((fields[b"content-range"].decode(), body))
        self.assertEqual(got, [("bytes %s/10" % r, b) for r, b in parts])

    rows = {
        "two": ("0-1,4-5", [("0-1", b"01"), ("4-5", b"45")]),
        "three with spaces": ("0-0, 4-5 , -1", [("0-0", b"0"), ("4-5", b"45"), ("9-9", b"9")]),
        "in the order asked for": ("4-5,0-1", [("4-5", b"45"), ("0-1", b"01")]),
        "one that is not satisfiable is left out": ("0-1,20-30", [("0-1", b"01")]),
        "with an open one": ("0-1,8-", [("0-1", b"01"), ("8-9", b"89")]),
    }


@rows
class Misses(RowsCase):
    """A range of what is not stored: the part or the whole, and nothing false in the store."""
    rows = {
        "the client gets the part or the whole":
            [get(FRESH, ASKED, request="Range: bytes=0-3", content=BODY, status=0, check=lambda t, r: t.assertIn((r.status, r.body), ((200, BODY), (206, b"0123"))))],
        "a part is not the whole afterwards (3_3)": [get(FRESH, ASKED, request="Range: bytes=0-3", content=BODY, status=0),
                                                     get(FRESH, None, content=BODY, status=200, body=BODY)],
        "a 206 nobody asked for is not the whole afterwards (3_3)": [
            get(FRESH + "\nContent-Range: bytes 0-3/10", None, answer=206, content=b"0123", status=0), get(FRESH, ASKED, content=BODY, status=200, body=BODY)],
        "an origin that sends the part whatever it is asked (15_3_7)": [
            get(FRESH, ANY, request="Range: bytes=0-3", raw=PART, status=206, body=b"0123", fields={"content-range": "bytes 0-3/10"}),
            get(FRESH, ANY, request="Range: bytes=0-3", raw=PART, status=206, body=b"0123", fields={"content-range": "bytes 0-3/10"})],
        "the whole after such a part (3_3)": [
            get(FRESH, ANY, request="Range: bytes=0-3", raw=PART, status=206, body=b"0123"), get(FRESH, ASKED, content=BODY, body=BODY)],
        "a 416 is not stored": [get(FRESH + "\nContent-Range: bytes */10", None, answer=416, request="Range: bytes=20-", status=0, content=b""),
                                get(FRESH, ASKED, content=BODY, status=200, body=BODY)],
        "a stale one under the same tag is validated": [get("Cache-Control: max-age=0" + TAG, MISS, content=BODY),
                                                        get(None, VALIDATED, request="Range: bytes=0-3", validation=(304, FRESH + TAG), status=206, body=b"0123")],
        "a stale one that was replaced: the part or the whole of the new one": [
            get("Cache-Control: max-age=0" + TAG, MISS, content=BODY),
            get(None, ASKED, request="Range: bytes=0-3", validation=(200, FRESH + '\nETag: "b"'), content=b"abcdefghij", status=0,
                check=lambda t, r: t.assertIn((r.status, r.body), ((200, b"abcdefghij"), (206, b"abcd"))))],
    }
