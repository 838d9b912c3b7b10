"""OCSP: what responders say is fetched, judged, stapled, kept over restarts; whatever they do, the node serves."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from lib import schema
from lib.case import NodeCase
from lib.node import settings
from lib.ports import LOOPBACK, free_port, lasting_port
from lib.tls_files import TlsFiles
from lib.wait import wait_until

NAME = "www.example"


class Ocsp(NodeCase):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="weir-ocsp-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.state = os.path.join(self.folder, "state")
        os.mkdir(self.state)
        self.tls = TlsFiles(self.folder)
        self.port = lasting_port()

    def issue(self, *extensions):
        self.tls.issue("www", ["DNS:" + NAME],
                       extensions=["authorityInfoAccess=OCSP;URI:http://127.0.0.1:%d/ocsp" % self.port, *extensions])
        return self.tls.with_chain("www")

    def serial(self):
        out = subprocess.run(["openssl", "x509", "-in", self.tls.cert.replace("server", "www"), "-noout", "-serial"],
                             capture_output=True, text=True, check=True)
        return out.stdout.strip().split("=")[1]

    def responder(self, state="V"):
        """openssl's own, until the test ends. `state`: V, R (revoked)."""
        index = os.path.join(self.folder, "index")
        with open(index, "w") as f:
            f.write("%s\t351231235959Z\t%s\t%s\tunknown\t/CN=x\n"
                    % (state, "260101000000Z" if state == "R" else "", self.serial()))
        said = os.path.join(self.folder, "responder.log")
        with open(said, "wb") as log:
            process = subprocess.Popen(["openssl", "ocsp", "-port", str(self.port), "-index", index, "-CA", self.tls.ca,
                                        "-rsigner", self.tls.ca, "-rkey", self.tls.ca_key, "-ndays", "1"],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def end():
            process.kill()
            process.wait()
        self.addCleanup(end)

        def listens():  # a connection without a request would hold it up for good
            with open(said) as f:
                return "waiting for" in f.read()
        wait_until(listens, what="the responder listens")
        return end

    def answers(self, *parts):
        """A responder that says this and closes; without parts: nothing, ever."""
        server = socket.create_server(("127.0.0.1", self.port))
        held = []

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                if not parts:
                    held.append(client)
                    continue
                with client, contextlib.suppress(OSError):  # who has heard enough may go
                    client.recv(65536)
                    for part in parts:
                        client.sendall(part)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass  # to close before all of the request was read would be a reset
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def end():
            server.shutdown(socket.SHUT_RDWR)
            server.close()
            thread.join()
            for client in held:
                client.close()
        self.addCleanup(end)
        return held

    def start(self, pem, **tls):
        tls.setdefault("ocsp", "fetch")
        tls.setdefault("certificates", [{"certificate": pem}])
        self.secure = free_port()
        listen = [{"address": "%s:%d" % (LOOPBACK, free_port())},
                  {"address": "%s:%d" % (LOOPBACK, self.secure), "tls": {}}]
        return self.node(settings([{"name": "app", "origins": ["http://127.0.0.1:9"]}], [{"respond": {"body": "here"}}],
                                  listen, tls=tls, node={"state_dir": self.state}))

    def stapled(self, *options):
        """What a client sees: the status of the response that is stapled, or None."""
        done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (LOOPBACK, self.secure), "-servername", NAME,
                               "-status", "-CAfile", self.tls.ca, "-verify_return_error", *options],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        self.assertIn("Verify return code: 0 (ok)", done.stdout, done.stderr)
        found = re.search(r"Cert Status: (\w+)", done.stdout)
        self.assertEqual(found is None, "OCSP response: no response sent" in done.stdout)
        return found and found.group(1)

    def see(self, node):
        status, answer = node.admin(path="/v1/tls")
        self.assertEqual(status, 200)
        schema.check(answer, "tls")
        return answer["certificates"][0]["ocsp"]

    def wait_state(self, node, state, deadline=40):
        return wait_until(lambda: self.see(node) if self.see(node)["state"] == state else None, deadline,
                          "OCSP is " + state)

    def wait_error(self, node, error, deadline=40):
        ocsp = wait_until(lambda: self.see(node) if self.see(node)["error"] else None, deadline, "an error of OCSP")
        self.assertIn(error, ocsp["error"])
        self.assertEqual(node.get().status, 200)
        return ocsp

    def test_a_good_answer_is_stapled_and_kept_over_a_restart(self):
        pem = self.issue()
        end = self.responder()
        node = self.start(pem)
        ocsp = self.wait_state(node, "good")
        self.assertIsNone(ocsp["error"])
        self.assertEqual((self.stapled("-tls1_3"), self.stapled("-tls1_2")), ("good", "good"))
        self.assertEqual(len(os.listdir(os.path.join(self.state, "ocsp"))), 1)
        node.stop()
        end()
        self.assertEqual(self.see(self.start(pem))["state"], "good")  # nobody was asked
        self.assertEqual(self.stapled(), "good")

    def test_it_stays_over_a_reload(self):
        pem = self.issue()
        end = self.responder()
        node = self.start(pem)
        until = self.wait_state(node, "good")["until"]
        end()
        self.assertTrue(node.reload())
        self.assertEqual((self.see(node)["state"], self.see(node)["until"]), ("good", until))

    def test_what_is_kept_must_be_true(self):
        pem = self.issue()
        end = self.responder()
        node = self.start(pem)
        self.wait_state(node, "good")
        node.stop()
        end()
        file, = os.listdir(os.path.join(self.state, "ocsp"))
        with open(os.path.join(self.state, "ocsp", file), "r+b") as f:
            f.seek(100)
            f.write(b"\0\0\0\0")
        node = self.start(pem)
        self.assertNotEqual(self.see(node)["state"], "good")
        self.wait_error(node, "cannot be reached")

    def test_revoked(self):
        pem = self.issue()
        self.responder("R")
        node = self.start(pem)
        self.wait_state(node, "revoked")
        node.wait_log(r"warn tls: \S+www.pem: OCSP: the certificate is revoked")
        self.assertIsNone(self.stapled())
        self.assertEqual(node.get().status, 200)

    def test_a_dead_responder(self):
        node = self.start(self.issue("tlsfeature=status_request"))
        ocsp = self.wait_error(node, "cannot be reached")
        self.assertTrue(ocsp["must_staple"])
        self.assertEqual(node.admin(path="/v1/tls")[1]["summary"]["must_staple_failed"], 1)
        self.assertIn("\nweir_tls_ocsp_failed 1\n", node.admin(path="/metrics")[1])

    def test_garbage(self):
        for answer, error in ((b"HTTP/1.0 200 OK\r\n\r\njunk", "that is no response"),
                              (b"HTTP/1.0 500 No\r\n\r\n", "status 500"),
                              (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nx", "not whole"),
                              (b"HTTP/1.0 200 OK\r\n\r\n0\x03\x0a\x01\x03", "trylater"),
                              (b"", "in HTTP"),
                              (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200000, "")):
            with self.subTest(error):
                self.port = lasting_port()
                pem = self.issue()
                self.answers(answer)
                self.wait_error(self.start(pem), error)

    def test_a_silent_responder_holds_nobody_up(self):
        pem = self.issue()
        held = self.answers()
        node = self.start(pem)
        wait_until(lambda: held, what="the responder was asked")
        self.assertEqual(node.get().status, 200)
        self.assertTrue(node.reload())
        self.wait_error(node, "does not answer in time", deadline=30)

    def test_a_silent_responder_does_not_hold_up_the_end(self):
        pem = self.issue()
        held = self.answers()
        node = self.start(pem)
        wait_until(lambda: held, what="the responder was asked")
        began = time.monotonic()
        node.stop()
        self.assertLess(time.monotonic() - began, 5)

    def test_from_a_file(self):
        pem = self.issue()
        end = self.responder()
        file = os.path.join(self.folder, "www.ocsp")
        done = subprocess.run(["openssl", "ocsp", "-issuer", self.tls.ca, "-cert", pem, "-no_nonce", "-noverify",
                               "-url", "http://127.0.0.1:%d" % self.port, "-respout", file], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        end()
        rows = [{"certificate": pem, "ocsp": file}]
        node = self.start(pem, ocsp="off", certificates=rows)
        self.assertEqual(self.see(node)["state"], "good")
        self.assertEqual(self.stapled(), "good")
        with open(file, "wb") as f:
            f.write(b"junk")
        self.assertTrue(node.reload())
        self.assertEqual(self.see(node)["state"], "failed")
        self.assertIsNone(self.stapled())
        node.wait_log(r"warn tls: \S+www.ocsp: nothing is stapled: that is no response")
        os.unlink(file)
        self.assertFalse(node.reload())
        self.assertIn("www.ocsp: cannot be read", node.log())

    def test_off_asks_nobody(self):
        pem = self.issue()
        node = self.start(pem, ocsp="off")
        ocsp = self.see(node)
        self.assertEqual((ocsp["state"], ocsp["responder"], ocsp["error"]), ("none", True, None))
