"""CPU and memory of process trees, from /proc; sums over a server's processes."""
import glob
import os
import time

TICK_MS = 1000.0 / os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def stat(pid):
    """The fields of /proc/PID/stat behind the name; none when the process is gone."""
    text = read(f"/proc/{pid}/stat")
    return text.rsplit(")", 1)[1].split() if text else None


def tree(root):
    """This process and all below it."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if fields := stat(pid):
            children.setdefault(int(fields[1]), []).append(int(pid))
    todo, found = [root], []
    while todo:
        pid = todo.pop()
        if os.path.isdir(f"/proc/{pid}"):
            found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu(root):
    """User and system time so far in milliseconds, the scheduler's finer sum of both, and when it was read.

    `machine_ms` and `steal_ms` are the whole machine's: what anything used, and what the hypervisor took.
    """
    user = system = exact = 0.0
    for pid in tree(root):
        if fields := stat(pid):
            user += int(fields[11]) * TICK_MS
            system += int(fields[12]) * TICK_MS
        for task in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            if words := read(task).split():
                exact += int(words[0]) / 1e6
    machine = [int(word) * TICK_MS for word in read("/proc/stat").split("\n", 1)[0].split()[1:]]
    busy = sum(machine[:3]) + machine[5] + machine[6]
    return {"user_ms": user, "system_ms": system, "exact_ms": exact, "machine_ms": busy, "steal_ms": machine[7],
            "time": time.time()}


def pss_kib(root):
    """Proportional set size in KiB: what is shared counts once."""
    total = 0
    for pid in tree(root):
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total
