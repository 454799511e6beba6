#!/usr/bin/env python3
"""Calls for a build that counts what it runs (host/release.sh): each mode of the bench for some seconds.

The counts are written when the program ends.
"""
import argparse

from kit import runs
from kit.phones import MODES
from kit.servers import Plugboard

# Slow enough for a program that is not optimised for speed.
RATE, SECONDS = 200, 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", help="the program to place calls with")
    parser.add_argument("--out", required=True, help="where logs go")
    options = parser.parse_args()
    out = runs.folder_of_runs(options.out)
    for mode in MODES:
        run = runs.at_rate(lambda folder: Plugboard(folder, options.binary), mode, RATE, SECONDS, out)
        print(f"  {mode}: {run['completed']} of {run['asked']} calls", flush=True)
        if run["failed"] or run["http_errors"]:
            raise SystemExit(f"train: calls failed; see {out}")


if __name__ == "__main__":
    main()
