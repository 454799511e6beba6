"""Where a call's CPU goes, by stage: samples of `perf` with their call stacks, while calls are placed.

A sample belongs to the innermost function on its stack that a rule below names. Code that the runtime compiled from
the guest has no symbols; it counts as the guest, as does what enters and leaves it. A sample that no rule knows stays
visible as "other".
"""
import collections
import os
import re
import shutil
import subprocess

HERTZ = 1999
STACK_BYTES = 16384
# From the innermost frame outwards, the first pattern that matches decides.
RULES = [
    ("guest", r"call_handle|call_route|wasmtime|plugboard_engine|cranelift"),
    ("journal", r"plugboard_journal|Finished::record|Record"),
    ("HTTP and TLS", r"rustls|tokio_rustls|hyper|plugboard_server::(listen|api|auth)|ring_core|^ring::|h2::|http::"),
    ("log", r"tracing"),
    ("send", r"Sockets::send|UdpListener::send|send_to|let_out"),
    ("receive and frame", r"UdpListener::receive|recv_from|admit::admit|parse::|validate|shard_of"),
    ("serialise", r"serialize|message::write|to_bytes|Message::encode|write_to|Response::to_bytes"),
    ("transaction", r"transaction::"),
    ("commit", r"Shard::(finish|proceed|begin|commit)|Job::run|Stage|plugboard_calls"),
    ("timers", r"keep_time|Alarm|parking"),
    ("HTTP and TLS", r"tokio|mio"),
    # Nothing above is on the stack: a thread that waits for its turn, or wakes another.
    ("threads", r"futex|Mutex|nanosleep|__rust_begin_short_backtrace|schedule|clone3"),
]
# What perf calls the memory that the runtime compiled the guest into.
COMPILED_CODE = ("/tmp/perf-", "[anon", "//anon", "/memfd", "[unknown")
COMPILED = [(stage, re.compile(pattern)) for stage, pattern in RULES]


def available():
    """Whether perf can sample here."""
    return shutil.which("perf") is not None and subprocess.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


def aside(folder, seconds):
    """Samples the server; for `runs.at_rate`."""
    data = os.path.join(folder, "perf.data")

    def begin(server):
        process = subprocess.Popen(
            ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(HERTZ), "--call-graph", f"dwarf,{STACK_BYTES}", "-o",
             data, "-p", str(server.pid), "--", "sleep", str(seconds)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        return process.wait

    return data, begin


def stage_of(frames):
    """The stage of one stack, innermost frame first; frames are (symbol, object)."""
    if frames and frames[0][0] == "[unknown]" and frames[0][1].startswith(COMPILED_CODE):
        return "guest"
    for rules in (COMPILED[:-1], COMPILED[-1:]):
        for symbol, _ in frames:
            for stage, pattern in rules:
                if pattern.search(symbol):
                    return stage
    return "other"


def stacks(data):
    """The stacks of a recording."""
    script = subprocess.Popen(["perf", "script", "-i", data, "--no-inline", "-F", "comm,ip,sym,dso"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    thread, frames = None, []
    for line in script.stdout:
        if not line.strip():
            if thread is not None:
                yield thread, frames
            thread, frames = None, []
        elif not line[0].isspace():
            thread = line.strip()
        else:
            if thread is None:
                thread = ""
            match = re.match(r"\s+[0-9a-f]+ (.*) \((.*)\)$", line)
            if match:
                frames.append((match.group(1), match.group(2)))
    if thread is not None:
        yield thread, frames


def shares(data):
    """Percent of the samples by stage, largest first."""
    count = collections.Counter(stage_of(frames) for _, frames in stacks(data))
    total = sum(count.values())
    return {stage: round(100 * n / total, 1) for stage, n in count.most_common()} if total else {}
