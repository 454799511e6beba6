#!/usr/bin/env python3
"""Paced HTTP(S) requests over kept-alive connections; loopback only.

Sends COUNT = rate x seconds requests, evenly spaced (or --poisson), over a fixed
number of connections, one request at a time on each.  A request that comes due
while every connection is busy waits in a queue; that wait is reported apart from
the HTTP latency ("late"), so a slow server cannot hide behind a slow driver.

Templates (URL, body, header values, --user) may hold
  {n}    number of the call, --first, --first+1, ...
  {m}    n modulo --modulo (for a server with a fixed set of users)
  {hex}  16 random hex digits (an idempotency key, for instance)
Other braces are left alone, so JSON needs no escaping.

The last line of standard output is a JSON object.  --records FILE gets one line a
call: n,due,sent,done,status (times in seconds since the epoch; status 0 = no
answer) for phones.py.  Exit status: 0 every answer was good, 1 otherwise, 2 usage.
Needs nothing but Python's standard library.
"""
import argparse
import base64
import collections
import gc
import ipaddress
import json
import os
import random
import re
import select
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit


def percentile(values, q):
    """Nearest-rank percentile of a sorted list, None when empty."""
    if not values:
        return None
    return values[min(len(values) - 1, max(0, int(-(-q * len(values) // 100)) - 1))]


def dist(values):
    v = sorted(values)
    if not v:
        return None
    ms = [round(1000 * percentile(v, q), 3) for q in (50, 90, 99)]
    return {"p50": ms[0], "p90": ms[1], "p99": ms[2], "max": round(1000 * v[-1], 3)}


class Template:
    """Text with {n}, {m}, {hex}; constant text is made bytes only once."""

    def __init__(self, text):
        self.parts = re.split(r"(\{(?:n|m|hex)\})", text)
        self.const = text if len(self.parts) == 1 else None

    def fill(self, n, m):
        if self.const is not None:
            return self.const
        out = []
        for p in self.parts:
            if p == "{n}":
                out.append(str(n))
            elif p == "{m}":
                out.append(str(m))
            elif p == "{hex}":
                out.append(os.urandom(8).hex())
            else:
                out.append(p)
        return "".join(out)


class Conn:
    """One kept-alive connection.  Blocking while it connects, not after."""

    def __init__(self, host, port, tls, timeout):
        self.addr, self.tls, self.timeout = (host, port), tls, timeout
        self.sock = None
        self.call = None        # number of the request under way
        self.sent = 0.0
        self.buf = b""
        self.out = b""

    def open(self):
        s = socket.create_connection(self.addr, self.timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            s = self.tls.wrap_socket(s, server_hostname=self.addr[0])
        s.setblocking(False)
        self.sock, self.buf, self.out = s, b"", b""
        return s.fileno()

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def flush(self):
        """Write what is left of the request; True when all of it is out."""
        try:
            while self.out:
                self.out = self.out[self.sock.send(self.out):]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        return True

    def read(self):
        """Take what has arrived; False when the peer has closed."""
        try:
            while True:
                d = self.sock.recv(65536)
                if not d:
                    return False
                self.buf += d
                if not self.tls and len(d) < 65536:
                    return True
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True


LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.I)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.I)
CLOSE = re.compile(rb"\r\nconnection:[^\r]*close", re.I)


def parse(buf):
    """(status, body, rest, close) of the first whole response in buf, or None."""
    while True:
        end = buf.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = buf[:end + 2]
        status = int(head[9:12])
        if status >= 200:
            break
        buf = buf[end + 4:]     # 100 Continue and the like
    at = end + 4
    close = bool(CLOSE.search(head)) or head.startswith(b"HTTP/1.0")
    m = LENGTH.search(head)
    if m:
        stop = at + int(m.group(1))
        if len(buf) < stop:
            return None
        return status, buf[at:stop], buf[stop:], close
    if CHUNKED.search(head):
        body = b""
        while True:
            eol = buf.find(b"\r\n", at)
            if eol < 0:
                return None
            size = int(buf[at:eol].split(b";")[0], 16)
            if len(buf) < eol + 2 + size + 2:
                return None
            body += buf[eol + 2:eol + 2 + size]
            at = eol + 2 + size + 2
            if size == 0:       # trailers are not expected
                return status, body, buf[at:], close
    if status in (204, 304):
        return status, b"", buf[at:], close
    return None if not close else (status, buf[at:], b"", True)


def main():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--url", required=True, help="template, http:// or https://")
    a.add_argument("--method", default="POST")
    a.add_argument("--body", default="", help="template, or @file")
    a.add_argument("--header", action="append", default=[], help="'Name: template', may be repeated")
    a.add_argument("--user", default="", help="'u{n}:secret': Basic authentication")
    a.add_argument("--rate", type=float, required=True, help="requests a second")
    a.add_argument("--seconds", type=float, default=10)
    a.add_argument("--count", type=int, default=0, help="instead of --seconds")
    a.add_argument("--conns", type=int, default=8)
    a.add_argument("--first", type=int, default=1, help="number of the first call")
    a.add_argument("--modulo", type=int, default=1000)
    a.add_argument("--good", default="2..", help="regex of a good status")
    a.add_argument("--bad-body", default="", help="regex: an answer whose body has it is an error")
    a.add_argument("--timeout", type=float, default=5, help="seconds for one answer")
    a.add_argument("--poisson", type=int, default=0, metavar="SEED", help="random spacing")
    a.add_argument("--records", default="")
    o = a.parse_args()

    u = urlsplit(o.url)
    host, port = u.hostname, u.port or (443 if u.scheme == "https" else 80)
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        sys.exit("drive.py: loopback addresses only")
    tls = None
    if u.scheme == "https":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    count = o.count or round(o.rate * o.seconds)
    path = Template((u.path or "/") + ("?" + u.query if u.query else ""))
    body = Template(open(o.body[1:]).read() if o.body.startswith("@") else o.body)
    heads = Template("".join(h + "\r\n" for h in o.header))
    user = Template(o.user) if o.user else None
    good = re.compile(o.good)
    bad = re.compile(o.bad_body.encode()) if o.bad_body else None
    hostline = f"Host: {host}:{port}\r\nUser-Agent: drive.py\r\n"

    def request(n):
        m = n % o.modulo
        b = body.fill(n, m).encode()
        auth = ""
        if user:
            auth = "Authorization: Basic " + base64.b64encode(user.fill(n, m).encode()).decode() + "\r\n"
        return (f"{o.method} {path.fill(n, m)} HTTP/1.1\r\n{hostline}{auth}{heads.fill(n, m)}"
                f"Content-Length: {len(b)}\r\n\r\n").encode() + b

    rnd = random.Random(o.poisson)
    due, t = [], 0.0
    for i in range(count):
        due.append(t if o.poisson else i / o.rate)
        t += rnd.expovariate(o.rate) if o.poisson else 0

    ep = select.epoll()
    conns, free = {}, collections.deque()
    try:
        for _ in range(o.conns):
            c = Conn(host, port, tls, o.timeout)
            fd = c.open()
            conns[fd] = c
            ep.register(fd, select.EPOLLIN)
            free.append(c)
    except OSError as e:
        sys.exit(f"drive.py: {host}:{port}: {e}")

    sent = [0.0] * count
    done = [0.0] * count
    status = [0] * count
    errors = collections.Counter()
    reconnects = 0
    finished = 0

    def reopen(c):
        nonlocal reconnects
        fd = c.sock.fileno()
        ep.unregister(fd)
        del conns[fd]
        c.close()
        if reconnects >= count + o.conns:
            return False
        reconnects += 1
        try:
            fd = c.open()
        except OSError:
            errors["reconnect"] += 1
            return False
        conns[fd] = c
        ep.register(fd, select.EPOLLIN)
        return True

    gc.collect()
    gc.disable()
    mono = time.monotonic
    wall = time.time() - mono()
    start = mono() + 0.005
    nxt = 0
    hard = due[-1] * 1.2 + 2 + o.timeout if count else 0
    sweep = start
    while finished < count:
        now = mono() - start
        while nxt < count and due[nxt] <= now and free:
            c = free.popleft()
            c.call = nxt
            c.out = request(o.first + nxt)
            c.sent = sent[nxt] = mono()
            nxt += 1
            try:
                if not c.flush():
                    ep.modify(c.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
            except OSError:
                errors["send"] += 1
                finished += 1
                c.call = None
                if reopen(c):
                    free.append(c)
            now = mono() - start
        if now > hard or not conns:
            break
        if nxt < count and free:
            wait = max(0.0, due[nxt] - now)
        else:
            wait = 0.2
        # select() on the epoll descriptor: waits in microseconds, not milliseconds
        if wait:
            select.select([ep], [], [], min(wait, 0.2))
        for fd, ev in ep.poll(0):
            c = conns.get(fd)
            if c is None:
                continue
            try:
                if ev & select.EPOLLOUT and c.flush():
                    ep.modify(fd, select.EPOLLIN)
                alive = c.read() if ev & ~select.EPOLLOUT else True
            except (OSError, ssl.SSLError):
                alive = False
            r = parse(c.buf) if c.call is not None else None
            if r:
                code, text, c.buf, close = r
                i, c.call = c.call, None
                done[i] = mono()
                status[i] = code
                finished += 1
                if not good.fullmatch(str(code)):
                    errors[f"status {code}"] += 1
                elif bad and bad.search(text):
                    errors["bad body"] += 1
                if close or not alive:
                    if reopen(c):
                        free.append(c)
                else:
                    free.append(c)
            elif not alive:
                was = c.call
                if was is not None:
                    errors["closed"] += 1
                    finished += 1
                    c.call = None
                else:
                    try:
                        free.remove(c)
                    except ValueError:
                        pass
                if reopen(c):
                    free.append(c)
        if mono() - sweep > 0.25:
            sweep = mono()
            for c in list(conns.values()):
                if c.call is not None and sweep - c.sent > o.timeout:
                    errors["timeout"] += 1
                    finished += 1
                    c.call = None
                    if reopen(c):
                        free.append(c)
    end = mono()
    gc.enable()
    if nxt < count:
        errors["not sent"] += count - nxt
    if count - finished - (count - nxt) > 0:
        errors["no answer"] += count - finished - (count - nxt)
    for c in conns.values():
        c.close()

    if o.records:
        with open(o.records, "w") as f:
            for i in range(count):
                f.write("%d,%.6f,%.6f,%.6f,%d\n" % (
                    o.first + i, start + due[i] + wall,
                    sent[i] + wall if sent[i] else 0, done[i] + wall if done[i] else 0, status[i]))
    last = max([s for s in sent if s], default=start)
    span = last - start
    print(json.dumps({
        "asked": count, "rate": o.rate, "sent": nxt,
        "ok": count - sum(v for k, v in errors.items() if k != "reconnect"),
        "errors": dict(errors), "reconnects": reconnects,
        "achieved_rate": round((nxt - 1) / span, 1) if nxt > 1 and span > 0 else 0,
        "http_ms": dist([d - s for d, s in zip(done, sent) if d and s]),
        "late_ms": dist([s - start - d for s, d in zip(sent, due) if s]),
        "seconds": round(end - start, 3),
        "driver_cpu_ms": round(1000 * time.process_time()),
    }))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
