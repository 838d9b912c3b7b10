"""What an origin answers is judged as strictly as what a client asks: malformed is 502, cut off is visibly so, and
neither is ever stored."""
import threading

from lib.case import NodeCase, SharedNodeCase, table
from lib.client import Client, Truncated, request
from lib.origin import raw

CACHE = b"Cache-Control: max-age=600\r\n"


def response(fields=b"", body=b"", status=b"HTTP/1.1 200 OK", length=True):
    framing = b"Content-Length: %d\r\n" % len(body) if length else b""
    return status + b"\r\n" + CACHE + framing + fields + b"\r\n" + body


def chunked(body):
    return response(b"Transfer-Encoding: chunked\r\n", length=False) + body


class Origins(SharedNodeCase):
    def serve(self, data, then="close"):
        self.shared_origin.on("/" + self.id(), raw(data, then=then))
        return "/" + self.id()

    def assert_not_stored(self, path):
        """The next request for it reaches the origin again, and gets what that says now."""
        self.shared_origin.on(path, lambda x: x.reply(200, {}, b"mended"))
        self.assertEqual(self.shared_node.get(path).body, b"mended")


@table
class MalformedHeads(Origins):
    """502 and nothing of it seen by the client."""
    def row(self, data):
        path = self.serve(data)
        answer = self.shared_node.get(path)
        self.assert_status(answer, 502)
        self.assertNotIn(b"secret", answer.body)
        self.assert_not_stored(path)

    rows = {
        "no HTTP at all": (b"secret\r\n\r\n",),
        "HTTP 0.9": (b"<html>secret</html>",),
        "nothing": (b"",),
        "half a status line": (b"HTTP/1.1 20",),
        "head without its end": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",),
        "version HTTP 2.0": (response(status=b"HTTP/2.0 200 OK"),),
        "version without a number": (response(status=b"HTTP/ 200 OK"),),
        "lower case version": (response(status=b"http/1.1 200 OK"),),
        "status of two digits": (response(status=b"HTTP/1.1 20 OK"),),
        "status of four digits": (response(status=b"HTTP/1.1 2000 OK"),),
        "status below 100": (response(status=b"HTTP/1.1 099 No"),),
        "status with a letter": (response(status=b"HTTP/1.1 2x0 OK"),),
        "status with a plus": (response(status=b"HTTP/1.1 +20 OK"),),
        "two spaces before the status": (response(status=b"HTTP/1.1  200 OK"),),
        "control character in the reason": (response(status=b"HTTP/1.1 200 O\x01K"),),
        "NUL in the reason": (response(status=b"HTTP/1.1 200 O\0K"),),
        "bare LF after the status line": (b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",),
        "LF only": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",),
        "bare CR in a field": (response(b"A: b\rSet-Cookie: c=d\r\n"),),
        "bare LF in a field": (response(b"A: b\nSet-Cookie: c=d\r\n"),),
        "NUL in a field": (response(b"A: b\0\r\n"),),
        "control character in a field": (response(b"A: b\x02\r\n"),),
        "folded field": (response(b"A: b\r\n c\r\n"),),
        "space before the colon": (response(b"A : b\r\n"),),
        "empty name": (response(b": b\r\n"),),
        "no colon": (response(b"nothing\r\n"),),
        "first field starts with a space": (b"HTTP/1.1 200 OK\r\n A: b\r\nContent-Length: 0\r\n\r\n",),
        "Content Length beside chunked": (chunked(b"0\r\n\r\n").replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n", 1),),
        "two lengths that differ": (response(b"Content-Length: 6\r\n", b"hello"),),
        "list of lengths that differ": (response(b"Content-Length: 5, 6\r\n", b"hello", length=False),),
        "length with a plus": (response(b"Content-Length: +5\r\n", b"hello", length=False),),
        "length that is negative": (response(b"Content-Length: -1\r\n", b"hello", length=False),),
        "length that overflows": (response(b"Content-Length: 18446744073709551621\r\n", b"hello", length=False),),
        "length that is empty": (response(b"Content-Length:\r\n", b"hello", length=False),),
        "unknown transfer coding": (response(b"Transfer-Encoding: gzip\r\n", b"hello", length=False),),
        "unknown coding before chunked": (response(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n", length=False),),
        "chunked twice": (response(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n", length=False),),
        "chunked on two lines": (response(b"Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n", length=False),),
        "chunked not last": (response(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n", length=False),),
        "chunked in HTTP 1.0": (chunked(b"5\r\nhello\r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),),
        "head over 64 KiB": (response(b"".join(b"A%d: %s\r\n" % (n, b"b" * 4000) for n in range(18))),),
        "more than 200 fields": (response(b"".join(b"A%d: b\r\n" % n for n in range(201))),),
        "more than eight interim responses": (b"HTTP/1.1 103 Early\r\n\r\n" * 9 + response(body=b"secret"),),
        "101 that nobody asked for": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                      b"Connection: Upgrade\r\n\r\nsecret",),
    }


@table
class CutBodies(Origins):
    """The head was good. What the client gets must be visibly incomplete, or be a 502."""
    def row(self, data, then="close"):
        path = self.serve(data, then)
        with Client(self.shared_node.address) as client:
            client.send(request("GET", path))
            try:
                answer = client.response()
                self.assertEqual(answer.status, 502, "a cut response looks whole: %r" % answer)
            except (Truncated, ConnectionResetError):
                pass
        self.assert_not_stored(path)

    rows = {
        "length, closed early": (response(body=b"hello" * 100)[:-50],),
        "length, reset early": (response(body=b"hello" * 100)[:-50], "reset"),
        "length, closed before the first byte": (response(body=b"hello")[:-5],),
        "chunked, no last chunk": (chunked(b"5\r\nhello\r\n"),),
        "chunked, reset instead of the last chunk": (chunked(b"5\r\nhello\r\n"), "reset"),
        "chunked, cut inside a chunk": (chunked(b"a\r\nhello"),),
        "chunked, cut inside the size": (chunked(b"5\r\nhello\r\n1"),),
        "chunked, cut in the trailers": (chunked(b"5\r\nhello\r\n0\r\nA: b\r\n"),),
        "chunked, cut before the empty line": (chunked(b"5\r\nhello\r\n0\r\n"),),
        "chunked, size that is no number": (chunked(b"5\r\nhello\r\nx\r\n\r\n"), "keep"),
        "chunked, size that overflows": (chunked(b"5\r\nhello\r\n10000000000000000\r\n\r\n"), "keep"),
        "chunked, bare LF after the size": (chunked(b"5\r\nhello\r\n0\n\n"), "keep"),
        "chunked, data longer than its size": (chunked(b"5\r\nhello!\r\n0\r\n\r\n"), "keep"),
        "chunked, extension with a bare LF": (chunked(b"5\r\nhello\r\n5;a\nb\r\nworld\r\n0\r\n\r\n"), "keep"),
        "chunked, malformed trailer": (chunked(b"5\r\nhello\r\n0\r\nA : b\r\n\r\n"), "keep"),
        "chunked, trailers over 8 KiB": (chunked(b"5\r\nhello\r\n0\r\n" + b"".join(
            b"A%d: %s\r\n" % (n, b"b" * 900) for n in range(10)) + b"\r\n"), "keep"),
        "until close, reset": (response(length=False) + b"hello", "reset"),
    }


@table
class Accepted(Origins):
    def row(self, data, body, status=200):
        answer = self.shared_node.get(self.serve(data))
        self.assert_status(answer, status)
        self.assertEqual(answer.body, body)

    rows = {
        "plain": (response(body=b"hello"), b"hello"),
        "no reason": (response(body=b"hello", status=b"HTTP/1.1 200 "), b"hello"),
        "status 999": (response(body=b"hello", status=b"HTTP/1.1 999 Denied"), b"hello", 999),
        "status 599": (response(body=b"hello", status=b"HTTP/1.1 599 Far out"), b"hello", 599),
        "HTTP 1.0": (response(body=b"hello", status=b"HTTP/1.0 200 OK"), b"hello"),
        "until close": (response(length=False) + b"hello", b"hello"),
        "chunked": (chunked(b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n"), b"hello!"),
        "chunked with trailers": (chunked(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"), b"hello"),
        "upper case chunked": (chunked(b"5\r\nhello\r\n0\r\n\r\n").replace(b"chunked", b"CHUNKED"), b"hello"),
        "obs text in a field": (response(b"A: \xe4\r\n", b"hello"), b"hello"),
        "eight interim responses": (b"HTTP/1.1 103 Early\r\n\r\n" * 8 + response(body=b"hello"), b"hello"),
        "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", 204),
        "200 fields": (response(b"".join(b"A%d: b\r\n" % n for n in range(190)), b"hello"), b"hello"),
    }


class Connections(NodeCase):
    """A connection whose state is in doubt is never used for another request."""
    def two_requests(self, first, method="GET"):
        origin = self.origin()
        origin.on("/first", raw(first))
        node = self.front(origin, node={"workers": 1})
        answer = node.ask(method, "/first")
        second = node.get("/second")
        self.assertEqual(second.body, b"origin", "the second answer is not the second request's")
        self.assertNotEqual(origin.last("/first").connection, origin.last("/second").connection,
                            "the connection was used again")
        return answer

    def test_surplus_bytes_after_a_length(self):
        self.assertEqual(self.two_requests(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n"
                                           b"Content-Length: 6\r\n\r\npoison").body, b"hello")

    def test_surplus_bytes_after_the_last_chunk(self):
        self.assertEqual(self.two_requests(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                                           b"0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison").body,
                         b"hello")

    def test_content_after_204(self):
        self.assertEqual(self.two_requests(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6"
                                           b"\r\n\r\npoison").status, 204)

    def test_content_after_head(self):
        answer = self.two_requests(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HEAD")
        self.assertEqual((answer.status, answer.fields["content-length"]), (200, "5"))

    def test_connection_close_is_obeyed(self):
        self.two_requests(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")

    def test_http_1_0_is_not_kept(self):
        self.two_requests(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    def test_bytes_on_an_idle_connection(self):
        idle, closed = threading.Event(), threading.Event()

        def answer_then_speak(x):
            x.reply(200, {}, b"first")
            idle.wait(30)
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            x.peer_left()
            closed.set()
            x.close()

        origin = self.origin()
        origin.on("/first", answer_then_speak)
        node = self.front(origin, node={"workers": 1})
        self.assertEqual(node.get("/first").body, b"first")
        idle.set()
        self.assertTrue(closed.wait(30), "a connection that speaks unasked is kept")
        self.assertEqual(node.get("/second").body, b"origin")

    def test_an_origin_that_closes_an_idle_connection_costs_nobody_an_error(self):
        origin = self.origin()
        node = self.front(origin, node={"workers": 1})
        self.assertEqual(node.get("/first").status, 200)
        origin.cut_all()
        self.assertEqual(node.get("/second").status, 200)


class Errors(NodeCase):
    def test_an_error_reply_says_nothing_about_software_or_origin(self):
        origin = self.origin(raw(b"nonsense", then="close"))
        node = self.front(origin)
        answer = node.get("/")
        self.assert_status(answer, 502)
        text = (answer.head + answer.body).decode("latin-1").lower()
        for word in ("server:", "nonsense", str(origin.port), "malformed", "epoll", "libevent"):
            self.assertNotIn(word, text)

    def test_an_error_reply_is_problem_json_for_who_asks(self):
        node = self.front(self.origin(raw(b"nonsense", then="close")))
        answer = node.get("/", {"Accept": "application/json"})
        self.assertEqual(answer.fields["content-type"].partition(";")[0], "application/problem+json")
        self.assertIn("502", answer.text)

    def test_an_error_reply_is_html_for_a_browser(self):
        node = self.front(self.origin(raw(b"nonsense", then="close")))
        answer = node.get("/", {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        self.assertEqual(answer.fields["content-type"].partition(";")[0], "text/html")

    def test_an_error_reply_to_head_has_no_content(self):
        node = self.front(self.origin(raw(b"nonsense", then="close")))
        client = self.client(node)
        answer = client.ask("HEAD", "/")
        self.assert_status(answer, 502)
        if not answer.closes:
            self.assertEqual(client.ask("HEAD", "/").status, 502)

    def test_a_refusing_origin_is_502_and_a_silent_one_504(self):
        gone = self.origin()
        gone.stop()
        self.assertEqual(self.front(gone).get("/").status, 502)
        silent = self.origin(lambda x: x.peer_left())
        node = self.front(silent, upstream={"timeouts": {"first_byte": "200ms"}, "retries": {"attempts": 0}})
        self.assertEqual(node.get("/").status, 504)

    def test_an_origin_that_stops_in_the_middle_is_cut_off(self):
        def stall(x):
            x.send_head(200, {"Content-Length": "10"})
            x.send(b"hello")
            x.peer_left()
            x.close()
        node = self.front(self.origin(stall), upstream={"timeouts": {"read": "200ms"}})
        with self.assertRaises((Truncated, ConnectionResetError)):
            node.get("/")
