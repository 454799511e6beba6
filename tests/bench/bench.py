#!/usr/bin/env python3
"""Plugboard beside Kamailio, on the same phones and the same paced HTTPS client. README.md says what is measured.

Each repetition runs every server once, and ratios are taken within a repetition, so that a machine whose speed
changes does not decide. Needs sipp, kamailio and openssl (./just bench installs them) and nothing else but Python.
"""
import argparse
import json
import os
import platform
import signal
import sys
import time

from kit import aims, plot, profile, runs, table, versions
from kit.phones import MODES
from kit.servers import Kamailio, Plugboard

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


# What the program has built in.
CONTROLLER = os.path.join(ROOT, "target/guests/controller.wasm")


def arguments():
    parser = argparse.ArgumentParser(prog="./just bench", description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default=os.path.join(ROOT, "target/release/plugboard"), help="the plugboard to measure")
    parser.add_argument("--controller", help="call logic to use in place of the built-in ones")
    parser.add_argument("--peer", default="kamailio", metavar="NAME|PATH",
                        help="kamailio, none, or another plugboard to compare with")
    parser.add_argument("--modes", default=",".join(MODES), help=f"of {', '.join(MODES)}")
    parser.add_argument("--rates", default="1000", help="calls a second, one or several")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of every run at a rate")
    parser.add_argument("--seconds", type=float, default=8, help="length of a run at a rate")
    parser.add_argument("--held", default="10000", help="calls held, one or several numbers; 0: none")
    parser.add_argument("--no-stages", action="store_true", help="no share of the time by stage (it needs perf)")
    parser.add_argument("--no-versions", action="store_true", help="no times of deployments and starts")
    parser.add_argument("--no-highest", action="store_true", help="no search for the highest rate without a failed call")
    parser.add_argument("--long", action="store_true", help="curves over rate and calls held")
    parser.add_argument("--out", default=os.path.join(ROOT, "target/bench"), help="where results and logs go")
    options = parser.parse_args()
    if options.long:
        options.rates, options.held = "100,300,1000,2000", "5000,10000,20000,50000"
    options.modes = options.modes.split(",")
    if unknown := set(options.modes) - set(MODES):
        parser.error(f"--modes: {', '.join(unknown)}?")
    options.rates = [int(rate) for rate in options.rates.split(",")]
    options.held = [int(calls) for calls in options.held.split(",") if int(calls)]
    return options


def say(text):
    print(text, file=sys.stderr, flush=True)


def told(run):
    say(f"  {run['server']} {run['mode']} {run['rate']}/s: completed {run['completed']} of {run['asked']}, "
        f"{run['cpu_ms_per_call']} ms/call, HTTP p99 {(run['http_ms'] or {}).get('p99')} ms, "
        f"machine {run['machine_busy_percent']} % busy")
    return run


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # so that what was started is stopped
    out = runs.folder_of_runs(options.out)
    plugboard = lambda folder: Plugboard(folder, options.binary, controller=options.controller)
    peer, peer_modes = None, []
    if options.peer == "kamailio":
        peer, peer_modes, peer_name = Kamailio, ["refer_bye"], "kamailio"
    elif options.peer != "none":
        peer_name = "before"
        peer = lambda folder: Plugboard(folder, options.peer, peer_name, options.controller)
        peer_modes = options.modes
    else:
        peer_name = "none"
    results = []
    try:
        measure(options, plugboard, peer, peer_modes, out, results)
    finally:
        if results:  # what there is, also of a bench that was interrupted
            report(results, peer_name, out)
    return 1 if any(run.get("failed") or run.get("http_errors") for run in results) else 0


def measure(options, plugboard, peer, peer_modes, out, results):
    """Every run that was asked for, one after the other; each is in `results` as soon as it is over."""
    plan = [(peer, mode) for mode in peer_modes] + [(plugboard, mode) for mode in options.modes]
    for repetition in range(options.repeat):
        say(f"repetition {repetition + 1} of {options.repeat}")
        for rate in options.rates:
            # Whoever comes first changes: a machine that gets slower or faster must not favour one.
            for start, mode in plan if repetition % 2 == 0 else reversed(plan):
                run = told(runs.at_rate(start, mode, rate, options.seconds, out))
                results.append(run | {"repetition": repetition})
    if options.long:
        for start, mode in plan:
            results.append(runs.beside_none(start, mode, out))
    for calls in options.held:
        # Kamailio's flow holds no answered call, so its calls are held while they ring.
        for start, mode in ([(peer, "refer_bye")] if peer is Kamailio else []) + [(plugboard, "refer_notify"), (plugboard, "invite")]:
            if mode in options.modes or start is peer:
                say(f"  {calls} calls held, {mode}")
                results += runs.held(start, mode, calls, out, with_others=options.long)
    if not options.no_stages and profile.available():
        for mode in options.modes:
            say(f"  stages, {mode}")
            data, aside = profile.aside(out, options.seconds)
            runs.at_rate(plugboard, mode, options.rates[-1] if len(options.rates) == 1 else 1000, options.seconds, out, aside=aside)
            results.append({"kind": "stages", "server": "plugboard", "mode": mode, "percent": profile.shares(data)})
            os.remove(data)
    if not options.no_versions:
        say("  deployments and starts")
        results.append(versions.measured(plugboard, options.controller or CONTROLLER, out))
    if not options.no_highest:
        for start, mode in plan:
            results.append(runs.highest_rate(start, mode, out, say=say))


def report(results, peer_name, out):
    summaries = list(table.rates(results, peer_name))
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "when": time.strftime("%Y-%m-%d %H:%M")}
    with open(os.path.join(out, "results.json"), "w") as f:
        json.dump({"machine": machine, "summary": summaries, "runs": results}, f, indent=1)
    table.print_rates(summaries)
    table.print_held(results)
    table.print_highest(results)
    table.print_versions(results)
    table.print_stages(results)
    if peer_name == "kamailio":
        aims.print_aims(results, summaries)
    if picture := plot.svg(results):
        with open(os.path.join(out, "curves.svg"), "w") as f:
            f.write(picture)
    print(f"\nresults: {out}")


if __name__ == "__main__":
    sys.exit(main())
