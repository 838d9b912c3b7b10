"""RFC 9213: fields that speak to this cache alone, and Surrogate-Control beside them. Each row is two requests."""
from lib.rows import HIT, MISS, VALIDATED, RowsCase, get, rows, twice

FRESH = "Cache-Control: max-age=60"


@rows
class Default(RowsCase):
    """Nothing set: CDN-Cache-Control is on the list."""
    rows = {
        "max-age alone is enough (2_2)": twice("CDN-Cache-Control: max-age=60", HIT),
        "it beats no-store of Cache-Control (2_2)": twice("CDN-Cache-Control: max-age=60\nCache-Control: no-store", HIT),
        "it beats private of Cache-Control (2_2)": twice("CDN-Cache-Control: max-age=60\nCache-Control: private", HIT),
        "it beats s-maxage of Cache-Control (2_2)": twice("CDN-Cache-Control: max-age=60\nCache-Control: s-maxage=0", HIT),
        "it beats Expires (2_2)": twice("CDN-Cache-Control: max-age=60\nExpires: 0", HIT),
        "no lifetime in it: neither Cache-Control's nor Expires counts (2_2)":
            twice("CDN-Cache-Control: none\nCache-Control: max-age=60\nExpires: {+60}", MISS),
        "its no-store beats max-age of Cache-Control (2_2)": twice("CDN-Cache-Control: no-store\n" + FRESH, MISS),
        "its private beats public of Cache-Control": twice("CDN-Cache-Control: private, max-age=60\n" + FRESH, MISS),
        "its no-cache is validated each time": twice('CDN-Cache-Control: no-cache, max-age=60\n' + FRESH + '\nETag: "a"', VALIDATED),
        "its s-maxage beats its max-age": twice("CDN-Cache-Control: s-maxage=0, max-age=60", MISS),
        "Age counts all the same": twice("CDN-Cache-Control: max-age=60\nAge: 70", MISS),
        "its must-revalidate permits sharing with Authorization (9111 3_5)":
            twice("CDN-Cache-Control: max-age=60, must-revalidate", HIT, request="Authorization: Basic eDp5"),
        "it alone without permission does not (9111 3_5)":
            twice("CDN-Cache-Control: max-age=60\nCache-Control: public", MISS, request="Authorization: Basic eDp5"),
        "an empty field is as none (2_1)": twice("CDN-Cache-Control:\n" + FRESH, HIT),
        "a field that does not parse is as none (2_1)": twice("CDN-Cache-Control: no-store,\n" + FRESH, HIT),
        "a key with a capital does not parse (2_1)": twice("CDN-Cache-Control: No-Store\n" + FRESH, HIT),
        "spaces around '=' do not parse (2_1)": twice("CDN-Cache-Control: max-age = 0\n" + FRESH, HIT),
        "a decimal lifetime is none (2_1)": twice("CDN-Cache-Control: max-age=60.5\n" + FRESH, MISS),
        "a quoted lifetime is none (2_1)": twice('CDN-Cache-Control: max-age="60"\n' + FRESH, MISS),
        "parameters do not count (2_1)": twice("CDN-Cache-Control: max-age=60;no-store", HIT),
        "the last of a directive counts (9651 3_2)": twice("CDN-Cache-Control: max-age=0, max-age=60", HIT),
        "several lines are one (9651 4_2)": twice("CDN-Cache-Control: max-age=60\nCDN-Cache-Control: no-store", MISS),
        "unknown directives are ignored (2_2)": twice('CDN-Cache-Control: foo=(1 "a"), bar;x, max-age=60', HIT),
        "the name in another case (9110 5_1)": twice("cdn-CACHE-control: no-store\n" + FRESH, MISS),
        "it is passed on (2_2)": twice("CDN-Cache-Control: max-age=60", HIT, fields={"cdn-cache-control": "max-age=60"}),
        "one that is not on the list changes nothing, and is passed on (2_2)":
            twice("Weir-Cache-Control: no-store\n" + FRESH, HIT, fields={"weir-cache-control": "no-store"}),
        "Surrogate-Control is none of ours":
            twice("Surrogate-Control: no-store\n" + FRESH, HIT, fields={"surrogate-control": "no-store"}),
        "fields named in it are not for others (9111 5_2_2_7)":
            [get('CDN-Cache-Control: max-age=60, private="x-secret"\nX-Secret: 1', MISS, fields={"x-secret": "1"}),
             get(None, HIT, fields={"x-secret": None})],
    }


@rows
class Listed(RowsCase):
    """Two names on the list, kept from clients; Surrogate-Control before both."""
    @classmethod
    def configure(cls):
        return {"cache": {"targets": ["Weir-Cache-Control", "CDN-Cache-Control"], "targets_forward": False,
                          "surrogate_control": True}}
    none = {"weir-cache-control": None, "cdn-cache-control": None, "surrogate-control": None}
    rows = {
        "the first on the list counts, not the first in the head (2_2)":
            twice("CDN-Cache-Control: no-store\nWeir-Cache-Control: max-age=60", HIT, fields=none),
        "where it is invalid, the second": twice("CDN-Cache-Control: no-store\nWeir-Cache-Control: a b\n" + FRESH, MISS, fields=none),
        "where both are, Cache-Control": twice("CDN-Cache-Control: a b\nWeir-Cache-Control:\n" + FRESH, HIT, fields=none),
        "Surrogate-Control comes first":
            twice("Surrogate-Control: max-age=60\nWeir-Cache-Control: no-store\nCache-Control: no-store", HIT, fields=none),
        "no-store in it": twice("Surrogate-Control: no-store\n" + FRESH, MISS, fields=none),
        "with content alone it says nothing of storing": twice('Surrogate-Control: content="ESI/1.0"\n' + FRESH, HIT, fields=none),
        "said to another surrogate": twice("Surrogate-Control: no-store;other\n" + FRESH, HIT, fields=none),
        "said to us by name": twice("Surrogate-Control: max-age=60, no-store;weir\n" + FRESH, MISS, fields=none),
        "a 304 that leaves it out leaves it in force (9111 3_2)":
            [get('Surrogate-Control: max-age=0\nETag: "a"\n' + FRESH, MISS),
             get(None, VALIDATED, validation=(304, 'ETag: "a"\n' + FRESH), fields=none), get(None, VALIDATED)],
        "a 304 that brings another puts that in force":
            [get('Surrogate-Control: max-age=0\nETag: "a"', MISS),
             get(None, VALIDATED, validation=(304, 'ETag: "a"\nSurrogate-Control: max-age=60'), fields=none), get(None, HIT)],
        "responses that are not stored go out without them too":
            twice("Surrogate-Control: no-store\nCDN-Cache-Control: a", MISS, method="POST", fields=none),
    }


@rows
class Nobody(RowsCase):
    """An empty list."""
    @classmethod
    def configure(cls):
        return {"cache": {"targets": []}}
    rows = {
        "CDN-Cache-Control changes nothing (2_2)": twice("CDN-Cache-Control: no-store\n" + FRESH, HIT),
    }
