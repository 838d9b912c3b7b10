"""Network namespaces with links to the rest of the world that a test can cut: nothing is refused then, packets just
do not arrive. Needs root.

A file that uses them says `setUpModule = own_network`: what it does to links and addresses is then seen by itself
alone. On the machine's own network, a browser in another test gives up what it is loading whenever a link comes or goes
(ERR_NETWORK_CHANGED), and two files could want one network."""
import ctypes
import itertools
import os
import subprocess

CLONE_NEWNET = 0x40000000

_namespaces, _links = itertools.count(), itertools.count()
_own = False


def own_network():
    """This process, and all it starts from now on, is alone in a network of its own. Before anything listens."""
    global _own
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link", "set", "lo", "up")
    _own = True


def ip(*args):
    done = subprocess.run(["ip"] + list(args), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("ip %s: %s" % (" ".join(args), done.stderr.strip()))


class Namespace:
    def __init__(self):
        assert _own, "setUpModule = own_network is missing"
        self.name = "weir-%d-%d" % (os.getpid(), next(_namespaces))
        self.links = []
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def link(self, to=None):
        """Further ones lead there by ways of their own. `to`: leads to that address outside (another link's .outside)
        instead of to one of its own, so that several namespaces know a server by the same address."""
        link = Link(self, to)
        self.links.append(link)
        return link

    @property
    def prefix(self):
        """What is put before a command to run it inside."""
        return ["ip", "netns", "exec", self.name]

    def close(self):
        for link in self.links:
            link.remove()
        ip("netns", "del", self.name)


class Link:
    """Servers outside listen on .outside, which stays an address of this machine when the link is cut; who is inside
    has .inside."""

    def __init__(self, namespace, to=None):
        number = next(_links)
        self.namespace, self.network = namespace, "10.200.%d" % number
        self.device = "weir%d" % number
        ip("addr", "add", self.network + ".1/32", "dev", "lo")
        self.outside, via, self.inside = to or self.network + ".1", self.network + ".2", self.network + ".3"
        ip("link", "add", self.device, "type", "veth", "peer", "name", "in" + self.device, "netns", namespace.name)
        ip("addr", "add", via + "/24", "dev", self.device)
        ip("link", "set", self.device, "up")
        ip("-n", namespace.name, "addr", "add", self.inside + "/24", "dev", "in" + self.device)
        ip("-n", namespace.name, "link", "set", "in" + self.device, "up")
        ip("-n", namespace.name, "route", "add", self.outside + "/32", "via", via)

    def cut(self):
        ip("link", "set", self.device, "down")

    def mend(self):
        ip("link", "set", self.device, "up")

    def remove(self):
        ip("link", "del", self.device)
        ip("addr", "del", self.network + ".1/32", "dev", "lo")
