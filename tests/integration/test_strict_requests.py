"""Requests that are not in the grammar, or that two parsers could read in two ways, are refused and end the connection.

One row is one message. Behind each stands a second request, which must never be read as one.
"""
from lib.case import NodeCase, SharedNodeCase, table
from lib.client import Client

BEHIND = b"GET /behind HTTP/1.1\r\nHost: test.example\r\n\r\n"
END = b"\r\n\r\n"


def get(line_ending=b"\r\n", fields=b"", target=b"/", version=b"HTTP/1.1", host=b"Host: test.example\r\n"):
    return b"GET " + target + b" " + version + line_ending + host + fields + b"\r\n"


def post(fields, body=b"", version=b"HTTP/1.1"):
    return b"POST /body " + version + b"\r\nHost: test.example\r\n" + fields + b"\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


class Refusals(SharedNodeCase):
    def refuse(self, data, *statuses):
        """Sends the bytes with a request behind them: one answer with one of the statuses, then the end."""
        with Client(self.shared_node.address) as client:
            client.send(data + BEHIND)
            response = client.response()
            self.assertIn(response.status, statuses or (400,), response)
            self.assertTrue(response.closes, "no Connection: close in %r" % response)
            self.assertTrue(client.closed(), "more came after the refusal: %r" % client.source.buffer)

    def assert_nothing_behind(self):
        self.assertEqual(self.shared_origin.count("/behind"), 0)


