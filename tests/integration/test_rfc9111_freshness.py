"""RFC 9111 4.2, 5.1 and 5.3: how long a response is fresh, and how old it is. Each row is two requests."""
from lib.rows import ASKED, HIT, MISS, VALIDATED, RowsCase, date, get, rows, twice
from lib.wait import wait_until

MAX = "Cache-Control: max-age="


def age(low, high=None):
    """A predicate for Age: in [low, high], with some seconds for a slow machine."""
    return lambda value: value is not None and low <= int(value) <= (low if high is None else high) + 15


@rows
class Lifetime(RowsCase):
    """4.2.1: s-maxage, else max-age, else Expires minus Date."""
    rows = {
        "max-age": twice(MAX + "60", HIT),
        "max-age and an Age below it": twice(MAX + "60\nAge: 30", HIT),
        "max-age and an Age above it": twice(MAX + "60\nAge: 90", MISS),
        "max-age and an Age equal to it: the lifetime must exceed the age (4_2)": twice(MAX + "60\nAge: 60", MISS),
        "max-age of zero": twice(MAX + "0", MISS),
        "max-age of one": twice(MAX + "3600", HIT),
        "s-maxage": twice("Cache-Control: s-maxage=60", HIT),
        "s-maxage longer than max-age (5_2_2_10)": twice("Cache-Control: max-age=1, s-maxage=60\nAge: 30", HIT),
        "s-maxage shorter than max-age (5_2_2_10)": twice("Cache-Control: max-age=60, s-maxage=1\nAge: 30", MISS),
        "s-maxage before max-age in the field": twice("Cache-Control: s-maxage=60, max-age=1\nAge: 30", HIT),
        "s-maxage of zero beats max-age": twice("Cache-Control: s-maxage=0, max-age=60", MISS),
        "s-maxage beats Expires": twice("Cache-Control: s-maxage=60\nExpires: {-60}", HIT),
        "s-maxage of zero beats a later Expires": twice("Cache-Control: s-maxage=0\nExpires: {+60}", MISS),
        "max-age beats an earlier Expires (5_3)": twice(MAX + "60\nExpires: {-60}", HIT),
        "max-age beats a later Expires (5_3)": twice(MAX + "1\nAge: 30\nExpires: {+3600}", MISS),
        "max-age of zero beats a later Expires (5_3)": twice(MAX + "0\nExpires: {+3600}", MISS),
        "max-age beats an Expires that is no date": twice(MAX + "60\nExpires: 0", HIT),
        "MAX-AGE in capitals (5_2)": twice("Cache-Control: MAX-AGE=60", HIT),
        "Max-Age of zero in mixed case": twice("Cache-Control: Max-Age=0\nExpires: {+60}", MISS),
        "max-age on the second line of two (9110 5_3)": twice("Cache-Control: public\n" + MAX + "60", HIT),
        "nothing at all": twice("", MISS),
        "a Last-Modified alone is not guessed from by default (4_2_2)": twice("Last-Modified: {-864000}", MISS),
        "must-revalidate gives no freshness": twice("Cache-Control: must-revalidate", MISS),
        "proxy-revalidate gives no freshness": twice("Cache-Control: proxy-revalidate", MISS),
        "immutable gives no freshness (8246 2)": twice("Cache-Control: immutable", MISS),
    }


