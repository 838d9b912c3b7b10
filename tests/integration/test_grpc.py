"""gRPC end to end: clients and servers of grpcio with weir between them, HTTP/2 on either side.

Messages are bytes and services are generic handlers, so that no compiled protocol is needed.
"""
import concurrent.futures
import os
import queue
import shutil
import tempfile
import threading
import unittest

import grpc

from lib import node as nodes
from lib.case import NodeCase
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles
from lib.wait import wait_until

MB = 1 << 20
OPTIONS = [("grpc.max_receive_message_length", 64 * MB), ("grpc.max_send_message_length", 64 * MB),
           ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
DEADLINE = 60


class Service:
    """test.Service, whose methods are named by what they do."""
    def __init__(self, credentials=None):
        self.calls, self.ended, self.deadlines, self.metadata = [], queue.Queue(), [], []
        self.go_on = threading.Event()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=OPTIONS)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Steps": grpc.unary_stream_rpc_method_handler(self.steps),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
        }),))
        address = "%s:0" % LOOPBACK
        self.port = self.server.add_secure_port(address, credentials) if credentials else \
            self.server.add_insecure_port(address)
        self.server.start()

    def note(self, name, context):
        self.calls.append(name)
        self.deadlines.append(context.time_remaining())
        self.metadata.append(dict(context.invocation_metadata()))

    def echo(self, message, context):
        self.note("Echo", context)
        context.send_initial_metadata((("first", "1"),))
        context.set_trailing_metadata((("last", "2"), ("data-bin", b"\0\xff")))
        return message

    def fail(self, message, context):
        self.note("Fail", context)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not \u00fcber today: " + message.decode())

    def wait(self, message, context):
        """Until the call ends from outside."""
        self.note("Wait", context)
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(DEADLINE)
        self.ended.put(context.is_active())
        return message

    def count(self, message, context):
        self.note("Count", context)
        n, size = (int(x) for x in message.split())
        for i in range(n):
            yield b"%08d" % i + b"x" * size

    def steps(self, message, context):
        """The second message comes when the test says so."""
        self.note("Steps", context)
        yield b"one"
        self.go_on.wait(DEADLINE)
        yield b"two"

    def sum(self, messages, context):
        self.note("Sum", context)
        return b"%d" % sum(len(m) for m in messages)

    def talk(self, messages, context):
        self.note("Talk", context)
        for m in messages:
            yield b"re: " + m


class Calls:
    def __init__(self, channel):
        self.echo = channel.unary_unary("/test.Service/Echo")
        self.fail = channel.unary_unary("/test.Service/Fail")
        self.wait = channel.unary_unary("/test.Service/Wait")
        self.absent = channel.unary_unary("/test.Service/Absent")
        self.count = channel.unary_stream("/test.Service/Count")
        self.steps = channel.unary_stream("/test.Service/Steps")
        self.sum = channel.stream_unary("/test.Service/Sum")
        self.talk = channel.stream_stream("/test.Service/Talk")


class GrpcCase(NodeCase):
    def service(self, **kw):
        service = Service(**kw)
        self.addCleanup(lambda: service.server.stop(0).wait())
        return service

    def before(self, url, listen=None, upstream=None, **top):
        top.setdefault("routes", [{"upstream": "app", "limits": {"body": "64MiB"}}])
        return self.node(nodes.settings([nodes.upstream(url, **(upstream or {}))],
                                        listen=[dict({"address": "%s:%d" % (LOOPBACK, free_port()), "h2c": True},
                                                     **(listen or {}))], **top))

    def channel(self, node, credentials=None, options=()):
        target = "%s:%d" % node.address
        options = OPTIONS + list(options)
        channel = grpc.secure_channel(target, credentials, options) if credentials else \
            grpc.insecure_channel(target, options)
        self.addCleanup(channel.close)
        return Calls(channel)

    def fails(self, status, call, *args, **kw):
        with self.assertRaises(grpc.RpcError) as failed:
            call(*args, timeout=kw.pop("timeout", DEADLINE), **kw)
        self.assertEqual(failed.exception.code(), status, failed.exception)
        return failed.exception