@table
class Heads(Refusals):
    """Nothing at all of these reaches the origin."""
    def row(self, data, *statuses):
        before = self.shared_origin.count()
        self.refuse(data, *statuses)
        self.assertEqual(self.shared_origin.count(), before, self.shared_origin.requests[before:])

    rows = {
        # 1: line endings and characters
        "bare LF ends the request line": (get(line_ending=b"\n"),),
        "bare LF ends a field line": (get(fields=b"A: b\nC: d\r\n"),),
        "bare LF ends the head": (b"GET / HTTP/1.1\r\nHost: test.example\r\n\n",),
        "LF only throughout": (b"GET / HTTP/1.1\nHost: test.example\n\n",),
        "bare CR in a field value": (get(fields=b"A: b\rC: d\r\n"),),
        "bare CR in the request line": (b"GET / HTTP/1.1\r\r\nHost: test.example\r\n\r\n",),
        "CR CR LF ends a field line": (get(fields=b"A: b\r\r\n"),),
        "NUL in a field value": (get(fields=b"A: b\0c\r\n"),),
        "NUL in a field name": (get(fields=b"A\0: b\r\n"),),
        "NUL in the target": (get(target=b"/a\0b"),),
        "control character in a field value": (get(fields=b"A: b\x01c\r\n"),),
        "escape character in a field value": (get(fields=b"A: \x1b[2J\r\n"),),
        "DEL in a field value": (get(fields=b"A: b\x7fc\r\n"),),
        "vertical tab in a field value": (get(fields=b"A: b\x0bc\r\n"),),
        "obs-text in a field name": (get(fields=b"\xc4: b\r\n"),),
        "obs-text in the target": (get(target=b"/\xc3\xa4"),),
        "obs-text in the method": (b"G\xcbT / HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        # 2: request line
        "two spaces before the target": (b"GET  / HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "two spaces before the version": (b"GET /  HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "space after the version": (b"GET / HTTP/1.1 \r\nHost: test.example\r\n\r\n",),
        "space before the method": (b" GET / HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "tab instead of a space": (b"GET\t/ HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "space inside the target": (b"GET /a b HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "HTTP 0.9 request": (b"GET /\r\n" + END,),
        "version HTTP 0.9": (get(version=b"HTTP/0.9"),),
        "version HTTP 2.0": (get(version=b"HTTP/2.0"), 505),
        "version HTTP 1.2": (get(version=b"HTTP/1.2"), 505),
        "HTTP 2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 400),
        "lower case version": (get(version=b"http/1.1"),),
        "version with three numbers": (get(version=b"HTTP/1.1.1"),),
        "version without a point": (get(version=b"HTTP/11"),),
        "version with two digits": (get(version=b"HTTP/1.10"),),
        "version of another protocol": (get(version=b"ICY/1.1"),),
        "empty method": (b" / HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "method that is no token": (b"G(T / HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "method of 33 bytes": (b"M" * 33 + b" / HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "fragment in the target": (get(target=b"/a#b"),),
        "target without a slash": (get(target=b"a"),),
        "empty target": (b"GET  HTTP/1.1\r\nHost: test.example\r\n\r\n",),
        "asterisk with a method that is not OPTIONS": (get(target=b"*"),),
        "backslash in the target": (get(target=b"/a\\b"),),
        "escape that is no number": (get(target=b"/%zz"),),
        "escape cut short": (get(target=b"/a%4"),),
        "encoded NUL in the path": (get(target=b"/a%00"),),
        "encoded line feed in the path": (get(target=b"/a%0a"),),
        "path that climbs above its root": (get(target=b"/a/../../b"),),
        "path that climbs above its root encoded": (get(target=b"/%2e%2e/b"),),
        "target over 8 KiB": (get(target=b"/" + b"a" * 8200), 414),
        "nine empty lines before a request": (b"\r\n" * 9 + get(),),
        "empty line ended by a bare LF": (b"\n" + get(),),
        # 3: field lines
        "space before the colon": (get(fields=b"A : b\r\n"),),
        "tab before the colon": (get(fields=b"A\t: b\r\n"),),
        "space before the colon of Content Length": (post(b"Content-Length : 5\r\n", b"hello"),),
        "empty field name": (get(fields=b": b\r\n"),),
        "field line without a colon": (get(fields=b"nothing\r\n"),),
        "space inside a field name": (get(fields=b"A b: c\r\n"),),
        "folded field line": (get(fields=b"A: b\r\n c\r\n"),),
        "folded field line with a tab": (get(fields=b"A: b\r\n\tc\r\n"),),
        "first field line starts with a space": (b"GET / HTTP/1.1\r\n Host: test.example\r\n\r\n",),
        "first field line starts with a tab": (b"GET / HTTP/1.1\r\n\tA: b\r\nHost: test.example\r\n\r\n",),
        # 4: Host
        "no Host": (get(host=b""),),
        "Host twice alike": (get(fields=b"Host: test.example\r\n"),),
        "Host twice unlike": (get(fields=b"Host: other.example\r\n"),),
        "Host twice in HTTP 1.0": (get(fields=b"Host: test.example\r\n", version=b"HTTP/1.0"),),
        "empty Host": (get(host=b"Host:\r\n"),),
        "Host as a list": (get(host=b"Host: a.example, b.example\r\n"),),
        "Host with user information": (get(host=b"Host: me@test.example\r\n"),),
        "Host with a port too large": (get(host=b"Host: test.example:65536\r\n"),),
        "Host with a port that is no number": (get(host=b"Host: test.example:http\r\n"),),
        "Host with two ports": (get(host=b"Host: test.example:80:80\r\n"),),
        "Host with a space": (get(host=b"Host: test example\r\n"),),
        "Host with a path": (get(host=b"Host: test.example/a\r\n"),),
        "Host with a query": (get(host=b"Host: test.example?a\r\n"),),
        "Host with an open bracket": (get(host=b"Host: [::1\r\n"),),
        "Host with a bracket that holds no address": (get(host=b"Host: [zz]\r\n"),),
        "Host with a bad escape": (get(host=b"Host: test%zz.example\r\n"),),
        "absolute form with another scheme": (get(target=b"ftp://test.example/"),),
        "absolute form with user information": (get(target=b"http://me@test.example/"),),
        "absolute form without a host": (get(target=b"http:///a"),),
        "absolute form with a port too large": (get(target=b"http://test.example:70000/"),),
        "absolute form that Host contradicts": (get(target=b"http://other.example/"),),
        "absolute form without a Host": (get(target=b"http://test.example/", host=b""),),
        # 5: length
        "Content Length with a plus": (post(b"Content-Length: +5\r\n", b"hello"),),
        "Content Length with a minus": (post(b"Content-Length: -5\r\n", b"hello"),),
        "Content Length in hexadecimal": (post(b"Content-Length: 0x5\r\n", b"hello"),),
        "Content Length with letters": (post(b"Content-Length: 5a\r\n", b"hello"),),
        "Content Length with a space inside": (post(b"Content-Length: 5 5\r\n", b"hello"),),
        "Content Length with a point": (post(b"Content-Length: 5.0\r\n", b"hello"),),
        "empty Content Length": (post(b"Content-Length:\r\n"),),
        "Content Length of 19 digits": (post(b"Content-Length: 0000000000000000005\r\n", b"hello"),),
        "Content Length that overflows": (post(b"Content-Length: 18446744073709551621\r\n", b"hello"),),
        "Content Length list alike": (post(b"Content-Length: 5, 5\r\n", b"hello"),),
        "Content Length list unlike": (post(b"Content-Length: 5, 6\r\n", b"hello"),),
        "Content Length twice alike": (post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),),
        "Content Length twice unlike": (post(b"Content-Length: 5\r\nContent-Length: 50\r\n", b"hello"),),
        "Content Length beside chunked": (post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                                               b"0\r\n\r\n"),),
        "chunked beside Content Length": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                                               b"0\r\n\r\n"),),
        "GET with two lengths": (get(fields=b"Content-Length: 0\r\nContent-Length: 0\r\n"),),
        "Content Length over the body limit": (post(b"Content-Length: 16777217\r\n"), 413),
        "unknown transfer coding": (post(b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n"), 501),
        "unknown transfer coding before chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
        "chunked before another coding": (post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"), 501, 400),
        "identity": (post(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"), 501),
        "chunked in a longer word": (post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501),
        "chunked twice in one line": (post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),),
        "chunked on two lines": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                      b"0\r\n\r\n"),),
        "chunked with a parameter": (post(b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n"), 400, 501),
        "chunked in quotes": (post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 400, 501),
        "chunked after a vertical tab": (post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),),
        "chunked with an empty list member": (post(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"), 400, 501),
        "empty Transfer Encoding": (post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n"), 400, 501),
        "chunked in HTTP 1.0": (post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"HTTP/1.0"),),
        # 8: methods and expectations
        "CONNECT": (b"CONNECT test.example:443 HTTP/1.1\r\nHost: test.example:443\r\n\r\n", 405),
        "CONNECT with an origin form target": (b"CONNECT / HTTP/1.1\r\nHost: test.example\r\n\r\n", 405, 400),
        "TRACE": (b"TRACE / HTTP/1.1\r\nHost: test.example\r\n\r\n", 405),
        "unknown expectation": (post(b"Expect: 200-ok\r\nContent-Length: 5\r\n", b"hello"), 417),
        "expectation beside the known one": (post(b"Expect: 100-continue, more\r\nContent-Length: 5\r\n", b"hello"),
                                             417),
        # 4 (limits)
        "field line over 8 KiB": (get(fields=b"A: " + b"b" * 8200 + b"\r\n"), 431),
        "head over 32 KiB": (get(fields=b"".join(b"A%d: %s\r\n" % (n, b"b" * 4000) for n in range(10))), 431),
        "more than 100 fields": (get(fields=b"".join(b"A%d: b\r\n" % n for n in range(101))), 431),
    }


@table
class Bodies(Refusals):
    """The head of these may be on its way already; the origin must never see a complete message."""
    def row(self, body, *statuses):
        before = self.shared_origin.count()
        self.refuse(chunked(body), *statuses)
        for request in self.shared_origin.seen()[before:]:
            self.assertIsNone(request.body, "the origin took %r as complete" % request)
        self.assert_nothing_behind()

    rows = {
        "chunk size that is no number": (b"g\r\nhello\r\n0\r\n\r\n",),
        "empty chunk size": (b"\r\nhello\r\n0\r\n\r\n",),
        "chunk size with a minus": (b"-5\r\nhello\r\n0\r\n\r\n",),
        "chunk size with a plus": (b"+5\r\nhello\r\n0\r\n\r\n",),
        "chunk size with 0x": (b"0x5\r\nhello\r\n0\r\n\r\n",),
        "chunk size with a leading space": (b" 5\r\nhello\r\n0\r\n\r\n",),
        "chunk size with a trailing space": (b"5 \r\nhello\r\n0\r\n\r\n",),
        "chunk size with an underscore": (b"1_0\r\nhello\r\n0\r\n\r\n",),
        "chunk size of 16 digits": (b"0000000000000005\r\nhello\r\n0\r\n\r\n",),
        "chunk size that overflows": (b"10000000000000005\r\nhello\r\n0\r\n\r\n",),
        "chunk size line ended by LF": (b"5\nhello\r\n0\r\n\r\n",),
        "chunk size line with a bare CR": (b"5\rX\r\nhello\r\n0\r\n\r\n",),
        "extension ended by LF": (b"5;a\nhello\r\n0\r\n\r\n",),
        "extension with a bare LF inside": (b"5;a=\n\r\nhello\r\n0\r\n\r\n",),
        "extension without a name": (b"5;=b\r\nhello\r\n0\r\n\r\n",),
        "extension that is empty": (b"5;\r\nhello\r\n0\r\n\r\n",),
        "extension with an open quote": (b'5;a="b\r\nhello\r\n0\r\n\r\n',),
        "extension with a control character": (b"5;a=\x01\r\nhello\r\n0\r\n\r\n",),
        "extension over 1 KiB": (b"5;a=" + b"b" * 1100 + b"\r\nhello\r\n0\r\n\r\n", 400, 413, 431),
        "extensions over 16 KiB together": ((b"1;a=" + b"b" * 900 + b"\r\nx\r\n") * 20 + b"0\r\n\r\n", 400, 413, 431),
        "chunk data longer than its size": (b"5\r\nhello!\r\n0\r\n\r\n",),
        "chunk data ended by LF": (b"5\r\nhello\n0\r\n\r\n",),
        "chunk data ended by two bytes that are no CRLF": (b"5\r\nhelloXX0\r\n\r\n",),
        "chunk data ended by CR CR": (b"5\r\nhello\r\r0\r\n\r\n",),
        "last chunk ended by LF": (b"5\r\nhello\r\n0\n\r\n",),
        "trailer ended by LF": (b"0\r\nA: b\n\r\n",),
        "trailer section ended by LF": (b"0\r\nA: b\r\n\n",),
        "trailer that is folded": (b"0\r\nA: b\r\n c\r\n\r\n",),
        "trailer with a space before the colon": (b"0\r\nA : b\r\n\r\n",),
        "trailer without a colon": (b"0\r\nnothing\r\n\r\n",),
        "trailer with NUL": (b"0\r\nA: \0\r\n\r\n",),
        "trailers over 8 KiB": (b"0\r\n" + b"".join(b"A%d: %s\r\n" % (n, b"b" * 900) for n in range(10)) + b"\r\n",
                                400, 413, 431),
    }


@table
class Accepted(SharedNodeCase):
    """The other side of the border: unusual, but in the grammar; what the origin gets is well formed."""
    def row(self, data, body=None):
        before = self.shared_origin.count()
        with Client(self.shared_node.address) as client:
            client.send(data)
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.shared_origin.count(), before + 1)
        if body is not None:
            self.assertEqual(self.shared_origin.last().body, body)

    rows = {
        "plain": (get(),),
        "eight empty lines before a request": (b"\r\n" * 8 + get(),),
        "obs text in a field value": (get(fields=b"A: \xe4\r\n"),),
        "tab in a field value": (get(fields=b"A: b\tc\r\n"),),
        "empty field value": (get(fields=b"A:\r\n"),),
        "no space after the colon": (get(fields=b"A:b\r\n"),),
        "method of 32 bytes": (b"M" * 32 + b" / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 0\r\n\r\n",),
        "HTTP 1.0 without Host": (get(host=b"", version=b"HTTP/1.0"),),
        "Host with a port": (get(host=b"Host: test.example:8080\r\n"),),
        "Host as an IPv6 address": (get(host=b"Host: [2001:db8::1]:80\r\n"),),
        "100 fields": (get(fields=b"".join(b"A%d: b\r\n" % n for n in range(99))),),
        "Content Length with leading zeros": (post(b"Content-Length: 005\r\n", b"hello"), b"hello"),
        "Content Length of zero": (post(b"Content-Length: 0\r\n"), b""),
        "upper case chunked": (post(b"Transfer-Encoding: CHUNKED\r\n", b"5\r\nhello\r\n0\r\n\r\n"), b"hello"),
        "chunk size of 15 digits": (chunked(b"000000000000005\r\nhello\r\n0\r\n\r\n"), b"hello"),
        "chunk size in capitals": (chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), b"0123456789"),
        "chunk extensions": (chunked(b'5;a;b=c;d="e \\" f"\r\nhello\r\n0;x=y\r\n\r\n'), b"hello"),
        "last chunk of many zeros": (chunked(b"5\r\nhello\r\n000\r\n\r\n"), b"hello"),
        "trailers": (chunked(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"), b"hello"),
        "GET with a body": (b"GET /g HTTP/1.1\r\nHost: test.example\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        "DELETE with a body": (b"DELETE /g HTTP/1.1\r\nHost: test.example\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    }


class Slowly(SharedNodeCase):
    def test_a_head_sent_byte_by_byte_is_the_same_request(self):
        with Client(self.shared_node.address) as client:
            for byte in post(b"Content-Length: 5\r\nX-Slow: yes\r\n", b"hello"):
                client.send(bytes([byte]))
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.shared_origin.last().body, b"hello")
        self.assertEqual(self.shared_origin.last().fields["x-slow"], "yes")

    def test_a_chunked_body_sent_byte_by_byte_is_the_same_body(self):
        with Client(self.shared_node.address) as client:
            for byte in chunked(b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nT: u\r\n\r\n"):
                client.send(bytes([byte]))
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.shared_origin.last().body, b"hello world")

    def test_a_malformed_head_sent_byte_by_byte_is_refused(self):
        before = self.shared_origin.count()
        with Client(self.shared_node.address) as client:
            try:
                for byte in get(fields=b"A : b\r\n"):
                    client.send(bytes([byte]))
            except ConnectionError:
                pass  # refused before its end
            self.assertEqual(client.response().status, 400)
            self.assertTrue(client.closed())
        self.assertEqual(self.shared_origin.count(), before)


class UnknownHosts(NodeCase):
    def test_a_host_that_is_not_served_is_not_given_to_the_first_site(self):
        origin = self.origin()
        node = self.front(origin, routes=[{"match": {"hosts": ["known.example"]}, "upstream": "app"}])
        self.assertEqual(node.get("/", host="known.example").status, 200)
        self.assertIn(node.get("/", host="unknown.example").status, (404, 421))
        self.assertEqual(origin.count(), 1)

    def test_host_is_compared_without_case_and_default_port(self):
        origin = self.origin()
        node = self.front(origin, routes=[{"match": {"hosts": ["known.example"]}, "upstream": "app"}])
        self.assertEqual(node.get("/", host="KNOWN.example").status, 200)
        self.assertEqual(node.get("/", host="known.example:80").status, 200)
