"""What the parent run of a sweep carries: the table of its runs, and the report that compares them."""

from typing import TYPE_CHECKING

from backscope.analysis.report import page, study

if TYPE_CHECKING:
    from mlflow.entities import Run


def sweep_files(parent: "Run", uri: str | None = None) -> dict[str, bytes]:
    """The files of a sweep, by name, from all that its runs have in the store.

    Raises StoreError if there are none.
    """
    found = study.read(parent, uri)
    table = found.runs.drop(columns=["artifacts"]).to_csv().encode()
    return {"runs.csv": table, study.FILE: page.render(found)}
