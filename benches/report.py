#!/usr/bin/env python3
"""Writes what the benches measured into the report: tables, sentences and plots.

    benches/report.py             # from benches/results, into benches/README.md
    benches/report.py --check     # fails if that would change anything
    benches/report.py --machine   # notes this machine in benches/results

What stands between the markers `<!-- NAME -->` and `<!-- /NAME -->` of README.md and
benches/README.md is this script's. All other text is written by hand, and names no
number that a table has.
"""

import datetime
import json
import math
import pathlib
import platform
import re
import subprocess
import sys
import tomllib

BENCHES = pathlib.Path(__file__).resolve().parent
ROOT = BENCHES.parent
RESULTS = BENCHES / "results"

OURS = "tower-conductorone"
FLOOR = "floor"
SCAN = "floor with scan"
ALTERNATIVES = ["by hand", "jwt-authorizer", "axum-jwt-auth", "tower-oauth2-resource-server"]
# Closer than this is no difference.
EQUAL = 0.02


def main():
    if "--machine" in sys.argv:
        write(RESULTS / "machine.json", json.dumps(machine(), indent=2) + "\n")
        return
    changed = False
    for path, text in outputs():
        if not path.exists() or path.read_text() != text:
            changed = True
            print(f"{path.relative_to(ROOT)} is out of date")
            if "--check" not in sys.argv:
                write(path, text)
    if changed and "--check" in sys.argv:
        sys.exit("benches/report.py writes them anew")


