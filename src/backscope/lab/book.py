"""The lab book's pages: the table of an ablation, its README, and the index of all.

What a person writes in a README stays; what the command found stands between two marks, and is replaced by the next
run.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from backscope.config import ROOT
from backscope.lab.claims import Result
from backscope.lab.registry import LabError
from backscope.training.record import TIMES

BOOK = ROOT / "experiments"
RESULTS = "results.json"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
COLUMNS = ("claim", "predicted or expected", "measured", "band", "verdict", "source")
SUMMARY = re.compile(r"\*\*(\d+) of (\d+) claims hold\*\*, (\d+) runs in ([\d.]+) s")


@dataclass(frozen=True)
class Page:
    """The outcome of an ablation: its results, how many runs there were, how long all of it took, and on what."""

    name: str
    results: Sequence[Result]
    runs: int
    seconds: float
    figures: Sequence[str]
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def held(self) -> int:
        return sum(result.holds for result in self.results)


def names() -> list[str]:
    """The ablations: the folders of the lab book that make claims."""
    return sorted(path.parent.name for path in BOOK.glob("*/claims.yaml"))


def shown(value: float | None) -> str:
    """A number with five digits.

    >>> shown(0.4320412), shown(0.0), shown(2.3013853)
    ('0.43204', '0', '2.3014')
    """
    return "" if value is None else "NaN" if math.isnan(value) else f"{value:.5g}"


def row(result: Result) -> list[str]:
    """A result as cells of the table; of several runs, the worst is shown and named."""
    claim, worst = result.claim, result.worst
    verdict = "holds" if result.holds else f"does not hold{f': {result.reason}' if result.reason else ''}"
    predicted = claim.expect.text if claim.expect else shown(worst.predicted) if worst else str(claim.predict)
    measured = shown(worst.measured) if worst else "–"
    if worst and worst.run:
        measured += f" (worst of {result.cases}: {worst.run})"
    elif result.runs > 1:
        measured += f" ({result.runs} runs)"
    return [claim.claim, predicted, measured, str(claim.tolerance or ""), verdict, claim.source]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table.

    >>> print(markdown(["a", "b"], [["1", "|"]]))
    | a | b |
    | --- | --- |
    | 1 | \\| |
    """
    lines = [header, ["---"] * len(header), *[[cell.replace("|", "\\|") for cell in cells] for cells in rows]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def show(page: Page, console: Console) -> None:
    """Print the table to a terminal."""
    table = Table(*COLUMNS, header_style="bold", show_lines=True)
    for result in page.results:
        colour = "green" if result.holds else "bold red"
        *cells, verdict, source = row(result)
        table.add_row(*cells, f"[{colour}]{verdict}[/]", source)
    console.print(table)
    console.print(
        f"{page.name}: {page.held} of {len(page.results)} claims hold, {page.runs} runs in {page.seconds:.0f} s"
    )


def files(page: Page) -> dict[str, bytes]:
    """The table as Markdown, and as JSON with the numbers to their last digit and what they were made with."""
    table = markdown(COLUMNS, [row(result) for result in page.results])
    found = {"made with": page.provenance, "claims": [entry(result) for result in page.results]}
    return {
        "claims.md": table.encode(),
        RESULTS: (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode(),
    }


def entry(result: Result) -> dict[str, Any]:
    """A result as it stands in results.json: the cells of its row, and the numbers in them (null: not finite)."""
    worst = result.worst
    values = {"measured value": worst.measured, "predicted value": worst.predicted} if worst else {}
    finite = {key: None if value is None or not math.isfinite(value) else value for key, value in values.items()}
    timed = any(name.startswith(TIMES) for name in result.claim.quantities)
    return dict(zip(COLUMNS, row(result), strict=True)) | finite | {"is a time": timed}


def write(page: Page, pictures: Mapping[str, bytes]) -> None:
    """Replace the results in the ablation's README, and results.json and the pictures beside it.

    Raises LabError for a README without the marks.
    """
    path = BOOK / page.name / "README.md"
    text = path.read_text() if path.exists() else f"# {page.name}\n\n{BEGIN}\n{END}\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise LabError(f"{path}: needs the lines {BEGIN} and {END}, between which results are written")
    for name, content in {**pictures, RESULTS: files(page)[RESULTS]}.items():
        (path.parent / name).write_bytes(content)
    before, rest = text.split(BEGIN)
    summary = f"**{page.held} of {len(page.results)} claims hold**, {page.runs} runs in {page.seconds:.0f} s"
    table = markdown(COLUMNS, [row(result) for result in page.results])
    block = [BEGIN, table, *[f"![{name.replace('_', ' ')}]({name}.png)" for name in page.figures]]
    block += [f"{summary}, `make ablation NAME={page.name}`.{made_with(page.provenance)}", END]
    path.write_text(before + "\n\n".join(block) + rest.split(END)[1])


def made_with(provenance: Mapping[str, str]) -> str:
    """On which libraries and machine a page's numbers were measured, in a sentence; all of it is in results.json.

    >>> made_with({"version.backscope": "0.1.0", "blas": "openblas 0.3.31", "cpu": "AMD EPYC"})
    ' Made with backscope 0.1.0, openblas 0.3.31, AMD EPYC ([results.json](results.json)).'
    """
    labels = {f"version.{name}": f"{name} " for name in ("backscope", "python", "numpy", "scipy")}
    keys = [key for key in (*labels, "blas", "cpu") if key in provenance]
    parts = ", ".join(labels.get(key, "") + provenance[key] for key in keys)
    return f" Made with {parts} ([{RESULTS}]({RESULTS}))." if parts else ""


def write_index(names: Sequence[str]) -> None:
    """Write experiments/README.md: each ablation's question, verdict and time, as its README has them."""
    rows, held, claimed, total = [], 0, 0, 0.0
    for name in names:
        text = (BOOK / name / "README.md").read_text()
        found = SUMMARY.search(text)
        if found is None:
            rows.append([f"[{name}]({name}/README.md)", question(text), "not run yet", "", ""])
            continue
        held, claimed, total = held + int(found[1]), claimed + int(found[2]), total + float(found[4])
        verdict = f"all {found[2]} hold" if found[1] == found[2] else f"**{found[1]} of {found[2]} hold**"
        rows.append([f"[{name}]({name}/README.md)", question(text), verdict, found[3], f"{found[4]} s"])
    table = markdown(["ablation", "question", "claims", "runs", "time"], rows)
    end = f"{held} of {claimed} claims hold; all ablations together took {total / 60:.0f} minutes."
    (BOOK / "README.md").write_text(f"{INTRODUCTION}\n{table}\n\n{end}\n")


def question(text: str) -> str:
    """The first paragraph under `## Question` in a README, in one line.

    >>> question("# x\\n\\n## Question\\n\\nDoes it\\nhold?\\n\\nMore.")
    'Does it hold?'
    """
    found = re.search(r"^## Question\n+(.+?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


INTRODUCTION = """# The lab book

Published claims about initialization, depth and gradients, each re-verified from one configuration. A folder is an
ablation: its README asks a question and shows what was measured beside what theory predicts; its `claims.yaml` says
what must hold.

    make ablation NAME=edge_of_chaos     # sweep, evaluate, rewrite the folder's README; exit 1 if a claim fails
    make ablations                       # all of them, and this page

`benchmarks/` is not an ablation: it measures speed (`make bench`).
"""
