"""Many clients at once, in one thread: each a connection with one request, all sent before the first answer is read."""
import resource
import select
import socket
import time

SPARE = 256  # descriptors for everything else


def room_for(count):
    """Raises this process's limit of descriptors; how many of `count` connections it allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):  # not root
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted), hard))
    return min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE)


class Crowd:
    def __init__(self, address, count, sources=("127.0.0.1",)):
        """Connections from several addresses in turn, since one address has no more than some 28000 ports."""
        self.socks = []
        for n in range(count):
            sock = socket.socket()
            self.socks.append(sock)
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is found on connecting
            sock.bind((sources[n % len(sources)], 0))
            sock.connect(address)

    def send(self, request):
        """`request` is bytes, or a function of the client's number."""
        for n, sock in enumerate(self.socks):
            sock.sendall(request(n) if callable(request) else request)

    def answers(self, deadline):
        """(status, head, body) of every client, in order; None for one that got no whole answer in time. Bodies have a
        Content-Length, or end with the last chunk of a chunked one, which is left in its coding."""
        end = time.monotonic() + deadline
        buffers = [bytearray() for _ in self.socks]
        out = [None] * len(self.socks)
        poll = select.epoll()
        numbers = {}
        for n, sock in enumerate(self.socks):
            sock.setblocking(False)
            poll.register(sock, select.EPOLLIN)
            numbers[sock.fileno()] = n
        while numbers and time.monotonic() < end:
            for fd, _ in poll.poll(max(0, end - time.monotonic())):
                n = numbers[fd]
                try:
                    data = self.socks[n].recv(1 << 18)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    data = b""
                buffers[n] += data
                out[n] = whole(buffers[n]) if data else None
                if out[n] or not data:
                    poll.unregister(fd)
                    del numbers[fd]
        poll.close()
        return out

    def close(self):
        for sock in self.socks:
            sock.close()


def whole(buffer):
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[:end]).lower()
    at = head.find(b"\r\ncontent-length: ")
    if at >= 0:
        if len(buffer) < end + 4 + int(head[at + 18:].split(b"\r", 1)[0]):
            return None
    elif not buffer.endswith(b"0\r\n\r\n"):
        return None
    return int(head[9:12]), head, bytes(buffer[end + 4:])
