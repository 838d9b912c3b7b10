"""A node's admin API that follows a script: what weirctl makes of answers that no real node gives on demand."""
import http.server
import json
import os
import shutil
import socketserver
import tempfile
import threading

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "cluster", "ctl", "samples", "farm.json")


def sample():
    """The farm of the unit tests: three nodes, three origins, one of each kind of trouble."""
    with open(SAMPLE, encoding="utf-8") as f:
        return json.load(f)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 50


class FakeAdmin:
    """`answers`: target without its query -> JSON, or (status, JSON), or a function of the request's JSON to either."""

    def __init__(self, **answers):
        self.answers, self.asked = {"/v1/farm": sample(), **answers}, []
        self.folder = tempfile.mkdtemp(prefix="weir-test-")
        self.socket = os.path.join(self.folder, "admin.sock")
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(body) if body else None
                fake.asked.append((self.command, self.path, body))
                value = fake.answers.get(self.path.partition("?")[0], (404, {"error": "there is no such endpoint"}))
                value = value(body) if callable(value) else value
                status, value = value if isinstance(value, tuple) else (200, value)
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            do_GET = do_POST = answer

            def log_message(self, *args):
                pass

            def address_string(self):
                return "unix"

        self.server = Server(self.socket, Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def stop(self):
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()
            shutil.rmtree(self.folder)
