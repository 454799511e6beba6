"""How soon a deployment takes calls, and how soon a start is ready. One at a time, on a server that has nothing else to do.

A component is the controller with a number in a custom section: another component each time, with the same behaviour.
"""
import http.client
import os
import re
import socket
import ssl
import tempfile
import threading
import time

from . import servers
from .phones import HOST, PORTS
from .table import median

DOMAIN = "example.com"
# Versions that the server keeps at hand; one that came before them is loaded from the folder of compiled code again.
AT_HAND = 6
# Seconds that a call, or a start, may take.
PATIENCE_S = 20


def measured(start, component, out, times=5):
    """Medians of `times` each. `component`: the file of the controller."""
    folder = tempfile.mkdtemp(prefix="versions-", dir=out)
    with open(component, "rb") as f:
        controller = f.read()
    server = start(folder)
    try:
        with Phone() as phone:
            place = Caller(server, phone).deploy_and_call
            numbers = range(1, times + AT_HAND + 1)
            cold = [place(numbered(controller, number)) for number in numbers]
            cached = [place(numbered(controller, number)) for number in numbers[:times]]
    finally:
        server.stop()
    ready = []
    for _ in range(times):
        begun = time.monotonic()
        server = start(folder)
        try:
            ready.append(1000 * (server.ready_at - begun))
        finally:
            server.stop()
    return {"kind": "versions", "server": server.label, "component_kib": len(controller) // 1024,
            "deploy_cold_ms": round(median(cold), 1), "deploy_cached_ms": round(median(cached), 1),
            "ready_ms": round(median(ready), 1), "all": {"cold": cold, "cached": cached, "ready": ready}}


def numbered(controller, number):
    content = b"\x05bench%08d" % number
    return controller + bytes([0, len(content)]) + content


class Caller:
    """Deploys by the admin API, and places calls over HTTPS."""

    def __init__(self, server, phone):
        with open(os.path.join(server.folder, "state", "admin-token")) as f:
            self.token = f.read().strip()
        self.phone, self.calls = phone, 0
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.https = http.client.HTTPSConnection(HOST, servers.HTTP_PORT, timeout=PATIENCE_S, context=tls)
        self.admin = http.client.HTTPConnection(HOST, servers.ADMIN_PORT, timeout=PATIENCE_S)

    def ask(self, connection, method, path, body=b"", headers=None):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def call(self):
        """Places a call; when its INVITE came."""
        self.calls += 1
        path = (f"/callcontroller/u1%40{HOST}%3A{self.phone.port}/n{self.calls}%40{HOST}%3A{self.phone.port}"
                "?agent=u1&sipMethod=REFER")
        status = self.ask(self.https, "POST", path, headers={"Authorization": "Basic dTE6cHcx"})  # u1:pw1
        if not 200 <= status < 300:
            raise SystemExit(f"bench: a call was answered with {status}")
        return self.phone.invited()

    def deploy_and_call(self, component):
        """Milliseconds from the first byte of a deployment to the INVITE of the first call that runs on it."""
        self.call()  # all connections are open, and warm
        until = time.time() + PATIENCE_S
        while True:
            begun = time.monotonic()
            status = self.ask(self.admin, "PUT", f"/v1/tenants/{DOMAIN}/controller", component,
                              {"Authorization": f"Bearer {self.token}"})
            if status == 200:
                return round(1000 * (self.call() - begun), 2)
            if status != 409 or time.time() > until:  # 409: too many versions still have calls
                raise SystemExit(f"bench: a deployment was answered with {status}")
            time.sleep(0.2)


class Phone:
    """Is busy: it answers every INVITE with a 486, so that its call ends."""

    port = PORTS["a"]

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, self.port))
        self.socket.settimeout(0.2)
        self.came, self.at, self.open = threading.Event(), 0.0, True
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.open = False
        self.thread.join()
        self.socket.close()

    def answer(self):
        while self.open:
            try:
                datagram, source = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            at = time.monotonic()
            if datagram.startswith(b"INVITE"):
                head = datagram.split(b"\r\n\r\n")[0].decode()
                kept = re.findall(r"(?im)^(?:via|from|call-id|cseq):.*$", head)
                to = re.search(r"(?im)^to:.*$", head).group().rstrip() + ";tag=busy"
                lines = ["SIP/2.0 486 Busy Here", *(line.rstrip() for line in kept), to, "Content-Length: 0", "", ""]
                self.socket.sendto("\r\n".join(lines).encode(), source)
                self.at = at
                self.came.set()

    def invited(self):
        if not self.came.wait(PATIENCE_S):
            raise SystemExit("bench: no INVITE came")
        self.came.clear()
        return self.at
