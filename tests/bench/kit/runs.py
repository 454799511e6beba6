"""One run of one server: at a rate, with calls held, or the search for the highest clean rate."""
import json
import os
import subprocess
import sys
import tempfile
import time

from . import proc
from .phones import MODES, OTHER_PORTS, PORTS, Phones, latencies

DRIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drive.py")
WARM_CALLS = 200
# Seconds that still count after the last call, so that clean-up timers do.
DRAIN_S = 6
# Seconds to wait for calls that do not end.
GIVE_UP_S = 12
# Seconds after which nothing happens any more but what calls that are held want: until then their transactions are
# remembered, and forgotten (32 s; RFC 3261, timers D, H and J).
QUIET_S = 34
# Seconds after the last call came up until memory is taken: every answer is in by then.
SETTLE_S = 3
# Seconds over which the CPU of held calls is taken.
REST_S = 8
# Seconds that calls are held beyond all that is measured of them.
SPARE_S = 4


def folder_of_runs(parent):
    """A new folder for the logs and results of runs, named after the time."""
    folder = os.path.join(parent, time.strftime("%Y%m%d-%H%M%S"))
    os.makedirs(folder)
    return folder


def drive(server, mode, folder, rate, count, first, ports=PORTS):
    """Asks for `count` calls, evenly spaced; what the driver reports."""
    command = [sys.executable, DRIVER, "--rate", str(rate), "--count", str(count), "--first", str(first), "--conns",
               "8", "--records", os.path.join(folder, "driven.csv")] + server.request(mode, ports)
    with open(os.path.join(folder, "driver.err"), "w") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"bench: the driver broke; see {folder}/driver.err")


def warm_up(server, mode, out):
    folder = tempfile.mkdtemp(prefix="warm-", dir=out)
    phones = Phones(mode, server.scenario(mode), folder, WARM_CALLS, hold_ms=0)
    try:
        drive(server, mode, folder, 200, WARM_CALLS, 1)
        phones.wait(5)
    finally:
        phones.stop()


def at_rate(start, mode, rate, seconds, out, hold_ms=1000, drain_s=DRAIN_S, aside=None):
    """A fresh server (`start(folder)`), warmed up, then calls at a rate. `aside(server)`: begun with the load, its
    result is called when the calls have ended."""
    folder = tempfile.mkdtemp(prefix=f"{mode}-{rate}-", dir=out)
    count = round(rate * seconds)
    server = start(folder)
    phones = None
    try:
        warm_up(server, mode, folder)
        phones = Phones(mode, server.scenario(mode), folder, count, hold_ms=hold_ms, times=drain_s == DRAIN_S)
        before = proc.cpu(server.pid)
        end_aside = aside(server) if aside else None
        driver = drive(server, mode, folder, rate, count, WARM_CALLS + 1)
        done = phones.wait(GIVE_UP_S + hold_ms / 1000)
        if end_aside:
            end_aside()
        time.sleep(drain_s)
        alive = server.is_alive()
        after = proc.cpu(server.pid)
    finally:
        if phones:
            phones.stop()
        server.stop()
    if done == count:
        server.forget()
    used = {key: after[key] - before[key] for key in before}
    cpu_ms = used["user_ms"] + used["system_ms"]
    return {
        "kind": "rate", "server": server.label, "mode": mode, "rate": rate, "asked": count, "completed": done,
        "failed": count - done, "http_errors": sum(driver["errors"].values()), "errors": driver["errors"],
        "achieved_rate": driver["achieved_rate"], "died": not alive,
        "cpu_ms_per_call": round(cpu_ms / done, 4) if done and alive else None,
        "user_ms_per_call": round(used["user_ms"] / done, 4) if done and alive else None,
        "cpu_ms_per_message": round(cpu_ms / done / MODES[mode][1], 5) if done and alive else None,
        "http_ms": driver["http_ms"], "late_ms": driver["late_ms"],
        "retransmissions": sum(leg["retransmissions"] for leg in phones.counts()),
        # Of the whole machine: how busy it was, and what the hypervisor took.
        "machine_busy_percent": round(used["machine_ms"] / (10 * used["time"] * os.cpu_count()), 1),
        "steal_percent": round(used["steal_ms"] / (10 * used["time"] * os.cpu_count()), 1),
    } | (latencies(phones, os.path.join(folder, "driven.csv")) if drain_s == DRAIN_S else {})


