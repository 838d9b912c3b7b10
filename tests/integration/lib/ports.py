"""A loopback address for this process alone, so that test processes running side by side cannot meet on a port.

weir listens with SO_REUSEPORT: two nodes given the same port would share its connections without a word.
"""
import os
import random
import socket

LOOPBACK = "127.%d.%d.1" % (100 + (os.getpid() >> 8) % 100, os.getpid() % 256)


def free_port(address=LOOPBACK):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


_given = set()


def lasting_port(address=LOOPBACK):
    """For a server that ends and comes back: below the range from which connections get their ports, so that none
    takes it meanwhile. The port 10000 above it is outside of that range too: a Redis Cluster's bus has it by default."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = random.randrange(10000, 22768)
        if port in _given:  # not yet taken, or not any more
            continue
        with socket.socket(family) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, port))
                _given.add(port)
                return port
            except OSError:
                pass
