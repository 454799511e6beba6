"""The tables: medians over the repetitions; ratios are taken pair by pair within a repetition."""
import statistics

from .phones import MODES


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def show(value, places=2):
    return "-" if value is None else f"{value:.{places}f}" if isinstance(value, float) else str(value)


def print_table(head, rows):
    cells = [head] + [[show(cell) if not isinstance(cell, str) else cell for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for at, row in enumerate(cells):
        first, rest = row[0].ljust(widths[0]), [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("| " + " | ".join([first] + rest) + " |")
        if at == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def rates(results, peer):
    """Summaries of the runs at a rate: one for each server, mode and rate."""
    runs = [run for run in results if run["kind"] == "rate"]
    # The peer's run of the same repetition and rate; of the same mode where the peer has it.
    def beside(run, key):
        same = [other for other in runs if other["server"] == peer and other["repetition"] == run["repetition"]
                and other["rate"] == run["rate"]]
        same = [other for other in same if other["mode"] == run["mode"]] or same
        return run[key] / same[0][key] if same and run[key] and same[0][key] else None

    groups = {}
    for run in runs:
        groups.setdefault((run["server"], run["mode"], run["rate"]), []).append(run)
    for (server, mode, rate), group in groups.items():
        part = lambda name, key: median([(run.get(name) or {}).get(key) for run in group])
        yield {
            "server": server, "mode": mode, "rate": rate, "runs": len(group),
            "asked": sum(run["asked"] for run in group), "completed": sum(run["completed"] for run in group),
            "failed": sum(run["failed"] for run in group),
            "cpu_ms_per_call": median([run["cpu_ms_per_call"] for run in group]),
            "ratio_per_call": median([beside(run, "cpu_ms_per_call") for run in group]) if server != peer else 1.0,
            "ratio_per_message": median([beside(run, "cpu_ms_per_message") for run in group])
            if server != peer else 1.0,
            "http_p50": part("http_ms", "p50"), "http_p99": part("http_ms", "p99"),
            "invite_p50": part("invite_ms", "p50"), "invite_p99": part("invite_ms", "p99"),
            "setup_p50": part("setup_ms", "p50"), "setup_p99": part("setup_ms", "p99"),
        }


def print_rates(summaries):
    if summaries:
        head = ["server, flow", "calls/s", "asked", "completed", "failed", "CPU ms/call", "ratio", "per message",
                "HTTP p50", "p99", "INVITE p50", "p99", "set-up p50", "p99 ms"]
        print_table(head, [[
            f"{s['server']}, {MODES[s['mode']][2]}", str(s["rate"]), str(s["asked"]), str(s["completed"]),
            str(s["failed"]), show(s["cpu_ms_per_call"], 3), show(s["ratio_per_call"]), show(s["ratio_per_message"]),
            show(s["http_p50"]), show(s["http_p99"]), show(s["invite_p50"]), show(s["invite_p99"]), show(s["setup_p50"]),
            show(s["setup_p99"]),
        ] for s in summaries])


def print_held(results):
    runs = [run for run in results if run["kind"] == "held"]
    if runs:
        print()
        print_table(["calls held", "held", "failed", "KiB/call", "PSS before, held, after MiB", "idle CPU %"], [[
            f"{run['server']}, {MODES[run['mode']][2]}", str(run["held"]), str(run["failed"]), run["kib_per_call"],
            "{before}, {held}, {after}".format(**run["pss_mib"]), show(run["cpu_percent_while_held"]),
        ] for run in runs])


def print_highest(results):
    runs = [run for run in results if run["kind"] == "highest"]
    if runs:
        print()
        print_table(["highest rate without a failed call", "calls/s", "not clean at"], [[
            f"{run['server']}, {MODES[run['mode']][2]}", str(run["rate"]), str(run["not_clean"])] for run in runs])


def print_versions(results):
    runs = [run for run in results if run["kind"] == "versions"]
    if runs:
        print()
        print_table(["deployments and starts, ms", "component KiB", "deploy to first call, cold", "cached",
                     "start to ready, cached"], [[
            run["server"], str(run["component_kib"]), run["deploy_cold_ms"], run["deploy_cached_ms"], run["ready_ms"],
        ] for run in runs])


def print_stages(results):
    runs = [run for run in results if run["kind"] == "stages"]
    if runs:
        stages = list(dict.fromkeys(stage for run in runs for stage in run["percent"]))
        print()
        print_table(["share of Plugboard's CPU, %"] + [MODES[run["mode"]][2] for run in runs],
                    [[stage] + [show(run["percent"].get(stage), 1) for run in runs] for stage in stages])