def beside(server, mode, held_calls, out, rate=300, seconds=8):
    """Calls at a rate while others are held, between phones of their own."""
    folder = tempfile.mkdtemp(prefix=f"{mode}-beside-", dir=out)
    count = round(rate * seconds)
    phones = Phones(mode, server.scenario(mode), folder, count, ports=OTHER_PORTS)
    try:
        before = proc.cpu(server.pid)
        driver = drive(server, mode, folder, rate, count, WARM_CALLS + held_calls + 1, OTHER_PORTS)
        done = phones.wait(GIVE_UP_S)
        after = proc.cpu(server.pid)
    finally:
        phones.stop()
    used_ms = sum(after[key] - before[key] for key in ("user_ms", "system_ms"))
    return {
        "kind": "beside", "server": server.label, "mode": mode, "held": held_calls, "rate": rate, "asked": count,
        "completed": done, "failed": count - done, "http_errors": sum(driver["errors"].values()),
        "cpu_ms_per_call": round(used_ms / done, 4) if done else None, "http_ms": driver["http_ms"],
    }


def beside_none(start, mode, out):
    """The same on a fresh server that holds no calls."""
    folder = tempfile.mkdtemp(prefix=f"{mode}-alone-", dir=out)
    server = start(folder)
    try:
        warm_up(server, mode, folder)
        return beside(server, mode, 0, folder)
    finally:
        server.stop()


# Seconds that `beside` takes at most, with what comes before and after.
BESIDE_S = 8 + GIVE_UP_S + 5


def held(start, mode, calls, out, rate=400, with_others=False):
    """Brings calls up and keeps them up: memory for each, and the CPU that they take while nothing happens; with others
    beside them, then, if asked. Yields a result for each."""
    folder = tempfile.mkdtemp(prefix=f"{mode}-held-", dir=out)
    rings = mode == "refer_bye"  # it never holds an answered call, and no phone rings for long
    quiet_s = 0 if rings else QUIET_S
    up_s = calls / rate
    hold_ms = round(1000 * (up_s + SETTLE_S + quiet_s + REST_S + SPARE_S + (BESIDE_S if with_others else 0)))
    server = start(folder)
    phones = None
    try:
        warm_up(server, mode, folder)
        time.sleep(6)
        fresh = proc.pss_kib(server.pid)
        phones = Phones(mode, server.scenario(mode), folder, calls, ring_ms=hold_ms if rings else 0, hold_ms=hold_ms)
        driver = drive(server, mode, folder, rate, calls, WARM_CALLS + 1)
        time.sleep(SETTLE_S)
        full = proc.pss_kib(server.pid)
        up = min(leg["up"] for leg in phones.counts())
        time.sleep(quiet_s)
        before = proc.cpu(server.pid)
        time.sleep(REST_S)
        after = proc.cpu(server.pid)
        if with_others:
            yield beside(server, mode, calls, folder)
        done = phones.wait(GIVE_UP_S + hold_ms / 1000)
        time.sleep(5)
        left = proc.pss_kib(server.pid)
    finally:
        if phones:
            phones.stop()
        server.stop()
    if done == calls:
        server.forget()
    yield {
        "kind": "held", "server": server.label, "mode": mode, "asked": calls, "held": up, "completed": done,
        "failed": calls - done, "http_errors": sum(driver["errors"].values()), "http_ms": driver["http_ms"],
        "kib_per_call": round((full - fresh) / up, 2) if up else None,
        "pss_mib": {"before": fresh // 1024, "held": full // 1024, "after": left // 1024},
        "cpu_percent_while_held": round(
            (after["exact_ms"] - before["exact_ms"]) / (10 * (after["time"] - before["time"])), 3),
    }


def highest_rate(start, mode, out, first=1000, seconds=5, tries=10, fine_percent=8, say=lambda text: None):
    """The highest rate at which no call fails twice in a row: up by half, then halves the bracket."""
    rate, good, bad = first, 0, 0
    for _ in range(tries):
        clean = True
        for _ in range(2):
            run = at_rate(start, mode, rate, seconds, out, drain_s=1)
            clean = not run["failed"] and not run["http_errors"] and run["achieved_rate"] >= 0.98 * rate
            say(f"  {run['server']} {mode} at {rate}/s: {'clean' if clean else 'not clean'}")
            if not clean:
                break
        good, bad = (rate, bad) if clean else (good, rate)
        if not bad:
            rate = rate * 3 // 2
            continue
        if (bad - good) * 100 <= bad * fine_percent:
            break
        rate = (good + bad) // 2
    return {"kind": "highest", "server": run["server"], "mode": mode, "rate": good, "not_clean": bad}
