"""A Redis Cluster on this machine, for one test: formed in about two seconds, broken and moved as the test says.

The nodes are given a finished nodes.conf instead of being introduced to each other, so that nothing depends on gossip.
The two seconds are Redis' own: a master accepts no queries so soon after its start.
"""
import os
import shutil
import tempfile

from .ports import LOOPBACK, lasting_port
from .redis_server import KEEPER, RedisServer
from .resp import SLOTS, RedisError, key_slot
from .tls_files import TlsFiles
from .wait import NotInTime, wait_until

DEADLINE = 60  # seconds, for what takes a vote of the cluster
MIGRATE_MS = 5000


class RedisCluster:
    """Nodes are numbered: the masters 0 ... masters-1 first, then their replicas in the same order, as often as there
    are replicas. These numbers stay, whoever is a master later. Parameters are those of RedisServer; `node_timeout` is
    in milliseconds: a failover takes that and about a second more."""

    def __init__(self, masters=3, replicas=1, node_timeout=2000, config=(), tls=False, **server):
        self.dir = tempfile.mkdtemp(prefix="weir-cluster-")
        self.tls = TlsFiles(os.path.join(self.dir, "tls")) if tls is True else tls or None
        self.masters = masters
        self.buses = []
        self.nodes = []
        for number in range(masters * (1 + replicas)):
            host = server.get("address", LOOPBACK)
            self.buses.append(lasting_port(host))
            lines = ["cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-port %d" % self.buses[number],
                     "cluster-node-timeout %d" % node_timeout, "cluster-replica-validity-factor 0",
                     "cluster-announce-ip " + host, "bind-source-addr " + host,  # else it would guess 127.0.0.1
                     "cluster-require-full-coverage no", "cluster-allow-reads-when-down yes"]
            lines += ["tls-cluster yes"] if self.tls else []
            self.nodes.append(RedisServer(lines + ([config] if isinstance(config, str) else list(config)),
                                          tls=self.tls, **server))

    # ---- forming ----

    @staticmethod
    def node_id(number):
        return "%040x" % (0xa0 + number)

    def shard_range(self, master):
        """First and last slot a master begins with."""
        return SLOTS * master // self.masters, SLOTS * (master + 1) // self.masters - 1

    def _nodes_conf(self, myself):
        lines = []
        for number, node in enumerate(self.nodes):
            master = number % self.masters
            where = "%s %s:%d@%d" % (self.node_id(number), node.host, node.port, self.buses[number])
            me = "myself," if number == myself else ""
            if number == master:
                first, last = self.shard_range(master)
                lines.append("%s %smaster - 0 0 %d connected %d-%d" % (where, me, number + 1, first, last))
            else:
                lines.append("%s %sslave %s 0 0 %d connected" % (where, me, self.node_id(master), master + 1))
        return "\n".join(lines + ["vars currentEpoch %d lastVoteEpoch 0" % self.masters]) + "\n"

    def start(self):
        """Returns when the cluster is whole: see wait_whole()."""
        for number, node in enumerate(self.nodes):
            with open(node.path("nodes.conf"), "w") as f:
                f.write(self._nodes_conf(number))
            node.spawn()
        for node in self.nodes:
            node.wait_ready()
        self.wait_whole()
        return self

    def wait_whole(self, deadline=DEADLINE):
        """Until every node that runs says the cluster is fine, all agree who owns what, and replicas are in sync."""
        def whole():
            try:
                return all(map(self._in_order, self.usable())) and self._agreed() is not None
            except (OSError, RedisError):
                return False
        wait_until(whole, deadline, "the cluster is whole")

    def _in_order(self, number):
        info = self.cluster_info(number)
        if info["cluster_state"] != "ok" or info["cluster_slots_ok"] != str(SLOTS):
            return False
        replication = self.nodes[number].info("replication")
        return replication["role"] == "master" or replication["master_link_status"] == "up"

    def _agreed(self):
        """The table of slots if all who can be asked give the same, else None."""
        tables = [self.slot_table(number) for number in self.usable()]
        return tables[0] if all(t == tables[0] for t in tables) else None

    def stop(self):
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- looking ----

    def usable(self):
        """Numbers of the nodes that run and are not halted."""
        return [number for number, node in enumerate(self.nodes) if node.usable]

    @property
    def endpoints(self):
        """host:port of every node."""
        return [node.endpoint for node in self.nodes]

    def number(self, port):
        return next(number for number, node in enumerate(self.nodes) if node.port == port)

    def cluster_info(self, number):
        lines = self.nodes[number].call("CLUSTER", "INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines)

    def slot_table(self, asked=None):
        """(first slot, last slot, number of the master) as a node sees them, sorted."""
        asked = self.usable()[0] if asked is None else asked
        return sorted((first, last, self.number(master[1]))
                      for first, last, master, *_ in self.nodes[asked].call("CLUSTER", "SLOTS"))

    def owner(self, what, asked=None):
        """Number of the master of a key, or of a slot given as an integer."""
        slot = what if isinstance(what, int) else key_slot(what)
        return next(master for first, last, master in self.slot_table(asked) if first <= slot <= last)

    def roles(self):
        """number -> "master" or "slave", of those who can be asked."""
        return {number: self.nodes[number].info("replication")["role"] for number in self.usable()}

    def shard(self, number):
        """The numbers that began as one shard with this one."""
        return [n for n in range(len(self.nodes)) if n % self.masters == number % self.masters]

    def replica_of(self, number):
        """Number of a usable replica of the shard that this node belongs to."""
        roles = self.roles()
        return next(n for n in self.shard(number) if roles.get(n) == "slave")

    # ---- asking ----

    def call(self, *args, key=None):
        """A command, sent to the master of its first key (`key` if that is not the second word)."""
        return self.nodes[self.owner(args[1] if key is None else key)].call(*args)

    def each(self, *args, masters_only=False):
        """The same command to all who can be asked (all masters): number -> answer."""
        chosen = [n for n, role in self.roles().items() if role == "master"] if masters_only else self.usable()
        return {number: self.nodes[number].call(*args) for number in chosen}

    def flush_all(self):
        self.each("FLUSHALL", masters_only=True)

    def keys(self, pattern="*"):
        """The keys on all masters."""
        found = self.each("KEYS", pattern, masters_only=True).values()
        return sorted(k.decode("latin-1") for keys in found for k in keys)

    def commands(self, number=None):
        """How often each command was executed, on one node or on all together."""
        total = {}
        for n in self.usable() if number is None else [number]:
            for name, count in self.nodes[n].commands().items():
                total[name] = total.get(name, 0) + count
        return total

    # ---- breaking ----

    def kill(self, number):
        self.nodes[number].kill()

    def halt(self, number):
        """SIGSTOP: its connections stay, nothing is answered."""
        self.nodes[number].halt()

    def go_on(self, number):
        self.nodes[number].go_on()

    def restart(self, number, wait=True):
        """Starts it again with what it saved: its place in the cluster, and no data unless configured so."""
        self.nodes[number].restart()
        if wait:
            self.wait_whole()

    def wait_failover(self, failed, deadline=DEADLINE):
        """Until another node of its shard is the master of all that `failed` owned and everybody who can be asked
        knows; that one's number. Other shards may be down."""
        others = [n for n in self.shard(failed) if n != failed]

        def replaced():
            try:
                table = self._agreed()
                owners = {master for _, _, master in table or []}
                winner = next((n for n in others if n in owners), None)
                done = winner is not None and failed not in owners and self.nodes[winner].usable
                return (winner,) if done and self.cluster_info(winner)["cluster_state"] == "ok" else None
            except (OSError, RedisError):
                return None
        return wait_until(replaced, deadline, "a replica takes the place of node %d" % failed)[0]

    def failover(self, replica):
        """A replica becomes the master by agreement (CLUSTER FAILOVER), without loss. Waits until all know. Redis gives
        an attempt up after 5 s, as happens on a busy machine: then there is another one."""
        old = next(n for n, role in self.roles().items() if role == "master" and n in self.shard(replica))
        for attempt in range(4):
            if self.roles()[replica] == "slave":
                self.nodes[replica].call("CLUSTER", "FAILOVER")
            try:
                return self.wait_failover(old, 7)
            except NotInTime:
                pass
        return self.wait_failover(old)

    # ---- moving slots ----

    def begin_move(self, slot, target):
        """From now on the owner answers ASK for keys of that slot which it does not have."""
        source = self.owner(slot)
        self.nodes[target].call("CLUSTER", "SETSLOT", slot, "IMPORTING", self._real_id(source))
        self.nodes[source].call("CLUSTER", "SETSLOT", slot, "MIGRATING", self._real_id(target))
        return source

    def move_keys(self, slot, source, target, count=None):
        """Moves up to `count` keys (all if None); the number of those moved."""
        moved = 0
        node = self.nodes[target]
        login = ["AUTH2", KEEPER, KEEPER] if node.users is not None else []
        while count is None or moved < count:
            some = 100 if count is None else min(100, count - moved)
            keys = self.nodes[source].call("CLUSTER", "GETKEYSINSLOT", slot, some)
            if not keys:
                break
            self.nodes[source].call("MIGRATE", node.host, node.port, "", 0, MIGRATE_MS, *login, "KEYS", *keys)
            moved += len(keys)
        return moved

    def end_move(self, slot, source, target):
        """The slot is the target's; everybody else learns it from there."""
        for number in (target, source):
            self.nodes[number].call("CLUSTER", "SETSLOT", slot, "NODE", self._real_id(target))
        wait_until(lambda: all(self.owner(slot, n) == target for n in self.usable()), DEADLINE,
                   "all know who owns slot %d" % slot)

    def move_slot(self, slot, target):
        """All three steps, to the master of the target's shard: on a busy machine that may be another by now."""
        target = next(n for n, role in self.roles().items() if role == "master" and n in self.shard(target))
        source = self.begin_move(slot, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, source, target)

    def _real_id(self, number):
        return self.nodes[number].call("CLUSTER", "MYID").decode()
