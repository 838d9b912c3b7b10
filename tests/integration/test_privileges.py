"""Started as root: the node becomes node.user; a warden of root's opens keys and binds low ports for it."""
import os
import pwd
import shutil
import signal
import socket
import tempfile
import unittest

from lib.case import NodeCase
from lib.node import Node, NodeFailed, sanitizer, settings
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles
from lib.wait import wait_until

USER = "nobody"
CHOWN, DAC_READ_SEARCH, NET_BIND_SERVICE = 1 << 0, 1 << 2, 1 << 10


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return {line.split(":", 1)[0]: line.split(":", 1)[1].split() for line in f}


def wardens_of(pid):
    """Children of the node that are called so."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = status_of(int(name))
        except (OSError, ProcessLookupError):
            continue
        if status["PPid"] == [str(pid)] and status["Name"] == ["weir-warden"]:
            found.append(int(name))
    return found


def gone(pid):
    try:
        return status_of(pid)["State"][0] in "ZX"
    except (OSError, KeyError):
        return True


def free_low_port():
    for port in range(1023, 599, -1):
        with socket.socket() as s:
            try:
                s.bind((LOOPBACK, port))
                return port
            except OSError:
                continue
    raise unittest.SkipTest("no port below 1024 is free")


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Privileges(NodeCase):
    def setUp(self):
        super().setUp()
        self.keys = tempfile.mkdtemp(prefix="weir-keys-")
        self.addCleanup(shutil.rmtree, self.keys, True)
        self.tls = TlsFiles(self.keys)

    def config(self, upstreams=None, **top):
        top.setdefault("node", {})["user"] = USER
        top.setdefault("tls", {"certificates": [{"certificate": self.tls.cert, "key": self.tls.key}]})
        return settings(upstreams or [{"name": "app", "origins": ["http://127.0.0.1:9"]}],
                        [{"respond": {"body": "here\n"}}], **top)

    def start_as_user(self, config):
        node = Node(config)
        user = pwd.getpwnam(USER)
        os.chown(node.dir, user.pw_uid, user.pw_gid)  # for its sockets
        self.addCleanup(node.stop)
        return node.start()

    def test_it_is_the_user_and_nothing_else(self):
        node = self.start_as_user(self.config())
        user = pwd.getpwnam(USER)
        for task in os.listdir("/proc/%d/task" % node.pid):
            status = status_of(int(task))
            self.assertEqual(status["Uid"], [str(user.pw_uid)] * 4)
            self.assertEqual(status["Gid"], [str(user.pw_gid)] * 4)
            self.assertNotIn("0", status["Groups"])
            for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                self.assertEqual(int(status[kind][0], 16), 0, kind)
            self.assertEqual(status["NoNewPrivs"], ["1"])
        self.assertEqual(node.get().status, 200)

    def test_no_core_of_a_process_with_keys(self):
        node = self.start_as_user(self.config())
        with open("/proc/%d/limits" % node.pid) as f:
            limits = f.read()
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    def test_the_warden_keeps_two_capabilities_and_no_descriptor(self):
        node = self.start_as_user(self.config())
        warden, = wardens_of(node.pid)
        status = status_of(warden)
        self.assertEqual(int(status["CapEff"][0], 16), DAC_READ_SEARCH | NET_BIND_SERVICE)
        self.assertEqual(int(status["CapPrm"][0], 16), DAC_READ_SEARCH | NET_BIND_SERVICE)
        self.assertEqual(status["NoNewPrivs"], ["1"])
        if sanitizer() != "thread":  # which has a thread of its own in every process
            self.assertEqual(status["Threads"], ["1"])
        self.assertEqual(sorted(os.listdir("/proc/%d/fd" % warden)), ["0", "1", "2", "3"])

    def test_a_key_of_roots_is_read_again_by_a_reload(self):
        node = self.start_as_user(self.config())
        os.chmod(self.keys, 0o700)  # nobody but root gets there at all
        self.tls.issue("server", ["DNS:renewed.example"])
        self.assertTrue(node.reload(), node.log())
        self.tls.issue("other", ["DNS:other.example"])
        os.replace(self.tls.cert.replace("server.crt", "other.crt"), self.tls.cert)
        self.assertFalse(node.reload())
        self.assertIn("server.crt: the private key of %s does not belong" % self.tls.key, node.log())
        self.assertEqual(node.get().status, 200)

    def test_all_that_a_reload_reads_may_be_roots(self):
        def write(name, text):
            path = os.path.join(self.keys, name)
            with open(path, "w") as f:
                f.write(text + "\n")
            return path

        secret, password, token = write("secret", "s" * 64), write("password", "p" * 8), write("token", "t" * 64)
        admin_port = free_port()
        redis = {"addresses": ["127.0.0.1:9"], "password_file": password, "connect_timeout": "1s",
                 "tls": {"enabled": True, "ca_file": self.tls.ca, "certificate_file": self.tls.client_cert,
                         "key_file": self.tls.client_key}}
        config = self.config(
            listen=[{"address": "%s:%d" % (LOOPBACK, free_port())},
                    {"address": "%s:%d" % (LOOPBACK, free_port()),
                     "tls": {"client_auth": "required", "client_ca": self.tls.ca}}],
            farm={"name": "f", "secret_file": secret, "redis": redis},
            admin={"tcp": {"address": "127.0.0.1:%d" % admin_port,
                           "tls": {"certificate_file": self.tls.cert, "key_file": self.tls.key,
                                   "client_ca_file": self.tls.ca},
                           "tokens": [{"name": "t", "token_file": token}]}},
            upstreams=[{"name": "app", "origins": ["https://127.0.0.1:9"],
                        "tls": {"ca": self.tls.ca, "certificate": self.tls.client_cert, "key": self.tls.client_key}}])
        os.chmod(self.keys, 0o700)
        for name in os.listdir(self.keys):
            os.chmod(os.path.join(self.keys, name), 0o600)
        node = self.start_as_user(config)
        self.assertTrue(node.reload(), node.log())
        self.tls.issue("client", ["DNS:renewed"])  # another key
        self.assertTrue(node.reload(), node.log())
        shutil.copy(self.tls.key, self.tls.client_key)  # it is read indeed
        self.assertFalse(node.reload())
        self.assertRegex(node.log(), r"client\.key: the private key does not belong to the certificate of ")
        self.tls.issue("client", ["DNS:again"])
        write("secret", "short")
        self.assertFalse(node.reload())
        self.assertRegex(node.log(), r"secret\S* holds 5 bytes, at least")
        self.assertEqual(node.get().status, 200)

    def test_what_was_not_named_at_the_start_stays_shut(self):
        node = self.start_as_user(self.config())
        elsewhere = tempfile.mkdtemp(prefix="weir-keys-")
        self.addCleanup(shutil.rmtree, elsewhere, True)
        other = TlsFiles(elsewhere)
        self.assertFalse(node.reload(self.config(
            listen=[{"address": "%s:%d" % node.address}],
            tls={"certificates": [{"certificate": other.cert, "key": other.key}]})))
        self.assertRegex(node.log(), r"%s/server\.\w+: cannot be read: Permission denied" % elsewhere)
        self.assertEqual(node.get().status, 200)

    def test_a_reload_can_listen_on_a_low_port(self):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as f:
            if int(f.read()) < 1024:
                self.skipTest("here anybody may")
        low = free_low_port()
        first = {"address": "%s:%d" % (LOOPBACK, free_port())}
        node = self.start_as_user(self.config(listen=[{"address": "%s:%d" % (LOOPBACK, low)}, first]))
        self.assertEqual(node.get().status, 200)
        other = free_low_port()
        self.assertTrue(node.reload(self.config(listen=[{"address": "%s:%d" % (LOOPBACK, other)}, first])), node.log())
        self.assertEqual(node.get().status, 200)

    def test_sockets_are_given_to_their_owners(self):
        folder = tempfile.mkdtemp(prefix="weir-socks-")
        self.addCleanup(shutil.rmtree, folder, True)
        os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
        daemon = pwd.getpwnam("daemon")

        def address(name, **more):
            return {"address": "unix:%s/%s" % (folder, name), **more}

        def owner(name):
            found = os.stat(os.path.join(folder, name))
            return found.st_uid, found.st_gid

        tcp = {"address": "%s:%d" % (LOOPBACK, free_port())}
        admin = {"socket": os.path.join(folder, "admin"), "group": "daemon"}
        node = self.start_as_user(self.config(
            admin=admin, listen=[tcp, address("one", user="daemon", group="daemon", mode="0600")]))
        self.assertEqual(owner("one"), (daemon.pw_uid, daemon.pw_gid))
        self.assertEqual(owner("admin"), (pwd.getpwnam(USER).pw_uid, daemon.pw_gid))
        warden, = wardens_of(node.pid)
        self.assertEqual(int(status_of(warden)["CapEff"][0], 16), DAC_READ_SEARCH | NET_BIND_SERVICE | CHOWN)
        # A reload: to who was named at the start, and to nobody else.
        one = address("one", user="daemon", group="daemon")
        two = address("two", user="daemon", group="daemon")
        self.assertTrue(node.reload(self.config(admin=admin, listen=[tcp, one, two])), node.log())
        self.assertEqual(owner("two"), (daemon.pw_uid, daemon.pw_gid))
        self.assertFalse(node.reload(self.config(admin=admin, listen=[tcp, one, two, address("three", user="root")])))
        self.assertRegex(node.log(), r"three: cannot be given to root.*Operation not permitted")
        self.assertFalse(os.path.exists(os.path.join(folder, "three")))
        self.assertEqual(node.get().status, 200)

    def test_the_warden_ends_with_the_node(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            node = self.start_as_user(self.config())
            warden, = wardens_of(node.pid)
            if number == signal.SIGKILL:
                node.expect_exit = -signal.SIGKILL
            node.signal(number)
            node.wait()
            wait_until(lambda: gone(warden), what="the warden has ended")

    def test_without_a_warden_the_node_goes_on(self):
        node = self.start_as_user(self.config())
        warden, = wardens_of(node.pid)
        os.kill(warden, signal.SIGKILL)
        wait_until(lambda: gone(warden), what="the warden has ended")
        self.assertEqual(node.get().status, 200)
        self.assertFalse(node.reload())
        self.assertRegex(node.log(), r"warden: does not answer")
        self.assertEqual(node.get().status, 200)

    def test_a_user_that_is_not_there_stops_the_start(self):
        config = self.config()
        config["node"]["user"] = "no-such-user"
        node = Node(config)
        self.addCleanup(node.stop)
        node.expect_exit = 1
        with self.assertRaisesRegex(NodeFailed, "there is no user no-such-user"):
            node.start()

    def test_who_is_not_root_needs_no_warden(self):
        config = self.config(tls={})
        node = Node(config, prefix=["setpriv", "--reuid", USER, "--clear-groups"])
        os.chown(node.dir, pwd.getpwnam(USER).pw_uid, -1)
        self.addCleanup(node.stop)
        node.start()
        self.assertEqual(wardens_of(node.pid), [])
        self.assertEqual(node.get().status, 200)


if __name__ == "__main__":
    unittest.main()