def outputs():
    """The files to write, with their texts."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    blocks = {}
    if "machine" in results:
        blocks["machine"] = machine_table(results["machine"])
    if "accepted" in results:
        accepted = Accepted(results["accepted"], results.get("allocations"))
        blocks |= {
            "own-cost": accepted.own_cost(),
            "raw": accepted.ratios("raw", "raw"),
            "parsed": accepted.parsed(),
            "verdict": accepted.verdict(),
            "allocations": accepted.allocations(),
            "speed": accepted.sentence(),
        }
        raw = [(name, f"{name}, raw") for name in [OURS, *ALTERNATIVES]]
        yield BENCHES / "raw.svg", accepted.plot("Accepted, payload left raw", raw)
        parsed = [(f"{OURS}, typed", f"{OURS}, typed"), (f"{OURS}, Value", f"{OURS}, Value")]
        parsed += [(name, f"{name}, Value") for name in ALTERNATIVES]
        yield BENCHES / "parsed.svg", accepted.plot("Accepted, payload typed or parsed", parsed)
    for name, bench in results.items():
        if name not in ("machine", "accepted", "allocations"):
            blocks[name] = bench_table(bench)
    for path in (ROOT / "README.md", BENCHES / "README.md"):
        yield path, filled(path.read_text(), blocks)


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def filled(text, blocks):
    """The text with each block between its markers. Without results, it stays."""
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text = pattern.sub(lambda _: f"{begin}\n{block}\n{end}", text)
    return text


# What it was measured on


def machine():
    """What a reader has to know of the machine and of the versions."""

    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()

    cpuinfo = pathlib.Path("/proc/cpuinfo")
    cpu = cpuinfo.read_text() if cpuinfo.exists() else ""
    fields = dict(re.findall(r"^([^\t\n]+)\t*: (.*)$", cpu, re.MULTILINE))
    known = ["sha_ni", "avx2", "avx512f", "avx512ifma", "vaes"]
    flags = [flag for flag in known if flag in fields.get("flags", "").split()]
    model = ", ".join(
        f"{name.replace('_', ' ')} {fields[name]}"
        for name in ("cpu family", "model", "stepping")
        if name in fields
    )
    lock = tomllib.loads((BENCHES / "comparison" / "Cargo.lock").read_text())
    wanted = ["jwt-authorizer", "axum-jwt-auth", "tower-oauth2-resource-server", "jsonwebtoken"]
    wanted += ["aws-lc-rs", "ring", "sha2", "serde_json", "axum", "tokio"]
    versions = {
        name: [p["version"] for p in lock["package"] if p["name"] == name] for name in wanted
    }
    return {
        "date": datetime.date.today().isoformat(),
        "commit": run("git", "rev-parse", "--short", "HEAD"),
        "cpu": f"{fields.get('model name', platform.machine())} ({model})",
        "cores": len(re.findall(r"^processor", cpu, re.MULTILINE)),
        "extensions": flags,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "rustc": run("rustc", "--version"),
        "versions": versions,
    }


def machine_table(facts):
    versions = [f"{name} {' and '.join(found)}" for name, found in facts["versions"].items()]
    rows = [
        ["date, commit", f"{facts['date']}, {facts['commit']}"],
        ["CPU", f"{facts['cpu']}, {facts['cores']} cores; {', '.join(facts['extensions'])}"],
        ["system", facts["system"]],
        ["compiler", f"{facts['rustc']}, profile `release`"],
        ["versions", ", ".join(versions)],
    ]
    return table(["", ""], rows, "ll")


# Tables


def table(head, rows, align):
    marks = {"l": "---", "r": "---:"}
    lines = [head, [marks[side] for side in align], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def time(ns):
    if ns < 1e3:
        return f"{ns:.3g} ns"
    if ns < 1e6:
        return f"{ns / 1e3:.3g} µs"
    return f"{ns / 1e6:.3g} ms"


def number(value):
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def bench_table(bench):
    """The tables of any other bench: one for each set of columns that its rows have."""
    known = {"group", "case", "bytes", "min_ns", "median_ns", "ratio", "floor"}
    tables = {}
    for row in bench["rows"]:
        notes = tuple(name for name in row if name not in known)
        tables.setdefault(("min_ns" in row, notes), []).append(row)
    return "\n\n".join(one_table(timed, notes, rows) for (timed, notes), rows in tables.items())


def one_table(timed, notes, rows):
    has_bytes = any(row.get("bytes") for row in rows)
    head = ["", ""] + ["bytes"] * has_bytes + ["least time", "median", "ratio"] * timed
    lines, last = [], None
    for row in rows:
        line = ["" if row["group"] == last else row["group"], row["case"]]
        last = row["group"]
        if has_bytes:
            line.append(number(row.get("bytes") or 0))
        if timed:
            ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
            line += [time(row["min_ns"]), time(row["median_ns"]), ratio]
        lines.append(line + [number(row[name]) for name in notes])
    head += [name.replace("_", " ") for name in notes]
    return table(head, lines, "ll" + "r" * (len(head) - 2))


class Accepted:
    """What came of the comparison."""

    def __init__(self, times, allocations):
        self.groups = {}
        for row in times["rows"]:
            self.groups.setdefault(row["group"], {})[row["case"]] = row["min_ns"]
        self.counts = {}
        for row in (allocations or {"rows": []})["rows"]:
            self.counts.setdefault(row["group"], {})[row["case"]] = row

    def own_cost(self):
        rows = []
        for group, cases in self.groups.items():
            own = cases[f"{OURS}, alone"]
            count = self.counts.get(group, {}).get(f"{OURS}, alone")
            rows.append([
                group,
                time(cases[FLOOR]),
                time(cases[SCAN]),
                time(own),
                f"{own / cases[FLOOR]:.3f}",
                f"**{own / cases[SCAN]:.3f}**",
                time(max(own - cases[SCAN], 0)),
                number(count["allocations"]) if count else "",
            ])
        head = ["body, algorithm", "floor", "with scan", "the layer", "to floor", "to floor with scan"]
        return table(head + ["own cost", "allocations"], rows, "lrrrrrrr")

    def ratios(self, ours, theirs, second=None):
        columns = [(OURS if second is None else f"{OURS}, {ours}", f"{OURS}, {ours}")]
        if second:
            columns.append((f"{OURS}, {second}", f"{OURS}, {second}"))
        columns += [(name, f"{name}, {theirs}") for name in ALTERNATIVES]
        rows = []
        for group, cases in self.groups.items():
            found = [cases[case] / cases[SCAN] for _, case in columns]
            least = min(found)
            rows.append([group] + [f"**{r:.2f}**" if r == least else f"{r:.2f}" for r in found])
        head = ["body, algorithm", *(title for title, _ in columns)]
        return table(head, rows, "l" + "r" * len(columns))

    def parsed(self):
        return self.ratios("typed", "Value", "Value")

    def comparisons(self):
        """Ours, what it is compared with, and the ratio to the fastest alternative."""
        for form, theirs in [("raw", "raw"), ("typed", "Value"), ("Value", "Value")]:
            for group, cases in self.groups.items():
                name, best = min(
                    ((name, cases[f"{name}, {theirs}"]) for name in ALTERNATIVES),
                    key=lambda found: found[1],
                )
                yield form, group, name, cases[f"{OURS}, {form}"] / best

    def verdict(self):
        rows, exceptions = [], []
        meant = {
            "raw": "payload left raw by both",
            "typed": "typed, against `Value`",
            "Value": "parsed to `Value` by both",
        }
        for form, what in meant.items():
            found = [c for c in self.comparisons() if c[0] == form]
            ratios = [ratio for *_, ratio in found]
            faster = sum(ratio < 1 - EQUAL for ratio in ratios)
            slower = sum(ratio > 1 + EQUAL for ratio in ratios)
            equal = len(ratios) - faster - slower
            line = [what, f"{min(ratios):.2f} to {max(ratios):.2f}"]
            rows.append(line + [str(faster), str(equal), str(slower)])
            exceptions += [c for c in found if c[3] > 1 - EQUAL]
        head = ["", "ratio to the fastest alternative", "faster", f"within {EQUAL:.0%}", "slower"]
        text = table(head, rows, "lrrrr")
        if exceptions:
            text += "\n\nWhere it is not faster by more than that:\n"
        for form, group, name, ratio in exceptions:
            text += f"\n- {group}, {form}: {ratio:.2f} of {name}"
        return text

    def allocations(self):
        names = [(f"{OURS}, alone", f"{OURS}, alone")]
        names += [(name, f"{name}, raw") for name in [OURS, *ALTERNATIVES]]
        rows = []
        for group, cases in self.counts.items():
            found = [cases[case] for _, case in names]
            rows.append([group] + [
                f"{number(c['allocations'])} ({c['allocated_bytes'] / 1024:.1f})" for c in found
            ])
        return table(["body, algorithm", *(title for title, _ in names)], rows, "l" + "r" * len(names))

    def sentence(self):
        own = [cases[f"{OURS}, alone"] / cases[SCAN] for cases in self.groups.values()]
        raw = [ratio for form, *_, ratio in self.comparisons() if form == "raw"]
        typed = [ratio for form, *_, ratio in self.comparisons() if form == "typed"]
        return (
            f"An accepted request takes {min(own):.2f} to {max(own):.2f} times as long as its bare\n"
            "signature check, hash and JSON scan. That is "
            f"{min(raw):.2f} to {max(raw):.2f} of the fastest\n"
            f"alternative's time, and {min(typed):.2f} to {max(typed):.2f} with the payload typed:"
            " see [the benches](benches/README.md)."
        )

    def plot(self, title, receivers):
        panels = {}
        for group, cases in self.groups.items():
            shape, algorithm = group.rsplit(", ", 1)
            ratios = [(label, cases[case] / cases[SCAN]) for label, case in receivers]
            panels.setdefault(algorithm, {})[shape] = ratios
        return dot_plot(title, panels)


# Plots

STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .back { fill: #ffffff } .title { font-size: 15px; font-weight: 600 }
  .head { font-weight: 600 } .soft { fill: #59636e } .value { font-size: 11px; fill: #59636e }
  .grid { stroke: #d1d9e0 } .floor { stroke: #59636e } .stem { stroke-width: 2; stroke: #8b949e }
  .other { fill: #8b949e } .ours { fill: #0072b2; stroke: #0072b2 } text.ours { stroke: none; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .back { fill: #0d1117 } .soft, .value { fill: #9198a1 }
    .grid { stroke: #3d444d } .floor { stroke: #9198a1 } .ours { fill: #56b4e9; stroke: #56b4e9 }
  }
"""


