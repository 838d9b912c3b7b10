"""conf/bird, as it is, with real BIRD daemons: a node's and a router's, each in a network namespace, with a link between
them. The router has the node's anycast routes while the node is ready."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from lib.case import NodeCase
from lib.netns import own_network
from lib.node import Node
from lib.wait import wait_until

setUpModule = own_network

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "bird")
HOOK = os.path.join(os.path.abspath(CONF), "weir-bird")
V4, V6 = "192.0.2.80", "2001:db8::80"

ROUTER = """
router id 10.0.0.1;
protocol device { }
protocol kernel { ipv4 { import none; export all; }; }
protocol kernel { ipv6 { import none; export all; }; }
"""
ROUTER_BGP = ROUTER + """
protocol bgp node4 {
    local 10.0.0.1 as 65000; neighbor 10.0.0.2 as 65010; hold time 9; connect delay time 1;
    ipv4 { import all; export none; };
}
protocol bgp node6 {
    local fd00::1 as 65000; neighbor fd00::2 as 65010; hold time 9; connect delay time 1;
    ipv6 { import all; export none; };
}
"""
ROUTER_OSPF = ROUTER + """
protocol ospf v2 node4 {
    ipv4 { import all; export none; };
    area 0 { interface "eth0" { hello 1; dead 4; type ptp; }; };
}
protocol ospf v3 node6 {
    ipv6 { import all; export none; };
    area 0 { interface "eth0" { hello 1; dead 4; type ptp; }; };
}
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.strip()))
    return done.stdout


def unit_line(file, name):
    """The command of that line, with this tree's hook."""
    with open(os.path.join(CONF, file)) as f:
        line = re.search(r"^%s=-?(.*)$" % name, f.read(), re.M).group(1)
    return [HOOK if word.endswith("/weir-bird") else word for word in line.split()]


