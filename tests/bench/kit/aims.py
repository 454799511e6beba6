"""What is to be reached, beside what this run measured."""
from .phones import MODES
from .table import median, print_table, show

# The rate at which ratios and latencies count, in calls a second.
RATE = 1000
# Calls held whose idle CPU counts.
HELD = 10000


def rows(results, summaries):
    """What, at least, aim, measured, whether more is better; in this order."""
    def of(mode, key):
        found = [s[key] for s in summaries if s["server"] == "plugboard" and s["mode"] == mode and s["rate"] == RATE]
        return found[0] if found else None

    def worst(values):
        return max((value for value in values if value is not None), default=None)

    def held(mode, key, calls=None):
        return worst(run[key] for run in results if run["kind"] == "held" and run["server"] == "plugboard"
                     and mode in (run["mode"], None) and calls in (run["asked"], None))

    def version(key):
        return median([run[key] for run in results if run["kind"] == "versions"])

    highest = {(run["server"], run["mode"]): run["rate"] for run in results if run["kind"] == "highest"}
    rates = highest.get(("plugboard", "refer_notify")), highest.get(("kamailio", "refer_bye"))
    guest = worst(run["percent"].get("guest") for run in results if run["kind"] == "stages")
    return [
        ("CPU per REFER call with NOTIFYs, against Kamailio's", 1.0, 0.7, of("refer_notify", "ratio_per_call"), "x"),
        ("CPU per SIP message, the dearest mode", 0.8, 0.5, worst(of(mode, "ratio_per_message") for mode in MODES), "x"),
        ("CPU per INVITE call, against Kamailio's REFER call", 1.6, 1.1, of("invite", "ratio_per_call"), "x"),
        ("guest's share of a call's CPU", 30, 20, guest, "%"),
        ("POST to first INVITE, p99", 2, 1, worst([of("refer_notify", "invite_p99"), of("invite", "invite_p99")]), "ms"),
        ("highest rate without a failed call, against Kamailio's", 0.5, 0.9, rates[0] / rates[1] if all(rates) else None,
         "x, more is better"),
        ("memory per held INVITE call", 12, 6, held("invite", "kib_per_call"), "KiB"),
        ("deploy to first call, cold", 300, 100, version("deploy_cold_ms"), "ms"),
        ("deploy to first call, cached", 20, 5, version("deploy_cached_ms"), "ms"),
        ("start to ready, cached", 100, 30, version("ready_ms"), "ms"),
        (f"idle CPU, {HELD:,} calls held", 1, 0.3, held(None, "cpu_percent_while_held", HELD), "% of a core"),
    ]


def print_aims(results, summaries):
    """The closing table."""
    def reached(least, aim, value):
        if value is None:
            return "not measured"
        good = (lambda bound: value >= bound) if aim > least else (lambda bound: value <= bound)
        return "aim" if good(aim) else "at least" if good(least) else "missed"

    print()
    print_table(["what", "at least", "aim", "measured", "reached", "unit"],
                [[what, f"{least:g}", f"{aim:g}", show(value), reached(least, aim, value), unit]
                 for what, least, aim, value, unit in rows(results, summaries)])