def dot_plot(title, panels):
    """A panel for each algorithm, a block for each shape, a line for each receiver. The
    scale is logarithmic, and begins at the floor."""
    left, width, gap, line, top = 226, 222, 34, 19, 84
    shapes = list(next(iter(panels.values())))
    each = len(next(iter(panels.values()))[shapes[0]])
    block = each * line + 30
    most = max(ratio for panel in panels.values() for rows in panel.values() for _, ratio in rows)
    span = math.log(max(most, 1.5) * 1.22)
    total_width = left + len(panels) * (width + gap) + 6
    height = top + len(shapes) * block + 14

    def place(ratio):
        return max(math.log(ratio), 0) / span * width

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width}" height="{height}" '
        f'viewBox="0 0 {total_width} {height}" role="img" aria-label="{title}">',
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{total_width}" height="{height}" rx="6"/>',
        f'<text class="title" x="16" y="26">{title}: time of a request</text>',
        '<text class="soft" x="16" y="45">in multiples of its bare signature check, SHA-256 '
        "and JSON scan (1 is the floor; logarithmic; less is better)</text>",
    ]
    for column, (algorithm, panel) in enumerate(panels.items()):
        x = left + column * (width + gap)
        out.append(f'<text class="head" x="{x}" y="{top - 14}">{algorithm}</text>')
        for tick in (t for t in (1, 1.5, 2, 3, 5, 8, 12) if t <= most * 1.1 or t == 1):
            at = x + place(tick)
            kind = "floor" if tick == 1 else "grid"
            out.append(f'<path class="{kind}" d="M{at:.1f} {top - 4}V{height - 26}"/>')
            out.append(
                f'<text class="value" x="{at:.1f}" y="{height - 12}" text-anchor="middle">'
                f"{tick:g}</text>"
            )
        for row, shape in enumerate(shapes):
            y = top + row * block + 12
            if column == 0:
                out.append(f'<text class="head" x="16" y="{y}">{shape}</text>')
            for receiver, (label, ratio) in enumerate(panel[shape]):
                middle = y + 10 + receiver * line + 3
                kind = "ours" if label.startswith(OURS) else "other"
                if column == 0:
                    style = ' class="ours"' if kind == "ours" else ""
                    out.append(f'<text{style} x="28" y="{middle + 4}">{label}</text>')
                at = x + place(ratio)
                out.append(f'<path class="stem {kind}" d="M{x} {middle}H{at:.1f}"/>')
                if kind == "ours":
                    out.append(f'<circle class="ours" cx="{at:.1f}" cy="{middle}" r="5"/>')
                else:
                    out.append(
                        f'<rect class="other" x="{at - 4:.1f}" y="{middle - 4}" width="8" height="8"/>'
                    )
                out.append(
                    f'<text class="value" x="{at + 9:.1f}" y="{middle + 4}">{ratio:.2f}</text>'
                )
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    main()