class Place:
    """A network namespace with a BIRD in it."""

    def __init__(self, case, name, v4, v6):
        self.name = "weir-bird-%s-%d" % (name, os.getpid())
        self.v4, self.v6 = v4, v6
        self.dir = tempfile.mkdtemp(prefix="weir-test-bird-")
        case.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        run("ip", "netns", "add", self.name)
        case.addCleanup(run, "ip", "netns", "del", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        self.socket = os.path.join(self.dir, "bird.ctl")

    @property
    def inside(self):
        return ["ip", "netns", "exec", self.name]

    def take_link(self, device):
        run("ip", "link", "set", device, "netns", self.name, "name", "eth0")
        run("ip", "-n", self.name, "addr", "add", self.v4 + "/24", "dev", "eth0")
        run("ip", "-n", self.name, "addr", "add", self.v6 + "/64", "dev", "eth0", "nodad")
        run("ip", "-n", self.name, "link", "set", "eth0", "up")

    def start_bird(self, case, config):
        path = os.path.join(self.dir, "bird.conf")
        with open(path, "w") as f:
            f.write(config)
        self.bird = subprocess.Popen(self.inside + ["bird", "-f", "-c", path, "-s", self.socket,
                                                    "-P", os.path.join(self.dir, "pid")],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        case.addCleanup(self.stop_bird)
        wait_until(lambda: os.path.exists(self.socket), what="BIRD's control socket")

    def stop_bird(self):
        if self.bird.poll() is None:
            self.bird.terminate()
        self.bird.wait(30)

    def birdc(self, *words):
        return run("birdc", "-s", self.socket, *words)

    def routes(self):
        """Anycast routes the kernel has here."""
        found = run("ip", "-n", self.name, "route", "show", V4) + \
            run("ip", "-n", self.name, "-6", "route", "show", V6)
        return len(re.findall(r"^(?:192\.0\.2\.80|2001:db8::80) via", found, re.M))

    def status(self, address):
        host = "[%s]" % address if ":" in address else address
        return run(*self.inside, "curl", "-s", "-o", "/dev/null", "-m", "5", "-w", "%{http_code}",
                   "http://%s:8080/" % host)


@unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
class BirdCase(NodeCase):
    def join(self, config, router):
        device = "wb%d" % (os.getpid() % 1000000)
        self.router = Place(self, "r", "10.0.0.1", "fd00::1")
        self.home = Place(self, "n", "10.0.0.2", "fd00::2")
        run("ip", "link", "add", device + "a", "type", "veth", "peer", "name", device + "b")
        self.router.take_link(device + "a")
        self.home.take_link(device + "b")
        for address in (V4 + "/32", V6 + "/128"):
            run("ip", "-n", self.home.name, "addr", "add", address, "dev", "lo")
        self.router.start_bird(self, router)
        with open(os.path.join(CONF, config)) as f:
            self.home.start_bird(self, f.read())

    def launch(self, **top):
        hook = [HOOK, "weir4", "weir6"]
        config = {"listen": [{"address": "%s:8080" % V4}, {"address": "[%s]:8080" % V6}],
                  "routes": [{"match": {"paths": ["= /healthz"]}, "health": "ready"}, {"respond": {"status": 204}}],
                  "hooks": {"ready": hook, "unready": hook}, "node": dict({"workers": 1}, **top)}
        node = Node(config, prefix=self.home.inside, environment={"BIRD_SOCKET": self.home.socket})
        self.addCleanup(node.stop)
        return node.start()

    def wait_sessions(self, state):
        def up():
            return len(re.findall(r"^node[46] .*%s" % state, self.router.birdc("show", "protocols"), re.M)) == 2
        wait_until(up, 40, "both sessions of the router")


class Bgp(BirdCase):
    def test_the_routes_are_there_while_the_node_is_ready(self):
        self.join("bird.conf", ROUTER_BGP)
        self.wait_sessions("Established")
        self.assertEqual(self.router.routes(), 0)
        node = self.launch(drain_grace="30s")
        wait_until(lambda: self.router.routes() == 2, what="both routes")
        self.assertEqual([self.router.status(a) for a in (V4, V6)], ["204", "204"])

        node.signal(signal.SIGTERM)  # drains: the routes go first, it serves on
        wait_until(lambda: self.router.routes() == 0, 20, "no route any more")
        self.assertTrue(node.running)
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        self.assertNotIn("error", node.log())

    def test_a_killed_node_withdraws_by_the_line_of_its_unit_and_comes_back(self):
        self.join("bird.conf", ROUTER_BGP)
        self.wait_sessions("Established")
        node = self.launch()
        wait_until(lambda: self.router.routes() == 2, what="both routes")
        node.expect_exit = -signal.SIGKILL
        node.signal(signal.SIGKILL)
        node.wait()
        self.assertEqual(self.router.routes(), 2)  # nobody has told BIRD
        stop_post = unit_line("weir.service.d.conf", "ExecStopPost")
        subprocess.run(stop_post, env=dict(os.environ, BIRD_SOCKET=self.home.socket), check=True,
                       capture_output=True)
        wait_until(lambda: self.router.routes() == 0, 20, "no route any more")
        self.launch()
        wait_until(lambda: self.router.routes() == 2, what="both routes again")

    def test_a_bird_that_is_configured_anew_announces_again_by_the_line_of_its_unit(self):
        self.join("bird.conf", ROUTER_BGP)
        self.wait_sessions("Established")
        node = self.launch(drain_grace="30s")
        wait_until(lambda: self.router.routes() == 2, what="both routes")
        self.home.birdc("configure")  # the file says "disabled"
        wait_until(lambda: self.router.routes() == 0, what="no route any more")
        again = [w.replace("127.0.0.1", V4) for w in unit_line("bird.service.d.conf", "ExecReload")]
        ask = self.home.inside + again
        environment = dict(os.environ, BIRD_SOCKET=self.home.socket)
        subprocess.run(ask, env=environment, check=True)
        wait_until(lambda: self.router.routes() == 2, what="both routes again")
        node.signal(signal.SIGTERM)
        wait_until(lambda: self.router.routes() == 0, what="it drains")
        subprocess.run(ask, env=environment, check=True)  # not ready: stays so
        self.assertRegex(self.home.birdc("show", "protocols"), r"weir4 +Static +\S+ +down")

    def test_a_bird_that_is_gone_or_knows_no_such_protocol_is_an_error(self):
        self.join("bird.conf", ROUTER_BGP)

        def hook(event, *protocols, socket=self.home.socket):
            return subprocess.run([HOOK] + list(protocols), capture_output=True, text=True,
                                  env=dict(os.environ, WEIR_EVENT=event, BIRD_SOCKET=socket))
        self.assertEqual(hook("ready", "weir4").returncode, 0)
        self.assertEqual(hook("ready", "weir4").returncode, 0)  # already enabled
        self.assertEqual(hook("ready", "weir5", "weir6").returncode, 1)
        self.assertIn("weir6", self.home.birdc("show", "protocols"))
        self.assertRegex(self.home.birdc("show", "protocols"), r"weir6 +Static +\S+ +up")
        gone = hook("unready", "weir4", socket="/nonexistent/bird.ctl")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("weir-bird: disable weir4", gone.stderr)
        self.assertEqual(hook("other", "weir4").returncode, 2)
        self.assertEqual(hook("ready").returncode, 2)


class Ospf(BirdCase):
    def test_the_routes_are_there_while_the_node_is_ready(self):
        self.join("ospf.conf", ROUTER_OSPF)
        node = self.launch(drain_grace="30s")
        wait_until(lambda: self.router.routes() == 2, 30, "both routes")
        self.assertEqual(self.router.status(V4), "204")
        node.signal(signal.SIGTERM)
        wait_until(lambda: self.router.routes() == 0, 20, "no route any more")
        self.assertTrue(node.running)
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