@rows
class DeltaSeconds(RowsCase):
    """1.2.2 and 4.2.1: numbers that are large, odd, or none. Invalid freshness information is stale."""
    rows = {
        "2147483647": twice(MAX + "2147483647", HIT),
        "2147483648 (1_2_2)": twice(MAX + "2147483648", HIT),
        "2147483649 (1_2_2)": twice(MAX + "2147483649", HIT),
        "4294967296 does not wrap": twice(MAX + "4294967296", HIT),
        "18446744073709551616 does not wrap": twice(MAX + "18446744073709551616", HIT),
        "ninety-nine nines": twice(MAX + "9" * 99, HIT),
        "leading zeros": twice(MAX + "0060\nAge: 30", HIT),
        "negative": twice(MAX + "-60", MISS),
        "a plus sign": twice(MAX + "+60", MISS),
        "a fraction": twice(MAX + "60.5", MISS),
        "hexadecimal": twice(MAX + "0x60", MISS),
        "letters": twice(MAX + "abc", MISS),
        "digits then letters": twice(MAX + "60s", MISS),
        "letters then digits": twice(MAX + "s60", MISS),
        "an exponent": twice(MAX + "6e1", MISS),
        "nothing after the equals sign": twice(MAX, MISS),
        "no equals sign": twice("Cache-Control: max-age", MISS),
        "no equals sign does not fall back to Expires": twice("Cache-Control: max-age\nExpires: {+60}", MISS),
        "quoted (5_2)": twice('Cache-Control: max-age="60"\nAge: 30', HIT),
        "quoted, s-maxage (5_2)": twice('Cache-Control: s-maxage="60", max-age=1\nAge: 30', HIT),
        "a quoted zero": twice('Cache-Control: max-age="0"\nExpires: {+60}', MISS),
        "a quoted word": twice('Cache-Control: max-age="abc"', MISS),
        "in single quotes": twice(MAX + "'60'", MISS),
        "a space before the equals sign": twice("Cache-Control: max-age =60", MISS),
        "a space after the equals sign": twice(MAX + " 60", MISS),
        "s-maxage that is no number is no max-age either": twice("Cache-Control: s-maxage=abc, max-age=60", MISS),
        "s-maxage that overflows": twice("Cache-Control: s-maxage=99999999999999999999", HIT),
        "s-maxage that is negative": twice("Cache-Control: s-maxage=-1, max-age=60", MISS),
        "twice the same (4_2_1)": twice("Cache-Control: max-age=60, max-age=60", HIT),
        "twice, the second smaller: the first or stale (4_2_1)": twice("Cache-Control: max-age=60, max-age=1\nAge: 30", MISS),
        "twice, the first smaller: the first or stale (4_2_1)": twice("Cache-Control: max-age=1, max-age=60\nAge: 30", MISS),
        "twice on two lines": twice(MAX + "1\n" + MAX + "60\nAge: 30", MISS),
        "twice, one no number": twice("Cache-Control: max-age=60, max-age=abc", MISS),
        "s-maxage twice": twice("Cache-Control: s-maxage=60, s-maxage=1\nAge: 30", MISS),
        "max-age inside a quoted string": twice('Cache-Control: a="max-age=60"', MISS),
        "a quoted string that never ends": twice('Cache-Control: max-age=60, a="b', MISS),
    }


@rows
class Expires(RowsCase):
    """5.3, and the dates of 9110 5.6.7."""
    rows = {
        "in the future": twice("Expires: {+60}\nDate: {0}", HIT),
        "in the future, without Date": twice("Expires: {+60}", HIT),
        "in the past": twice("Expires: {-60}\nDate: {0}", MISS),
        "equal to Date": twice("Expires: {0}\nDate: {0}", MISS),
        "0": twice("Expires: 0", MISS),
        "-1": twice("Expires: -1", MISS),
        "empty": twice("Expires: ", MISS),
        "no date": twice("Expires: soon", MISS),
        "an invalid one is no reason to guess (5_3)": twice("Expires: 0\nLast-Modified: {-864000}", VALIDATED),
        "relative to Date when the origin's clock is fast (4_2_1)": twice("Expires: {+3660}\nDate: {+3600}", HIT),
        "relative to Date when the origin's clock is slow: the apparent age counts (4_2_3)":
            twice("Expires: {-3540}\nDate: {-3600}", MISS),
        "relative to Date: what is left": twice("Expires: {+60}\nDate: {-60}", HIT),
        "with an Age above what is left": twice("Expires: {+60}\nDate: {0}\nAge: 90", MISS),
        "with an Age below what is left": twice("Expires: {+60}\nDate: {0}\nAge: 30", HIT),
        "in the obsolete form of RFC 850": twice("Expires: {+60|rfc850}\nDate: {0}", HIT),
        "in the obsolete form of RFC 850, in the past": twice("Expires: {-60|rfc850}\nDate: {0}", MISS),
        "in the obsolete form of asctime": twice("Expires: {+60|asctime}\nDate: {0}", HIT),
        "in the obsolete form of asctime, in the past": twice("Expires: {-60|asctime}\nDate: {0}", MISS),
        "years ahead": twice("Expires: Thu, 18 Aug 2050 02:01:18 GMT", HIT),
        "before 1970": twice("Expires: Thu, 18 Aug 1950 02:01:18 GMT", MISS),
        "two lines, one in the past": twice("Expires: {+60}\nExpires: {-60}", MISS),
        "two lines, the first in the past": twice("Expires: {-60}\nExpires: {+60}", MISS),
        "two lines alike": twice("Expires: Thu, 18 Aug 2050 02:01:18 GMT\nExpires: Thu, 18 Aug 2050 02:01:18 GMT", HIT),
        "joined into one line": twice("Expires: Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT", MISS),
        "another zone name": twice("Expires: Thu, 18 Aug 2050 02:01:18 AEST", MISS),
        "UTC is not GMT (9110 5_6_7)": twice("Expires: Thu, 18 Aug 2050 02:01:18 UTC", MISS),
        "a numeric zone": twice("Expires: Thu, 18 Aug 2050 02:01:18 +0000", MISS),
        "a two-digit year in the preferred form": twice("Expires: Thu, 18 Aug 50 02:01:18 GMT", MISS),
        "case does not count to a cache (4_2)": twice("Expires: thu, 18 AUG 2050 02:01:18 gmt", HIT),
        "dashes": twice("Expires: Thu, 18-Aug-2050 02:01:18 GMT", MISS),
        "colons missing": twice("Expires: Thu, 18 Aug 2050 020118 GMT", MISS),
        "periods for colons": twice("Expires: Thu, 18 Aug 2050 02.01.18 GMT", MISS),
        "the comma missing": twice("Expires: Thu 18 Aug 2050 02:01:18 GMT", MISS),
        "two spaces": twice("Expires: Thu, 18  Aug  2050 02:01:18 GMT", MISS),
        "a day with one digit": twice("Expires: Thu, 8 Aug 2050 02:01:18 GMT", MISS),
        "an hour with one digit": twice("Expires: Thu, 18 Aug 2050 2:01:18 GMT", MISS),
        "the 32nd": twice("Expires: Thu, 32 Aug 2050 02:01:18 GMT", MISS),
        "25 o'clock": twice("Expires: Thu, 18 Aug 2050 25:01:18 GMT", MISS),
        "61 minutes": twice("Expires: Thu, 18 Aug 2050 02:61:18 GMT", MISS),
        "no Date but an Age above it": twice("Expires: {+60}\nAge: 90", MISS),
    }


