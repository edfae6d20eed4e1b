"""The report as a page: what its template shows in words, and the data of its charts."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from backscope.analysis.diagnosis import VERDICTS
from backscope.analysis.intervals import ENOUGH, LEVEL
from backscope.analysis.look import style, template
from backscope.analysis.report import charts
from backscope.analysis.report.configurations import Configuration, configurations
from backscope.analysis.report.grid import Grid, grid, text
from backscope.analysis.report.numbers import RATIOS, TITLES, Heat, heat, score
from backscope.analysis.report.panels import Drawn, Panels, losses, panels, profiles
from backscope.analysis.report.study import Study
from backscope.analysis.report.table import columns, where
from backscope.cache import in_cache, keep
from backscope.tracking import pages
from backscope.tracking.store import shown

HERE = Path(__file__).parent
MOST_FAILURES, MOST_WORDS = 20, 12  # that are named
BUNDLE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"
SIGNS = dict(zip((*VERDICTS, "failed"), "✓∞=✕↑↓▬!", strict=True))
MEANINGS = {
    "healthy": "none of the others applies; a verdict is about gradients and signals, it says nothing of the score",
    "diverged": "the loss was not finite in more than half of the replicas",
    "symmetric": "a hidden layer has 1 distinct neuron at the last step",
    "dead": "in a hidden layer f′ is exactly 0 for the whole batch in 90 % of the units",
    "exploding": "‖∂L/∂W‖ or the RMS of δ is over 1000 times larger in layer 1 than in the last hidden layer",
    "vanishing": "‖∂L/∂W‖ or the RMS of δ is over 1000 times smaller in layer 1 than in the last hidden layer",
    "saturated": "in a hidden layer half of the activations lie where f is flat",
    "failed": "the run raised an error, or was ended",
}


def render(study: Study) -> bytes:
    """The report of a sweep as one HTML file that needs nothing else."""
    content = _content(study)
    library = Markup(_vega().replace("</script", r"<\/script"))
    files = {"css": style(HERE), "js": Markup((HERE / "page.js").read_text()), "library": library}
    return template(HERE, text=text).render(**content, **files).encode()


def _vega() -> str:
    """Vega as one script, from the user's cache; another process bundles it, in a second, where it is not there yet."""
    key = hashlib.sha256(f"{BUNDLE} {version('vl-convert-python')}".encode()).hexdigest()[:12]
    path = in_cache(f"vega-{key}.js")
    with suppress(OSError):
        return path.read_text("utf-8")
    made = subprocess.run([sys.executable, "-c", BUNDLE], stdout=subprocess.PIPE, check=True).stdout
    keep(path, made)
    return made.decode()


def _content(study: Study) -> dict[str, Any]:
    """What the template shows, by its names for it."""
    found = configurations(study)
    cells, laid, judged = grid(study.axes, found), panels(study.axes, found), score(study.runs)
    maps = {name: heat(name, [each.number(name) for each in found]) for name in (*RATIOS, judged)}
    maps = {name: each for name, each in maps.items() if any(each.cells)}
    made = {"profiles": profiles(laid, found), "losses": losses(laid, found)}
    drawn = {kind: each for kind, each in made.items() if each is not None}
    counts = study.runs["verdict"].value_counts()
    table = columns(study, found)
    failed = study.runs[study.runs["verdict"] == "failed"]
    return {
        "study": study,
        "grid": cells,
        "configurations": found,
        "networks": sorted({each.networks for each in found}),
        "panels": laid,
        "drawn": drawn,
        "palette": charts.palette(laid.colors, laid.color is None or study.axes[laid.color].numeric),
        "dashes": charts.DASHES,
        "described": {kind: _described(laid, found, each) for kind, each in drawn.items()},
        "maps": {name: TITLES[name] for name in maps},
        "ratios": RATIOS,
        "counts": {verdict: int(counts[verdict]) for verdict in SIGNS if verdict in counts},
        "signs": SIGNS,
        "meanings": MEANINGS,
        "where": {verdict: where(study.runs, study.axes, verdict) for verdict in counts.index},
        "failures": failed[["name", "evidence"]].to_dict("records"),
        "most": MOST_FAILURES,
        "table": table,
        "addresses": [pages.run_page(study.uri, study.parent.info.experiment_id, run) for run in study.runs.index],
        "ui": not study.uri.startswith("http"),
        "store": shown(study.uri),
        "level": LEVEL,
        "enough": ENOUGH,
        "data": _data(study, found, cells, laid, maps, drawn) | {"columns": [column.order for column in table]},
    }


def _data(
    study: Study,
    found: Sequence[Configuration],
    cells: Grid,
    laid: Panels,
    maps: Mapping[str, Heat],
    drawn: Mapping[str, Drawn],
) -> dict[str, Any]:
    """What the page's script works with: configurations by number, their cells and lines, and the charts."""
    labels = [axis.label for axis in study.axes]
    specs: dict[str, Any] = {
        name: charts.heat_map(TITLES[name], each.scale, labels, cells) for name, each in maps.items()
    }
    for kind, each in drawn.items():
        chart = {"profiles": charts.profiles, "losses": charts.losses}[kind]
        specs[kind] = {row: chart(scale, laid.colors, labels) for row, scale in each.axes.items()}
    return {
        "configurations": [_entry(each, cells) for each in found],
        "verdicts": study.runs["verdict"].tolist(),
        "cells": [[index, *place] for place, index in cells.cells.items()],
        "names": cells.names,
        "maps": {name: each.cells for name, each in maps.items()},
        "panels": [inside for _, inside in laid.panels],
        "rows": laid.rows,
        "looks": {index: laid.look(found[index].at) for _, inside in laid.panels for index in inside},
        "zeros": {kind: {row: axis.zero for row, axis in each.axes.items()} for kind, each in drawn.items()},
        "lines": {kind: each.lines for kind, each in drawn.items()},
        "specs": specs,
    }


def _entry(each: Configuration, cells: Grid) -> dict[str, Any]:
    """A configuration for the page's script: where it stands, its runs, and how it is named."""
    labels = cells.labels(range(len(cells.axes)), each.at)
    return {"at": each.at, "rows": each.rows, "labels": labels, "said": each.said}


def _described(laid: Panels, found: Sequence[Configuration], drawn: Drawn) -> list[str]:
    """The lines of every panel in words, for those who do not see them."""
    axes = [axis for axis in (laid.color, laid.style) if axis is not None]
    said = []
    for _, inside in laid.panels:
        lines = [(found[index], line) for index in inside for line in drawn.lines.get(index, ()) if not line["theory"]]
        said.append("; ".join(f"{each.name(axes)} {line['moment']} {line['tip']}" for each, line in lines[:MOST_WORDS]))
    return said
