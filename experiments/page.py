"""The HTML page of a sweep: one self-contained file."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from experiments.pareto import columns
from experiments.results import change, format_cell
from experiments.summary import read_csim, read_summary

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:84rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;margin:1rem 0}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #ddd}
th{background:#f4f4f4}tr.front td{background:#fdf0ee}.on{color:#fff;background:#2a7}.off{color:#888;background:#eee}
.gate{display:inline-block;padding:0 .4rem;margin:1px;border-radius:3px;font-size:12px}
img{max-width:100%}.wide{overflow-x:auto}"""


def page(directory: Path, rows: Sequence[dict], picture: bytes) -> str:
    """A self-contained HTML page."""
    names = ['run', *(name for name in columns(rows) if name != 'pareto')]
    head = ''.join(f'<th>{html.escape(name.replace("accuracy_", ""))}</th>' for name in names)
    body = ''.join(
        f'<tr class="{"front" if row["pareto"] else ""}">'
        + ''.join(f'<td>{html.escape(format_cell(name, row[name]))}</td>' for name in names)
        + '</tr>'
        for row in rows
    )
    details = ''.join(_details(directory / row['run']) for row in rows)
    return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<title>Sweep {html.escape(directory.name)}</title><style>{_STYLE}</style>
<h1>Sweep of the hardware cost weight: {html.escape(directory.name)}</h1>
<p>One network, trained once per weight of the expected hardware cost; each point is exported as HLS C++ and C-simulated
on the whole test split. Accuracies are in the order of the road: the float teacher, the student with learned gates,
after rounding the gates, after quantization, and as counted by the C-simulation. Rows on the Pareto front are
tinted.</p>
<img alt="Pareto front" src="data:image/png;base64,{base64.b64encode(picture).decode()}">
<div class="wide"><table><tr>{head}</tr>{body}</table></div><h2>Runs</h2>{details}</html>
"""


def _details(workdir: Path) -> str:
    summary = read_summary(workdir / 'summary.json')
    simulated = read_csim(workdir / 'csim.json')
    gates = ''.join(
        f'<span class="gate {"on" if value else "off"}" title="P(open) '
        f'{summary["p_open"][name]:.3f}">{html.escape(name)}</span>'
        for name, value in summary['gates'].items()
    )
    before, after = summary['hardware']['before'], summary['hardware']['after']
    rows = ''.join(
        f'<tr><td>{html.escape(name)}</td><td>{before[name]:,}</td><td>{after[name]:,}</td>'
        f'<td>{change(before[name], after[name])}</td></tr>'
        for name in before
        if before[name] != after[name]
    )
    return (
        f'<h3>{html.escape(workdir.name)}</h3><p>{gates}</p><p>C-simulation: {simulated["images"]} images, '
        f'{simulated["mismatched_values"]} wrong '
        f'values. Rounding the gates changed accuracy by {100 * summary["rounding_accuracy_change"]:+.2f} points; '
        f'{100 * summary["gates_fractional"]:.0f} % of the gates were still undecided.</p>'
        f'<table><tr><th>resource</th><th>with every skip</th><th>as exported</th><th>change</th></tr>{rows}</table>'
    )
