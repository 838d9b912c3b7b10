"""RFC 9111 4.1 and RFC 9110 12.5.5: which stored response a request selects."""
from lib.rows import ASKED, HIT, MISS, RowsCase, ask, get, rows

FRESH = "Cache-Control: max-age=60"


def varying(fields, first, second, expect):
    """Two requests that differ as told, and what the second one finds."""
    return [get(FRESH + "\nVary: " + fields.replace("\n", "\nVary: "), MISS, request=first), get(None, expect, request=second)]


@rows
class Matching(RowsCase):
    """4.1: all fields named must match, normalised where that changes no meaning."""
    rows = {
        "the same value matches": varying("Foo", "Foo: 1", "Foo: 1", HIT),
        "another value does not": varying("Foo", "Foo: 1", "Foo: 2", MISS),
        "absent and present do not match": varying("Foo", "", "Foo: 1", MISS),
        "present and absent do not match": varying("Foo", "Foo: 1", "", MISS),
        "absent matches absent": varying("Foo", "", "", HIT),
        "absent and empty do not match": varying("Foo", "", "Foo: ", MISS),
        "the case of a name in Vary does not count": varying("fOO", "Foo: 1", "Foo: 1", HIT),
        "the case of a name in Vary does not hide it": varying("fOO", "Foo: 1", "Foo: 2", MISS),
        "the case of a name in the request does not count": varying("Foo", "FOO: 1", "foo: 1", HIT),
        "the case of a value counts where nothing is known of it": varying("Foo", "Foo: a", "Foo: A", MISS),
        "two fields, both the same": varying("Foo, Bar", "Foo: 1\nBar: 2", "Foo: 1\nBar: 2", HIT),
        "two fields, the first differs": varying("Foo, Bar", "Foo: 1\nBar: 2", "Foo: 9\nBar: 2", MISS),
        "two fields, the second differs": varying("Foo, Bar", "Foo: 1\nBar: 2", "Foo: 1\nBar: 9", MISS),
        "two fields, one is absent": varying("Foo, Bar", "Foo: 1\nBar: 2", "Foo: 1", MISS),
        "two fields in another order in the request": varying("Foo, Bar", "Foo: 1\nBar: 2", "Bar: 2\nFoo: 1", HIT),
        "three fields, all the same": varying("A1, A2, A3", "A1: 1\nA2: 2\nA3: 3", "A1: 1\nA2: 2\nA3: 3", HIT),
        "three fields, the last differs": varying("A1, A2, A3", "A1: 1\nA2: 2\nA3: 3", "A1: 1\nA2: 2\nA3: 4", MISS),
        "two lines of Vary, both the same": varying("Foo\nBar", "Foo: 1\nBar: 2", "Foo: 1\nBar: 2", HIT),
        "two lines of Vary, the second differs": varying("Foo\nBar", "Foo: 1\nBar: 2", "Foo: 1\nBar: 9", MISS),
        "a name said twice": varying("Foo, Foo", "Foo: 1", "Foo: 1", HIT),
        "empty members in Vary": varying(", Foo,,", "Foo: 1", "Foo: 2", MISS),
        "an empty Vary is as none": varying("", "Foo: 1", "Foo: 2", HIT),
        "fields Vary does not name do not count": varying("Foo", "Foo: 1\nBar: 1", "Foo: 1\nBar: 2", HIT),
        "lines combined into one match two lines (4_1)": varying("Foo", "Foo: 1\nFoo: 2", "Foo: 1, 2", HIT),
        "two lines match lines combined into one (4_1)": varying("Foo", "Foo: 1, 2", "Foo: 1\nFoo: 2", HIT),
        "the order of lines counts": varying("Foo", "Foo: 1\nFoo: 2", "Foo: 2\nFoo: 1", MISS),
        "white space around commas does not count (4_1)": varying("Foo", "Foo: 1,2", "Foo: 1 ,  2", HIT),
        "white space around the value does not count (4_1)": varying("Foo", "Foo:   1  ", "Foo: 1", HIT),
        "asterisk never matches (4_1)": varying("*", "", "", MISS),
        "asterisk in a list never matches (4_1)": varying("Foo, *", "Foo: 1", "Foo: 1", MISS),
        "asterisk first in a list never matches (4_1)": varying("*, Foo", "Foo: 1", "Foo: 1", MISS),
        "asterisk on the second line never matches (4_1)": varying("Foo\n*", "Foo: 1", "Foo: 1", MISS),
        "asterisk on the first line never matches (4_1)": varying("*\nFoo", "Foo: 1", "Foo: 1", MISS),
        "Accept-Language in another case matches": varying("Accept-Language", "Accept-Language: en-GB", "Accept-Language: EN-gb", HIT),
        "Accept-Language with white space matches": varying("Accept-Language", "Accept-Language: en;q=1,de", "Accept-Language: en;q=1 , de", HIT),
        "Accept-Language in another order is another preference or not":
            varying("Accept-Language", "Accept-Language: en, de", "Accept-Language: de, en", ASKED),
        "Accept with another type does not match": varying("Accept", "Accept: text/html", "Accept: text/plain", MISS),
        "Cookie differs": varying("Cookie", "Cookie: a=1", "Cookie: a=2", MISS),
        "Cookie the same": varying("Cookie", "Cookie: a=1", "Cookie: a=1", HIT),
        "User-Agent differs": varying("User-Agent", "User-Agent: a/1", "User-Agent: a/2", MISS),
        "Origin differs": varying("Origin", "Origin: http://a.example", "Origin: http://b.example", MISS),
        "Authorization differs": [get("Cache-Control: public, max-age=60\nVary: Authorization", MISS, request="Authorization: Basic eDp5"),
                                  get(None, MISS, request="Authorization: Basic eDp6")],
        "Host in Vary": varying("Host", "", "", HIT),
        "Accept-Encoding for what the origin coded with gzip":
            [get(FRESH + "\nVary: Accept-Encoding\nContent-Encoding: x-unknown", MISS, request="Accept-Encoding: x-unknown"),
             get(None, MISS, request="Accept-Encoding: y-unknown")],
    }


