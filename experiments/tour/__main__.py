"""`python -m experiments.tour`: run the tour's cells anew and keep their outputs in tour.ipynb."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

TOUR = Path(__file__).with_name("tour.ipynb")


def execute(path: Path) -> NotebookNode:
    """The notebook with all of its cells run, in a kernel of its own; raises CellExecutionError if one fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False, coalesce_streams=True)
    return client.execute()


if __name__ == "__main__":
    executed = execute(TOUR)
    executed.metadata.pop("widgets", None)
    executed.metadata["language_info"] = {"name": "python"}  # the kernel adds its version, which changes nothing here
    nbformat.write(executed, TOUR)
