"""What broken and hostile clients do to a server of ours on loopback: shared by tools/http-abuse and tools/serve-abuse.

A Target is a server that was started, with what an honest client asks of it, and a request whose effect or reply would
be seen if it were obeyed though it is hidden in another. The standard library alone."""
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import time

failures = 0


def check(truth, what):
    global failures
    failures += not truth
    print(("  ok    " if truth else "  FAIL  ") + what, flush=True)
    return truth


def statuses(data):
    return [int(x) for x in re.findall(rb"HTTP/1\.1 (\d\d\d) ", data)]


def reset(s):
    """Closes it so that the other side gets a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def room_for_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))


class Target:
    """command: the server's; port and bearer are known once it runs. change: a POST's path and body that are harmless,
    read: a GET's path; hidden: (method, path, body) of what is hidden in other requests."""

    def __init__(self, command, change, read, hidden, **more):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
        self.first = self.process.stdout.readline()
        self.port, self.bearer = None, None
        self.change, self.read, self.hidden = change, read, hidden

    # --- asking ---

    def connect(self, wait=10):
        s = socket.create_connection(("127.0.0.1", self.port), wait)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def hear(self, s):
        data = b""
        try:
            while piece := s.recv(65536):
                data += piece
        except OSError:
            pass
        return data

    def request(self, method, path, body=None, *more):
        head = ["%s %s HTTP/1.1" % (method, path), "Host: 127.0.0.1:%d" % self.port, *more]
        if self.bearer:
            head.append("Authorization: Bearer " + self.bearer)
        if body is not None:
            head += ["Content-Type: application/json", "Content-Length: %d" % len(body.encode())]
        return ("\r\n".join(head) + "\r\n\r\n" + (body or "")).encode()

    def ask(self, method, path, body=None, wait=60, more=()):
        """Statuses and the body of the reply; none where the connection was cut."""
        s = self.connect(wait)
        try:
            s.sendall(self.request(method, path, body, "Connection: close", *more))
        except OSError:
            pass
        data = self.hear(s)
        s.close()
        return statuses(data), data.partition(b"\r\n\r\n")[2]

    def honest(self):
        raise NotImplementedError

    # --- what it takes ---

    def memory(self):
        with open("/proc/%d/status" % self.process.pid) as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024

    def open_files(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def lives(self):
        return self.process.poll() is None

    def end(self, seconds=30):
        """Its status after SIGTERM; None: it did not end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


# --- abuses: each prints what came of it ---

def silent(t, n, wait):
    """Connections that say nothing."""
    many = [t.connect(wait) for _ in range(n)]
    began = time.monotonic()
    check(t.honest(), "%d connections that say nothing: an honest client is answered, after %.1f s" %
          (n, time.monotonic() - began))
    for s in many:
        s.close()


def cut(t, n):
    """Half requests, closed or reset."""
    for i in range(n):
        s = t.connect()
        s.sendall((b"G", ("GET %s HTTP/1.1\r\nHo" % t.read).encode(),
                   t.request("POST", t.change[0], "{" * 40)[:-20])[i % 3])
        (reset if i % 2 else socket.socket.close)(s)
    check(t.lives() and t.honest(), "%d half requests that were cut off" % n)


def half_closed(t, n):
    """Clients that close their side when they have asked, and read nothing for a while."""
    many = []
    for _ in range(n):
        s = t.connect()
        s.sendall(t.request("GET", t.read))
        s.shutdown(socket.SHUT_WR)
        many.append(s)
    answered = sum(statuses(t.hear(s)) == [200] for s in many)
    for s in many:
        s.close()
    check(answered == n and t.honest(), "%d half-closed connections: %d were answered" % (n, answered))


def dribble(t, seconds):
    """A head and a body of a byte every half second."""
    parts = [t.connect(), t.connect()]
    texts = [t.request("GET", t.read, None, "X-Long: " + "a" * 200), t.request("POST", t.change[0], "{" + " " * 200)]
    sent, over = [0, texts[1].index(b"{")], [None, None]
    parts[1].sendall(texts[1][:sent[1]])
    begin = time.monotonic()
    while time.monotonic() < begin + seconds and None in over:
        for i, s in enumerate(parts):
            if over[i] is not None:
                continue
            try:
                s.sendall(texts[i][sent[i]:sent[i] + 1])
                sent[i] += 1
                s.setblocking(False)
                if s.recv(1) == b"":
                    over[i] = time.monotonic() - begin
            except BlockingIOError:
                pass
            except OSError:
                over[i] = time.monotonic() - begin
            finally:
                s.setblocking(True)
        time.sleep(0.5)
    check(None not in over, "a byte every half second is cut off, after %s s" % [x and round(x) for x in over])
    check(t.honest(), "others are served meanwhile")
    for s in parts:
        s.close()


def smuggling_shapes():
    """What stands behind the first lines of a POST, by what is wrong with it."""
    return {
        "a length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunks with a space": "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "chunks of another name": "Content-Length: 2\r\nTransfer-Encoding: xchunked\r\n\r\n{}",
        "two lengths": "Content-Length: 2\r\nContent-Length: 90\r\n\r\n{}",
        "a list of lengths": "Content-Length: 2, 90\r\n\r\n{}",
        "a length with a sign": "Content-Length: +2\r\n\r\n{}",
        "a length in hexadecimal": "Content-Length: 0x2\r\n\r\n{}",
        "a length below zero": "Content-Length: -1\r\n\r\n{}",
        "a folded length": "Content-Length: 2\r\n 90\r\n\r\n{}",
        "chunks behind a fold": "Content-Length: 2\r\nTransfer-Encoding:\r\n chunked\r\n\r\n{}",
        "chunks behind a bare line feed": "Content-Length: 2\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n{}",
        "a length behind a bare carriage return": "X: y\rContent-Length: 90\r\nContent-Length: 2\r\n\r\n{}",
        "a second host": "Host: evil.example\r\nContent-Length: 2\r\n\r\n{}",
        "a length that wraps": "Content-Length: 18446744073709551618\r\n\r\n{}",
    }


def smuggling(t, unseen=lambda: True, before=lambda: None):
    """Whoever obeys what is hidden behind a request of an unclear end replies to it, or `unseen` sees what it did. The
    library writes the head of a 400 of its own twice."""
    for name, rest in smuggling_shapes().items():
        before()
        s = t.connect(5)
        s.sendall(("POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%s" %
                   (t.hidden[3], t.port, rest)).encode() + t.request(*t.hidden[:3]))
        s.shutdown(socket.SHUT_WR)
        codes = statuses(t.hear(s))
        s.close()
        check(codes and set(codes) <= {400, 411, 413} and unseen(),
              "%s: %s, and nothing else is obeyed" % (name, codes[0] if codes else "no answer"))


def foreign(t):
    own = "Host: 127.0.0.1:%d" % t.port
    for name, lines, wanted in (("Host", ["Host: evil.example"], 421), ("Host by its beginning", ["Host: localhost.evil"], 421),
                                ("Origin", [own, "Origin: http://evil.example"], 403), ("Origin of none", [own, "Origin: null"], 403)):
        s = t.connect(5)
        s.sendall(("\r\n".join(["POST %s HTTP/1.1" % t.change[0], "Authorization: Bearer %s" % t.bearer, "Content-Length: 2",
                                "Content-Type: application/json", *lines]) + "\r\n\r\n{}").encode())
        codes = statuses(t.hear(s))
        s.close()
        check(codes == [wanted], "a foreign %s: %s" % (name, codes))


def broken(t, n, seed=1):
    """Requests with a few bytes that are others."""
    draw = random.Random(seed)
    for _ in range(n):
        s = t.connect(5)
        data = bytearray(t.request("POST", *t.change))
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            s.sendall(bytes(data))
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        t.hear(s)
        s.close()
    check(t.lives() and t.honest(), "%d requests with broken bytes" % n)
    s = t.connect()
    try:
        s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 100000)
    except OSError:
        pass
    check(200 not in statuses(t.hear(s)), "a header of 100000 bytes")


def deep(t):
    for text in "[" * 100000, '{"a":' * 10000 + "1" + "}" * 10000:
        check(t.ask("POST", t.change[0], text)[0] == [400], "JSON %d bytes deep" % len(text))


def pipeline(t, n):
    s = t.connect()
    s.sendall(t.request("GET", t.read) * (n - 1) + t.request("GET", t.read, None, "Connection: close"))
    check(statuses(t.hear(s)) == [200] * n, "a pipeline of %d" % n)


def flood(t, n):
    begin = time.monotonic()
    good = sum(t.ask("GET", t.read)[0] == [200] for _ in range(n))
    check(good == n, "%d connections after each other: %d answered, %.0f a second" %
          (n, good, n / (time.monotonic() - begin)))