@rows
class Date(RowsCase):
    """4.2.3 and 9110 6.6.1."""
    rows = {
        "an old Date ages a response (4_2_3)": twice(MAX + "60\nDate: {-90}", MISS),
        "a Date within the lifetime": twice(MAX + "60\nDate: {-30}", HIT, then_fields={"age": age(30)}),
        "Age and Date: the larger counts (4_2_3)": twice(MAX + "60\nDate: {-10}\nAge: 90", MISS),
        "Date and Age: the larger counts (4_2_3)": twice(MAX + "60\nDate: {-90}\nAge: 10", MISS),
        "a Date in the future does not make it younger than 0 (4_2_3)":
            twice(MAX + "60\nDate: {+3600}", HIT, then_fields={"age": age(0)}),
        "a Date that is no date is as none": twice(MAX + "60\nDate: yesterday", HIT),
        "no Date: one is added (9110 6_6_1)": twice(MAX + "60", HIT, fields={"date": lambda v: v is not None}),
        "in the form of RFC 850": twice(MAX + "60\nDate: {-90|rfc850}", MISS),
        "in the form of asctime": twice(MAX + "60\nDate: {-90|asctime}", MISS),
        "s-maxage ages by Date too": twice("Cache-Control: s-maxage=60\nDate: {-90}", MISS),
    }


@rows
class Age(RowsCase):
    """5.1: of what is received, and what is sent."""
    rows = {
        "is sent with what comes from the store": twice(MAX + "60", HIT, then_fields={"age": age(0)}),
        "adds what the response already had": twice(MAX + "3600\nAge: 100", HIT, then_fields={"age": age(100)}),
        "that is no number is ignored (5_1)": twice(MAX + "60\nAge: abc", HIT, then_fields={"age": age(0)}),
        "that is negative is ignored (5_1)": twice(MAX + "60\nAge: -90", HIT, then_fields={"age": age(0)}),
        "with a fraction is ignored (5_1)": twice(MAX + "60\nAge: 90.5", HIT, then_fields={"age": age(0)}),
        "that is empty is ignored": twice(MAX + "60\nAge: ", HIT, then_fields={"age": age(0)}),
        "with letters after digits is ignored": twice(MAX + "60\nAge: 90s", HIT),
        "as a list: the first member counts (5_1)": twice(MAX + "60\nAge: 90, 0", MISS),
        "as a list: the first, and not the larger (5_1)": twice(MAX + "60\nAge: 0, 90", HIT),
        "on two lines: the first counts (5_1)": twice(MAX + "60\nAge: 90\nAge: 0", MISS),
        "on two lines: the first, and not the larger (5_1)": twice(MAX + "60\nAge: 0\nAge: 90", HIT),
        "with a parameter is ignored or read": twice(MAX + "60\nAge: 0;x=1", HIT),
        "of 2147483648 is stale (1_2_2)": twice(MAX + "60\nAge: 2147483648", MISS),
        "of 2147483647 is stale": twice(MAX + "60\nAge: 2147483647", MISS),
        "that overflows is stale (1_2_2)": twice(MAX + "60\nAge: " + "9" * 40, MISS),
        "in a response to be forwarded is passed on": [get("Age: 100", MISS, fields={"age": age(100)})],
    }