@rows
class Selecting(RowsCase):
    """Several stored variants: each request finds its own."""
    A, B = "Foo: a", "Foo: b"
    V = FRESH + "\nVary: Foo"
    rows = {
        "variants are kept side by side": [get(V, MISS, request=A), get(V, MISS, request=B), get(None, HIT, request=B),
                                           get(None, HIT, request=A, body=b"answer 1"), get(None, HIT, request=B, body=b"answer 2")],
        "three variants are kept": [get(V, MISS, request=A), get(V, MISS, request=B), get(V, MISS, request="Foo: c"),
                                    get(None, HIT, request=A, body=b"answer 1"), get(None, HIT, request=B, body=b"answer 2"),
                                    get(None, HIT, request="Foo: c", body=b"answer 3")],
        "absent is a variant of its own": [get(V, MISS, request=A), get(V, MISS), get(None, HIT, body=b"answer 2"),
                                           get(None, HIT, request=A, body=b"answer 1")],
        "Vary that changes loses no variant, and mixes none up":
            [get(FRESH + "\nVary: Foo", MISS, request="Foo: a\nBar: 1"), get(FRESH + "\nVary: Foo, Bar", MISS, request="Foo: b\nBar: 1"),
             get(None, HIT, request="Foo: a\nBar: 2", body=b"answer 1"), get(None, MISS, request="Foo: b\nBar: 2"),
             get(None, HIT, request="Foo: b\nBar: 1", body=b"answer 2")],
        "a response without Vary answers all, newest first (4)":
            [get(V, MISS, request=A), get(FRESH, MISS, request=B), get(None, HIT, request="Foo: c", body=b"answer 2")],
        "the newest of several that match counts (4)":
            [get(FRESH + "\nVary: Foo\nAge: 50\nDate: {-50}", MISS, request=A), get(FRESH, MISS, request=B),
             get(None, HIT, request=A)],
        "an error variant does not hide the other": [get(V, MISS, request=A), get("Vary: Foo\nCache-Control: no-store", MISS, request=B, answer=500),
                                                     get(None, HIT, request=A, body=b"answer 1"), get(None, MISS, request=B)],
        "HEAD selects by the same fields": [get(V, MISS, request=A), ask("HEAD", HIT, request=A, body=b""), ask("HEAD", MISS, request=B, body=b"")],
        "a stale variant is validated with its own fields sent":
            [get('Cache-Control: max-age=0\nETag: "a"\nVary: Foo', MISS, request=A),
             get(None, ASKED, request=A, sent={"foo": "a", "if-none-match": '"a"'})],
        "a private variant does not hide the public one":
            [get(V, MISS, request=A), get("Vary: Foo\nCache-Control: private", MISS, request=B), get(None, HIT, request=A, body=b"answer 1")],
        "the fields of Vary reach the origin as they came": [get(V, MISS, request="Foo: A , b", sent={"foo": "A , b"})],
        "an unsafe method invalidates all variants (4_4)":
            [get(V, MISS, request=A), get(V, MISS, request=B), ask("POST", MISS, "", request="Foo: c"),
             get(V, MISS, request=A), get(V, MISS, request=B)],
    }