class Everything:
    """The same over TLS and without; `calls`, `origin` from setUp."""

    def test_unary_with_metadata_either_way(self):
        answer, call = self.calls.echo.with_call(b"hello", timeout=DEADLINE, metadata=(("mine", "x"),))
        self.assertEqual(answer, b"hello")
        self.assertEqual(dict(call.initial_metadata())["first"], "1")
        trailing = dict(call.trailing_metadata())
        self.assertEqual((trailing["last"], trailing["data-bin"]), ("2", b"\0\xff"))
        self.assertEqual(self.origin_.metadata[0]["mine"], "x")

    def test_status_and_message_arrive(self):
        failed = self.fails(grpc.StatusCode.FAILED_PRECONDITION, self.calls.fail, b"x")
        self.assertEqual(failed.details(), "not \u00fcber today: x")

    def test_a_method_that_is_not_there(self):
        """A response with trailers only, of the origin's."""
        self.fails(grpc.StatusCode.UNIMPLEMENTED, self.calls.absent, b"x")

    def test_server_streams(self):
        got = list(self.calls.count(b"1000 100", timeout=DEADLINE))
        self.assertEqual([int(m[:8]) for m in got], list(range(1000)))

    def test_large_messages(self):
        got = list(self.calls.count(b"8 %d" % (4 * MB), timeout=DEADLINE))
        self.assertEqual([len(m) for m in got], [4 * MB + 8] * 8)
        self.assertEqual(self.calls.sum(iter([b"x" * 4 * MB] * 8), timeout=DEADLINE), b"%d" % (32 * MB))

    def test_client_streams(self):
        self.assertEqual(self.calls.sum((b"x" * i for i in range(500)), timeout=DEADLINE), b"%d" % (499 * 250))

    def test_each_message_passes_at_once(self):
        stream = self.calls.steps(b"", timeout=DEADLINE)
        self.assertEqual(next(stream), b"one")  # the second one does not even exist yet
        self.origin_.go_on.set()
        self.assertEqual(next(stream), b"two")
        self.assertRaises(StopIteration, next, stream)

    def test_a_conversation(self):
        said = queue.Queue()
        stream = self.calls.talk(iter(said.get, None), timeout=DEADLINE)
        for i in range(50):
            said.put(b"%d" % i)
            self.assertEqual(next(stream), b"re: %d" % i)
        said.put(None)
        self.assertRaises(StopIteration, next, stream)
        self.assertEqual(stream.code(), grpc.StatusCode.OK)

    def test_many_calls_at_a_time(self):
        futures = [self.calls.echo.future(b"%d" % i, timeout=DEADLINE) for i in range(300)]
        self.assertEqual([f.result() for f in futures], [b"%d" % i for i in range(300)])

    def test_a_deadline_goes_on_and_ends_the_call(self):
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, self.calls.wait, b"", timeout=0.5)
        self.assertFalse(self.origin_.ended.get(timeout=DEADLINE), "the origin was not told")
        self.assertLess(self.origin_.deadlines[0], 0.6)

    def test_who_cancels_takes_the_call_along(self):
        call = self.calls.wait.future(b"", timeout=DEADLINE)
        wait_until(lambda: self.origin_.calls == ["Wait"])
        call.cancel()
        self.assertFalse(self.origin_.ended.get(timeout=DEADLINE))


class Plain(Everything, GrpcCase):
    def setUp(self):
        self.origin_ = self.service()
        self.calls = self.channel(self.before("h2c://%s:%d" % (LOOPBACK, self.origin_.port)))


class Tls(Everything, GrpcCase):
    """TLS on either side, HTTP/2 by ALPN."""
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weir-grpc-")
        cls.files = TlsFiles(os.path.join(cls.folder, "tls"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @staticmethod
    def read(path):
        with open(path, "rb") as f:
            return f.read()

    def setUp(self):
        key, cert, ca = (self.read(p) for p in (self.files.key, self.files.cert, self.files.ca))
        self.origin_ = self.service(credentials=grpc.ssl_server_credentials([(key, cert)]))
        node = self.before("https://%s:%d" % (LOOPBACK, self.origin_.port), listen={"h2c": False, "tls": {}},
                           upstream={"tls": {"ca": self.files.ca, "http2": True}},
                           tls={"certificates": [{"certificate": self.files.cert, "key": self.files.key}]})
        self.calls = self.channel(node, grpc.ssl_channel_credentials(ca))


class Errors(GrpcCase):
    """What weir answers itself has a status of gRPC."""

    def test_no_origin(self):
        calls = self.channel(self.before("h2c://%s:%d" % (LOOPBACK, free_port()), upstream={"retries": {"attempts": 0}}))
        failed = self.fails(grpc.StatusCode.UNAVAILABLE, calls.echo, b"x")
        self.assertIn("request ", failed.details())

    def test_no_route(self):
        service = self.service()
        node = self.before("h2c://%s:%d" % (LOOPBACK, service.port), routes=[{"match": {"paths": ["/other"]}, "upstream": "app"}])
        self.fails(grpc.StatusCode.UNIMPLEMENTED, self.channel(node).echo, b"x")

    def test_refused_by_a_limit(self):
        service = self.service()
        node = self.before("h2c://%s:%d" % (LOOPBACK, service.port),
                           limits=[{"name": "few", "rate": "1/h", "burst": 1}],
                           routes=[{"upstream": "app", "limits": {"rates": ["few"]}}])
        calls = self.channel(node)
        self.assertEqual(calls.echo(b"x", timeout=DEADLINE), b"x")
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, calls.echo, b"x")

    def test_more_content_than_the_route_allows(self):
        service = self.service()
        node = self.before("h2c://%s:%d" % (LOOPBACK, service.port),
                           routes=[{"upstream": "app", "limits": {"body": "1MiB"}}])
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.channel(node).sum, iter([b"x" * MB] * 4))

    def test_an_origin_that_is_late(self):
        service = self.service()
        node = self.before("h2c://%s:%d" % (LOOPBACK, service.port), upstream={"timeouts": {"first_byte": "300ms"}})
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, self.channel(node).wait, b"")
        self.assertFalse(service.ended.get(timeout=DEADLINE))

    def test_a_call_that_began_is_not_sent_again(self):
        service = self.service()
        node = self.before("h2c://%s:%d" % (LOOPBACK, service.port),
                           upstream={"timeouts": {"first_byte": "300ms"}, "retries": {"attempts": 2}})
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, self.channel(node).wait, b"")
        self.assertEqual(service.calls, ["Wait"])


if __name__ == "__main__":
    unittest.main()
