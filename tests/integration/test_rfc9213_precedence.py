"""RFC 9213: targeted cache control. By default CDN-Cache-Control is for this cache."""
from lib.rows import HIT, MISS, VALIDATED, RowsCase, get, rows, twice

TAG = '\nETag: "a"'


def cdn(value, rest=""):
    return "CDN-Cache-Control: " + value + ("\n" + rest if rest else "")


@rows
class Precedence(RowsCase):
    """2.2: the targeted field replaces Cache-Control and Expires altogether."""
    rows = {
        "it makes a lifetime": twice(cdn("max-age=60"), HIT),
        "longer than Cache-Control": twice(cdn("max-age=60", "Cache-Control: max-age=1\nAge: 30"), HIT),
        "shorter than Cache-Control": twice(cdn("max-age=1", "Cache-Control: max-age=60\nAge: 30"), MISS),
        "over no-store": twice(cdn("max-age=60", "Cache-Control: no-store"), HIT),
        "over private": twice(cdn("max-age=60", "Cache-Control: private"), HIT),
        "over no-cache": twice(cdn("max-age=60", "Cache-Control: no-cache" + TAG), HIT),
        "over s-maxage": twice(cdn("max-age=60", "Cache-Control: s-maxage=0"), HIT),
        "over must-revalidate, which is not there then": twice(cdn("max-age=60", "Cache-Control: must-revalidate"), HIT),
        "over Expires in the past": twice(cdn("max-age=60", "Expires: {-60}"), HIT),
        "over Expires in the future": twice(cdn("max-age=1", "Expires: {+60}\nAge: 30"), MISS),
        "no-store beats max-age in Cache-Control": twice(cdn("no-store", "Cache-Control: max-age=60"), MISS),
        "private beats max-age in Cache-Control": twice(cdn("private", "Cache-Control: max-age=60"), MISS),
        "no-cache beats max-age in Cache-Control": twice(cdn("no-cache", "Cache-Control: max-age=60" + TAG), VALIDATED),
        "without a lifetime Cache-Control is not asked (2_2)": twice(cdn("public", "Cache-Control: max-age=60"), MISS),
        "without a lifetime Expires is not asked (2_2)": twice(cdn("public", "Expires: {+60}"), MISS),
        "s-maxage in it": twice(cdn("s-maxage=60, max-age=1", "Age: 30"), HIT),
        "Age counts as ever": twice(cdn("max-age=60", "Age: 70"), MISS),
        "Date counts as ever": twice(cdn("max-age=60", "Date: {-70}"), MISS),
        "Vary counts as ever": [get(cdn("max-age=60", "Vary: Foo"), MISS, request="Foo: 1"), get(None, MISS, request="Foo: 2")],
        "stale-while-revalidate in Cache-Control does not count then": twice(cdn("max-age=60", "Cache-Control: stale-while-revalidate=60\nAge: 70" + TAG), VALIDATED),
        "with Authorization the targeted field decides: not shared": twice(cdn("max-age=60", "Cache-Control: public"), MISS, request="Authorization: Basic eDp5"),
        "with Authorization the targeted field decides: public": twice(cdn("public, max-age=60"), HIT, request="Authorization: Basic eDp5"),
    }


@rows
class Syntax(RowsCase):
    """2.1: a Structured Fields dictionary; an empty or unparsable one is as none, and so is one whose known members have the wrong type."""
    CC = "Cache-Control: max-age=60\nAge: 30"
    NO = "Cache-Control: no-store"
    rows = {
        "two lines are one dictionary": twice("CDN-Cache-Control: public\nCDN-Cache-Control: max-age=60", HIT),
        "the later of two members counts (9651)": twice(cdn("max-age=1, max-age=60", "Age: 30"), HIT),
        "the later of two members counts, shorter": twice(cdn("max-age=60, max-age=1", "Age: 30"), MISS),
        "unknown members are ignored": twice(cdn("max-age=60, foo=bar, baz"), HIT),
        "parameters are ignored": twice(cdn("max-age=60;foo=bar"), HIT),
        "a parameter of no-store is ignored": twice(cdn("no-store;x", CC), MISS),
        "spaces before a comma": twice(cdn("max-age=60 , public"), HIT),
        "an empty field is as none (2_1)": twice(cdn("", CC), HIT),
        "not parsable: Cache-Control counts (2_1)": twice(cdn("max-age=10, &&&&", CC), HIT),
        "not parsable: no-store of Cache-Control counts (2_1)": twice(cdn("max-age=60, &&&&", NO), MISS),
        "a comma at the end does not parse": twice(cdn("max-age=60,", NO), MISS),
        "an empty member does not parse": twice(cdn("max-age=60,,public", NO), MISS),
        "a space around the equals sign does not parse": twice(cdn("max-age = 60", NO), MISS),
        "a name in capitals does not parse (9651 3_2)": twice(cdn("MAX-AGE=60", NO), MISS),
        "a quoted number is a string: the member is of no use (2_1)": twice(cdn('max-age="60"', NO), MISS),
        "a decimal: the member is of no use (2_1)": twice(cdn("max-age=60.5", NO), MISS),
        "a negative number": twice(cdn("max-age=-60", NO), MISS),
        "max-age without a value is a boolean: of no use": twice(cdn("max-age", NO), MISS),
        "a number of 15 digits": twice(cdn("max-age=999999999999999"), HIT),
        "a number of 16 digits does not parse (9651 3_3_1)": twice(cdn("max-age=9999999999999999", NO), MISS),
        "no-store=?1 is no-store": twice(cdn("no-store=?1", CC), MISS),
        "tabs between members (9651)": twice(cdn("public,\tmax-age=60"), HIT),
    }


@rows
class Others(RowsCase):
    rows = {
        "a field for others does not count (2)": twice("Foo-Cache-Control: max-age=60", MISS),
        "a field for others forbids nothing (2)": twice("Foo-Cache-Control: no-store\nCache-Control: max-age=60", HIT),
        "Surrogate-Control does not count by default": twice("Surrogate-Control: max-age=60", MISS),
        "it is passed on, for others there may be (2_2)": twice(cdn("max-age=60, foo"), HIT, fields={"cdn-cache-control": "max-age=60, foo"}),
        "Cache-Control is passed on beside it": twice(cdn("max-age=60", "Cache-Control: no-store"), HIT, fields={"cache-control": "no-store"}),
        "its name is without case (9110 5_1)": twice("cdn-cache-control: max-age=60", HIT),
        "a 304 may bring it": [get("Cache-Control: max-age=0" + TAG, MISS), get(None, VALIDATED, validation=(304, cdn("max-age=60") + TAG)), get(None, HIT)],
        "in a request it means nothing": [get("Cache-Control: max-age=60", MISS, request="CDN-Cache-Control: no-store"), get(None, HIT)],
    }
