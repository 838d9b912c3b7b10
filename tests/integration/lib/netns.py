"""Network namespaces with links to the rest of the machine that a test can cut: nothing is refused then, packets just
do not arrive. Needs root."""
import itertools
import os
import subprocess

HIGH, LOW = (os.getpid() >> 8) % 50, os.getpid() % 256  # where this process begins to look for networks of its own

_namespaces, _links = itertools.count(), itertools.count()


def ip(*args):
    done = subprocess.run(["ip"] + list(args), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("ip %s: %s" % (" ".join(args), done.stderr.strip()))


def claim_network():
    """A /24 that nobody else has, as "10.200.7": its .1 is an address of this machine from now on."""
    for _ in range(256):
        network = "10.%d.%d" % (200 + HIGH, (LOW + next(_links) * 101) % 256)
        try:
            ip("addr", "add", network + ".1/32", "dev", "lo")
            return network
        except RuntimeError as e:  # of another test process; its number came round to ours
            if "File exists" not in str(e) and "already assigned" not in str(e):
                raise
    raise RuntimeError("no network is free")


class Namespace:
    def __init__(self):
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
        self.namespace, self.network = namespace, claim_network()
        self.device = "w%dx%d" % (os.getpid(), next(_links))
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
