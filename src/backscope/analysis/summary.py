"""The summary of a sweep: what the parent run says and shows of all its runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from backscope.analysis.diagnosis import VERDICTS
from backscope.analysis.frames import ordered, short, table, varying


@dataclass(frozen=True)
class Summary:
    """A sweep in words, numbers and pictures: Markdown, the table of verdicts, their counts, and files by name."""

    markdown: str
    verdicts: pd.DataFrame
    counts: dict[str, int]
    files: dict[str, bytes]


def sweep_summary(runs: pd.DataFrame, traces: Mapping[str, pd.DataFrame], title: str = "") -> Summary:
    """Summarize a sweep's runs (`tracking.reader.runs`) and their traces by run id.

    Raises ValueError if there are no runs.
    """
    if runs.empty:
        raise ValueError("no finished run to summarize")
    verdicts, counts = verdict_table(runs), verdict_counts(runs)
    markdown = "\n\n".join(filter(None, (title, sentence(counts), to_markdown(verdicts))))
    files = {"runs.csv": runs.drop(columns=["artifacts"]).to_csv().encode(), "summary.md": markdown.encode()}
    return Summary(markdown, verdicts, counts, files | _figures(runs, traces))


def verdict_counts(runs: pd.DataFrame) -> dict[str, int]:
    """How many runs got each verdict, those with none left out."""
    counts = runs["verdict"].value_counts()
    return {verdict: int(counts[verdict]) for verdict in VERDICTS if verdict in counts}


def sentence(counts: Mapping[str, int]) -> str:
    """The counts as a phrase.

    >>> sentence({"healthy": 2, "vanishing": 1})
    '3 runs: 2 healthy, 1 vanishing'
    """
    total = sum(counts.values())
    return f"{total} run{'s' * (total != 1)}: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}"


def verdict_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Verdicts by what was swept: names in rows, the number with the most values in columns."""
    axes = varying(runs)
    numbers = [axis for axis in axes if pd.api.types.is_numeric_dtype(runs[axis])]
    across = numbers[:1] or axes[-1:]
    down = [axis for axis in axes if axis not in across]
    if not down:
        return runs[[*across, "verdict"]].set_index(across).rename_axis([short(each) for each in across])
    frame = table(runs, down, across, "verdict")[ordered(runs[across[0]])]
    return frame.rename_axis([short(each) for each in down]).rename_axis(columns=short(across[0])).dropna(how="all")


def to_markdown(frame: pd.DataFrame) -> str:
    """A table as Markdown, the index as its first columns."""
    flat = frame.fillna("").reset_index()
    head = [
        f"{frame.columns.name} {column}" if column in frame.columns and frame.columns.name else str(column)
        for column in flat.columns
    ]
    lines = [head, ["---"] * len(head), *flat.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _figures(runs: pd.DataFrame, traces: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """The pictures that fit the sweep: rendered here only, once, where somebody looks."""
    from backscope.analysis.comparison import curve_grid, panel_count, profile_grid, verdict_grid
    from backscope.analysis.drawing import render

    figures = {"verdicts": verdict_grid(runs)}
    if panel_count(runs):
        figures |= {
            "gradient_profiles": profile_grid(runs, traces),
            "training_loss": curve_grid(runs, traces),
        }
    return {f"figures/{name}.png": render(figure) for name, figure in figures.items()}
