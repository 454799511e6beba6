"""Curves as SVG, drawn from the results alone: CPU per call and HTTP p99 over the rate and over calls held."""
from html import escape

from .phones import MODES
from .table import median

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 520, 260, 56, 34, 170, 40
COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b"]


def curves(results, kind, x, y):
    """{label: [(x, median of y)]} of the runs of a kind."""
    points = {}
    for run in results:
        if run["kind"] == kind and y(run) is not None:
            label = f"{run['server']}, {MODES[run['mode']][2]}"
            points.setdefault(label, {}).setdefault(run[x], []).append(y(run))
    return {label: sorted((at, median(values)) for at, values in by.items()) for label, by in points.items()}


def panel(title, x_title, lines, top):
    """One diagram, its axes from zero."""
    most_x = max((x for line in lines.values() for x, _ in line), default=1) or 1
    most_y = max((y for line in lines.values() for _, y in line), default=1) * 1.15 or 1
    to_x = lambda x: LEFT + x / most_x * WIDTH
    to_y = lambda y: top + HEIGHT - y / most_y * HEIGHT
    out = [f'<text x="{LEFT}" y="{top - 12}" font-weight="bold">{escape(title)}</text>',
           f'<text x="{LEFT + WIDTH / 2}" y="{top + HEIGHT + 34}" text-anchor="middle">{escape(x_title)}</text>',
           f'<path d="M{LEFT} {top}V{top + HEIGHT}H{LEFT + WIDTH}" fill="none" stroke="#333"/>']
    for step in range(5):
        x, y = most_x * step / 4, most_y * step / 4
        out.append(f'<text x="{to_x(x):.0f}" y="{top + HEIGHT + 16}" text-anchor="middle">{x:,.0f}</text>')
        out.append(f'<text x="{LEFT - 6}" y="{to_y(y) + 4:.0f}" text-anchor="end">{y:.2f}</text>')
        out.append(f'<path d="M{LEFT} {to_y(y):.1f}H{LEFT + WIDTH}" stroke="#ddd"/>')
    for at, (label, line) in enumerate(lines.items()):
        colour = COLOURS[at % len(COLOURS)]
        path = "L".join(f"{to_x(x):.1f} {to_y(y):.1f}" for x, y in line)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{to_x(x):.1f}" cy="{to_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
        out.append(f'<text x="{LEFT + WIDTH + 10}" y="{top + 14 + 18 * at}" fill="{colour}">{escape(label)}</text>')
    return out


def svg(results):
    """The diagrams for which there are at least two points, one below the other; none when there is none."""
    diagrams = [
        ("CPU per call, ms", "calls/s", curves(results, "rate", "rate", lambda run: run["cpu_ms_per_call"])),
        ("HTTP p99, ms", "calls/s", curves(results, "rate", "rate", lambda run: (run["http_ms"] or {}).get("p99"))),
        ("CPU per call while others are held, ms", "calls held",
         curves(results, "beside", "held", lambda run: run["cpu_ms_per_call"])),
        ("HTTP p99 while others are held, ms", "calls held",
         curves(results, "beside", "held", lambda run: (run["http_ms"] or {}).get("p99"))),
        ("Idle CPU, % of a core", "calls held", curves(results, "held", "held", lambda run: run["cpu_percent_while_held"])),
    ]
    diagrams = [diagram for diagram in diagrams if any(len(line) > 1 for line in diagram[2].values())]
    if not diagrams:
        return None
    step = TOP + HEIGHT + BOTTOM + 20
    body = [line for at, (title, x_title, lines) in enumerate(diagrams)
            for line in panel(title, x_title, lines, TOP + at * step)]
    size = f'width="{LEFT + WIDTH + RIGHT + 60}" height="{step * len(diagrams)}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
                      f'<rect {size} fill="white"/>'] + body + ["</svg>", ""])
