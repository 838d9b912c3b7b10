"""A loopback address for this process alone, so that test processes running side by side cannot meet on a port.

weir listens with SO_REUSEPORT: two nodes given the same port would share its connections without a word.
"""
import os
import socket

LOOPBACK = "127.%d.%d.1" % (100 + (os.getpid() >> 8) % 100, os.getpid() % 256)


def free_port(address=LOOPBACK):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as s:
        s.bind((address, 0))
        return s.getsockname()[1]
