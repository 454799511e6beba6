#!/usr/bin/env python3
"""Instructions of each step, counted by callgrind, beside the committed figures of counts.json.

Each step runs twice, a few times and many times; the difference by the number of runs between is what one costs, so
that start-up does not count. A count hardly depends on the machine's load, and it does on compiler and processor: a
figure that grew by more than a tenth is an error. --write takes the figures of now.
"""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = os.path.join(HERE, "counts.json")
# Many enough to drown what differs from one start to the next: the compiler's threads do, by a million or two.
FEW, MANY = 20, 1_020
MOST_GROWTH = 1.10


def counted(binary, step, times):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--error-exitcode=9",
                           binary, step, str(times)], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"count: {step} does not run under valgrind:\n{done.stderr[-2000:]}")
    return int(found.group(1))


def main():
    write = "--write" in sys.argv
    binary = next(argument for argument in sys.argv[1:] if not argument.startswith("--"))
    steps = subprocess.run([binary], capture_output=True, text=True, check=True).stdout.split()
    with open(FIGURES) as f:
        before = json.load(f)
    now, worse = {}, False
    for step in filter(lambda step: step != "nothing", steps):
        now[step] = round((counted(binary, step, MANY) - counted(binary, step, FEW)) / (MANY - FEW))
        ratio = now[step] / before[step] if before.get(step) else None
        grew = ratio is not None and ratio > MOST_GROWTH
        worse |= grew
        print(f"{step:<38} {now[step]:>10,}" + (f"  {ratio:5.2f} x{'  grew' if grew else ''}" if ratio else "  new"),
              flush=True)
    if write:
        with open(FIGURES, "w") as f:
            json.dump(now, f, indent=1)
            f.write("\n")
    return 1 if worse and not write else 0


if __name__ == "__main__":
    sys.exit(main())
