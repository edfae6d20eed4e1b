"""What the terminal shows: the summary of a run, the progress of a sweep, and the table at its end."""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from backscope.analysis.diagnosis import Verdict
    from backscope.training import Record

COLOURS = {
    "healthy": "green",
    "vanishing": "blue",
    "exploding": "red",
    "symmetric": "magenta",
    "dead": "bright_black",
    "saturated": "yellow",
    "diverged": "bold red",
    "failed": "bold white on red",
}
BARS = "▁▂▃▄▅▆▇█"
COLUMNS = 8  # of a sweep's table
ROWS = 60


def console() -> Console:
    """The terminal, or a page wide enough for the tables where the output goes elsewhere (notebooks force colours)."""
    return Console() if sys.stdout.isatty() else Console(width=120, force_terminal=False)


def coloured(verdict: str) -> Text:
    return Text(verdict, COLOURS.get(verdict, ""))


def counts(verdicts: Sequence[str]) -> Text:
    """How often each verdict was given, the most frequent first."""
    words = [coloured(verdict).append(f" {count}") for verdict, count in Counter(verdicts).most_common()]
    return Text(" · ").join(words)


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, on a scale from the smallest to the largest; a dot for what is not finite.

    >>> sparkline([-3, -2, -1, -math.inf])
    '▁▅█·'
    """
    finite = [value for value in values if math.isfinite(value)]
    low, span = min(finite, default=0.0), (max(finite, default=0.0) - min(finite, default=0.0)) or 1.0
    height = len(BARS) - 1
    return "".join(BARS[int((v - low) / span * height + 0.5)] if math.isfinite(v) else "·" for v in values)


def show_run(record: "Record", verdict: "Verdict", page: str | None) -> None:
    """The verdict, its evidence, the gradient norms by layer and the final numbers of one run."""
    out = console()
    out.print(coloured(verdict.name).append(f": {verdict.evidence}", "default"))
    if "grad_norm" in record.layers:
        out.print("log10 ‖∂L/∂W‖ from layer 1 (nearest the input) to the head:")
        with np.errstate(divide="ignore"):
            profiles = np.log10(np.nanmedian(record.layers["grad_norm"], axis=1))
        for step, profile in sorted({(record.steps[t], tuple(profiles[t])) for t in (0, len(record.steps) - 1)}):
            ends = " … ".join(f"{profile[layer]:.1f}".replace("inf", "∞") for layer in (0, -1))
            out.print(f"  step {step:>6}  {sparkline(profile)}  {ends}", highlight=False)
    final = {name: np.nanmedian(record.final(name)) for name in record.scalars if name.startswith("test/")}
    numbers = "  ".join(f"{name} {value:.4g}" for name, value in final.items())
    out.print(f"{numbers}  {record.seconds['total']:.2f} s", highlight=False)
    if page:
        out.print(f"to see it: {page}", highlight=False, soft_wrap=True)


class SweepProgress:
    """A bar with the time left, the verdicts so far, and failures as they happen; plain lines without a terminal."""

    def __init__(self, total: int, console: Console, verdicts: list[str]) -> None:
        self.total, self.verdicts, self.console = total, verdicts, console
        columns = (
            BarColumn(30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(
            *columns,
            TextColumn("{task.description}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total, completed=len(verdicts))

    def __enter__(self) -> "SweepProgress":
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def finished(self, verdict: str) -> None:
        self.verdicts.append(verdict)
        self._advance()

    def failed(self, name: str, reason: str) -> None:
        self.verdicts.append("failed")
        self.console.print(coloured("failed").append(f" {name}: {reason}", "default"))
        self._advance()

    def _advance(self) -> None:
        done, shown = len(self.verdicts), counts(self.verdicts)
        self.bar.update(self.task, advance=1, description=shown.markup)
        if not self.console.is_terminal and (done * 10 // self.total > (done - 1) * 10 // self.total):
            self.console.print(Text(f"{done}/{self.total}  ").append(shown))


def sweep_table(axes: dict[str, list[str]], verdicts: dict[tuple[str, ...], str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the verdicts: the last axes run across as long as they fit, the first run down.

    >>> axes = {"init": ["zeros", "he"], "model.depth": ["2", "8"]}
    >>> sweep_table(axes, {("zeros", "2"): "symmetric", ("he", "8"): "healthy"})
    (['init', 'model.depth 2', '8'], [['zeros', 'symmetric', ''], ['he', '', 'healthy']])
    """
    across = len(axes)
    while across > 1 and math.prod(len(values) for values in list(axes.values())[across - 1 :]) <= COLUMNS:
        across -= 1
    down, right = list(axes.items())[:across], list(axes.items())[across:]
    labels = list(product(*(values for _, values in right)))
    header = [name for name, _ in down]
    names = " · ".join(name for name, _ in right)
    header += [
        f"{names} {' · '.join(label)}" if i == 0 and label else " · ".join(label) for i, label in enumerate(labels)
    ]
    rows = [
        [*row, *(verdicts.get((*row, *label), "") for label in labels)]
        for row in product(*(values for _, values in down))
    ]
    return header if right else [*header[:-1], "verdict"], rows


def print_table(out: Console, header: list[str], rows: list[list[str]]) -> None:
    """The table of a sweep, if it is one that somebody would read."""
    if len(rows) > ROWS:
        return
    table = Table(*header, box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(coloured, row))
    out.print(table)


def markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    """The same table as lines of Markdown; empty if it is too long to be read.

    >>> markdown(["init", "verdict"], [["he", "healthy"]])
    ['| init | verdict |', '| --- | --- |', '| he | healthy |']
    """
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] if len(rows) <= ROWS else []
