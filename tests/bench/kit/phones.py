"""The phones: SIPp, one process for each leg of a mode, with the scenarios of `phones/`."""
import csv
import os
import signal
import subprocess
import time

HOST = "127.0.0.1"
PORTS = {"a": 25081, "b": 25082}
# Of the phones that call while those above hold their calls.
OTHER_PORTS = {"a": 25083, "b": 25084}
SCENARIOS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "phones")
# Which phones a mode has, how many SIP messages the server handles for a call, and what it is.
MODES = {
    "refer_bye": ("a", 8, "REFER, BYE at the 202"),
    "refer_notify": ("a", 12, "REFER, following the NOTIFYs"),
    "invite": ("ab", 15, "INVITE, RFC 3725 flow IV"),
}


def percentile(ordered, percent):
    """Nearest rank."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)] if ordered else None


class Phones:
    """SIPp for `count` calls of one mode. `ring_ms`: from 180 to 200; `hold_ms`: the conversation."""

    def __init__(self, mode, scenario, folder, count, ring_ms=0, hold_ms=1000, times=True, ports=PORTS):
        self.folder, self.count = folder, count
        self.legs = MODES[mode][0]
        self.processes = []
        for leg in reversed(self.legs):
            name = f"{scenario}_{leg}.xml" if len(self.legs) > 1 else f"{scenario}.xml"
            command = ["sipp", "-sf", os.path.join(SCENARIOS, name), "-i", HOST, "-bind_local", "-ci", HOST,
                       "-p", str(ports[leg]), "-nostdin", "-set", "ring_ms", str(ring_ms), "-set", "hold_ms",
                       str(hold_ms), "-m", str(count), "-timeout", "600", "-f", "5", "-trace_stat",
                       "-stf", self.path(leg, "csv"), "-fd", "1", "-trace_err", "-error_file", self.path(leg, "err"),
                       "-deadcall_wait", "5000", "-buff_size", "2097152"]
            if times:
                command += ["-trace_logs", "-log_file", self.path(leg, "times")]
            output = open(self.path(leg, "out"), "w")
            self.processes.append(subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL))
        time.sleep(0.7)
        if any(process.poll() is not None for process in self.processes):
            raise SystemExit(f"bench: SIPp did not start; see {folder}")

    def path(self, leg, kind):
        return os.path.join(self.folder, f"leg_{leg}.{kind}")

    def counts(self):
        """Of each leg: calls that ended well, that failed, that are up, and retransmissions; once a second fresh."""
        return [self.counts_of(leg) for leg in self.legs]

    def counts_of(self, leg):
        try:
            with open(self.path(leg, "csv"), newline="") as f:
                rows = [row for row in csv.reader(f, delimiter=";") if len(row) > 20]
        except OSError:
            rows = []
        whole = [row for row in rows[1:] if len(row) >= len(rows[0]) - 1]
        last = dict(zip(rows[0], whole[-1])) if whole else {}
        number = lambda key: int(last.get(key) or 0)
        return {"ok": number("SuccessfulCall(C)"), "failed": number("FailedCall(C)"), "up": number("CurrentCall"),
                "retransmissions": number("Retransmissions(C)")}

    def wait(self, seconds):
        """Until every call has ended, or so many seconds; then stops the phones and says how many calls ended well."""
        until = time.time() + seconds
        while time.time() < until and any(process.poll() is None for process in self.processes):
            # With -m SIPp ends by itself; when calls were lost on the way it does not.
            if all(leg["ok"] + leg["failed"] >= self.count for leg in self.counts()):
                break
            time.sleep(0.2)
        time.sleep(1.2)  # one more row in the statistics
        self.stop()
        return min(leg["ok"] for leg in self.counts())

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGUSR1)
        for process in self.processes:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def times(self):
        """Of each call by its number, in seconds since the epoch: when its first INVITE came to a phone, and when its
        last set-up message did."""
        first, last, seen = {}, {}, {}
        for leg in self.legs:
            with open(self.path(leg, "times")) as f:
                for words in map(str.split, f):
                    if len(words) == 5 and words[4] == "invite":
                        first.setdefault(int(words[0]), float(words[3]))
                    elif len(words) == 4 and words[0].isdigit():
                        number = int(words[0])
                        last[number] = max(last.get(number, 0.0), float(words[3]))
                        seen[number] = seen.get(number, 0) + 1
        return first, {number: at for number, at in last.items() if seen[number] == len(self.legs)}


def latencies(phones, driven):
    """Milliseconds from the first byte of the POST to the first INVITE, and to the last set-up message; `driven`: the
    driver's records."""
    sent = {}
    with open(driven) as f:
        for words in (line.split(",") for line in f):
            if float(words[2]):
                sent[int(words[0])] = float(words[2])

    def spread(times):
        took = sorted(1000 * (at - sent[number]) for number, at in times.items() if number in sent)
        return {"p50": round(percentile(took, 50), 2), "p99": round(percentile(took, 99), 2)} if took else None

    first, last = phones.times()
    return {"invite_ms": spread(first), "setup_ms": spread(last)}
