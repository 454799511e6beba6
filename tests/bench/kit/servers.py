"""The servers: each is started fresh for a run, on loopback, with HTTPS and Basic login."""
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time

from .phones import HOST, PORTS

SIP_PORT, HTTP_PORT, ADMIN_PORT = 25060, 26666, 26668
USERS = 1000
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Server:
    """A server under load. `folder`: where its configuration, log and state go."""

    def __init__(self, folder):
        self.folder = folder
        if Server.is_open(self):
            raise SystemExit(f"bench: another program listens on {HOST}:{HTTP_PORT}; end that first")
        self.log = open(os.path.join(folder, "server.log"), "w")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                        env=os.environ | {"RUST_LOG": "info"})
        until = time.time() + 20
        while not self.is_open():
            if self.process.poll() is not None or time.time() > until:
                self.stop()
                raise SystemExit(f"bench: {self.label} did not start; see {folder}/server.log")
            time.sleep(0.002)
        self.ready_at = time.monotonic()

    @property
    def pid(self):
        return self.process.pid

    def is_open(self):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((HOST, HTTP_PORT)) == 0

    def is_alive(self):
        return self.process.poll() is None

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def stop(self):
        """Only the process that was started here is signalled; it ends its own children."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def forget(self):
        """Removes what is large, and of use only when calls failed."""


class Plugboard(Server):
    """Plugboard as an operator runs it: journal on, status records on, log level info."""

    def __init__(self, folder, binary, label="plugboard", controller=None):
        self.binary, self.label, self.controller = binary, label, controller
        super().__init__(folder)

    def is_open(self):
        admin = http.client.HTTPConnection(HOST, ADMIN_PORT, timeout=1)
        try:
            admin.request("GET", "/readyz")
            return admin.getresponse().status == 200
        except OSError:
            return False
        finally:
            admin.close()

    @staticmethod
    def scenario(mode):
        """What the phones play. Plugboard's controller follows the NOTIFYs, so the phone is the one to hang up early."""
        return "refer_bye_by_phone" if mode == "refer_bye" else mode

    def command(self):
        users = "".join(
            f'[tenants."example.com".users.u{i}]\npin = "pw{i}"\nsip_password = "pw{i}"\n' for i in range(USERS))
        controller = f'controller = "{os.path.abspath(self.controller)}"' if self.controller else ""
        config = self.write("plugboard.toml", f"""state_dir = "{self.folder}/state"
drain_timeout_seconds = 1
[http]
https = "{HOST}:{HTTP_PORT}"
admin = "{HOST}:{ADMIN_PORT}"
[sip]
udp = "{HOST}:{SIP_PORT}"
[tenants."example.com"]
{controller}
{users}""")
        return [self.binary, "serve", "--config", config]

    def forget(self):
        shutil.rmtree(os.path.join(self.folder, "state", "journal"))

    @staticmethod
    def request(mode, ports=PORTS):
        """What the driver asks: its options, for a call in this mode."""
        method = "INVITE" if mode == "invite" else "REFER"
        # In calls that are held the called phone of a REFER rings all the time.
        url = (f"https://{HOST}:{HTTP_PORT}/callcontroller/u{{n}}%40{HOST}%3A{ports['a']}/v{{n}}%40{HOST}%3A"
               f"{ports['b']}?agent=u{{m}}&sipMethod={method}&timeout=600")
        return ["--url", url, "--user", "u{m}:pw{m}", "--modulo", str(USERS)]


class Kamailio(Server):
    """Kamailio's `dlg.bridge_dlg`: REFER, and BYE at the 202. Its best allocator (-x fm), two workers."""

    label = "kamailio"

    @staticmethod
    def scenario(mode):
        return mode

    def command(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-keyout", f"{self.folder}/key.pem", "-out",
                        f"{self.folder}/cert.pem"], check=True, capture_output=True)
        tls = self.write("tls.cfg", "[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\n"
                         f"private_key = {self.folder}/key.pem\ncertificate = {self.folder}/cert.pem\n")
        with open(os.path.join(FOLDER, "kamailio.cfg")) as f:
            config = f.read()
        for name, value in (("WORKERS", "2"), ("SIP_PORT", str(SIP_PORT)), ("HTTP_PORT", str(HTTP_PORT)),
                            ("127.0.0.1:5060", f"127.0.0.1:{SIP_PORT}"), ("tls.cfg", tls)):
            config = config.replace(name, value)
        config = self.write("kamailio.cfg", config)
        path = os.environ["PATH"] + ":/usr/sbin"
        binary = next(p for d in path.split(":") if os.access(p := os.path.join(d, "kamailio"), os.X_OK))
        return [binary, "-f", config, "-DD", "-E", "-x", "fm", "-A", "TLS", "-A", "AUTH", "-m", "4096", "-M", "16",
                "-w", self.folder]

    @staticmethod
    def request(mode, ports=PORTS):
        body = ('{"jsonrpc":"2.0","method":"dlg.bridge_dlg","params":["sip:u{n}@%s:%d","sip:v{n}@%s:%d","sip:%s:%d"],'
                '"id":{n}}' % (HOST, ports["a"], HOST, ports["b"], HOST, ports["a"]))
        return ["--url", f"https://{HOST}:{HTTP_PORT}/RPC", "--body", body, "--bad-body", '"error"',
                "--header", "Content-Type: application/json", "--user", "u{n}:pw{n}"]