class Clock(RowsCase):
    """What only time can show."""
    def asked(self):
        return len(self.upstream.seen("/" + self.id()))

    def test_age_grows_second_by_second_until_the_response_is_stale(self):
        path = "/" + self.id()
        self.upstream.on(path, lambda x: x.reply(200, {"Cache-Control": "max-age=63", "Age": "60"}, b"x"))
        self.front_node.get(path)
        ages = []

        def stale():
            answer = self.front_node.get(path)
            if answer.hit:
                ages.append(int(answer.fields["age"]))
            return not answer.hit
        wait_until(stale, 30, "the response goes stale")
        self.assertEqual(ages, sorted(ages), "Age went back")
        self.assertLess(ages[-1], 63)
        self.assertGreaterEqual(ages[-1], 61)

    def test_the_time_the_origin_took_counts(self):
        """4.2.3: corrected_age_value is the received Age and the response delay."""
        path = "/" + self.id()
        self.upstream.on(path, self.slowly)
        self.front_node.get(path)
        self.assertGreaterEqual(int(self.front_node.get(path).fields["age"]), 11)

    def slowly(self, x):
        begun = date()
        wait_until(lambda: date(-1) > begun or date(-1)[17:25] != begun[17:25] and date() != begun, 30, "the clock moves on")
        wait_until(lambda: date(-1) != begun, 30, "and on")
        x.reply(200, {"Cache-Control": "max-age=3600", "Age": "10"}, b"x")


@rows
class Heuristic(RowsCase):
    """4.2.2, where the operator switches it on."""
    @classmethod
    def configure(cls):
        return {"routes": [{"upstream": "app", "cache": {"heuristic": True}}]}
    OLD = "Last-Modified: {-864000}"
    rows = {
        "a tenth of the time since Last-Modified": twice(OLD, HIT),
        "the tenth is over": twice(OLD + "\nAge: 90000", VALIDATED),
        "changed just now": twice("Last-Modified: {-1}", ASKED),
        "changed in the future": twice("Last-Modified: {+3600}", ASKED),
        "without Last-Modified": twice("", MISS),
        "explicit freshness is not replaced (4_2_2)": twice(OLD + "\nCache-Control: max-age=0", VALIDATED),
        "an Expires of the past is not replaced (4_2_2)": twice(OLD + "\nExpires: {-60}", VALIDATED),
        "an Expires that is invalid is not replaced (5_3)": twice(OLD + "\nExpires: 0", VALIDATED),
        "no-store": twice(OLD + "\nCache-Control: no-store", MISS),
        "no-cache": twice(OLD + "\nCache-Control: no-cache", VALIDATED),
        "a status that is not heuristically cacheable (9110 15_1)": twice(OLD, MISS, answer=201),
        "an unknown status": twice(OLD, MISS, answer=599),
        "an unknown status with public (5_2_2_9)": twice(OLD + "\nCache-Control: public", HIT, answer=599),
        "403 is not heuristically cacheable": twice(OLD, MISS, answer=403),
        "302 is not heuristically cacheable": twice(OLD, MISS, answer=302),
        "500 is not heuristically cacheable": twice(OLD, MISS, answer=500),
        "503 is not heuristically cacheable": twice(OLD, MISS, answer=503),
    }
    for _status in (203, 204, 300, 301, 308, 404, 405, 410, 414, 501):
        rows["%d is heuristically cacheable (9110 15_1)" % _status] = twice(OLD, HIT, answer=_status)
