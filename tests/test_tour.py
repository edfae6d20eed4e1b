"""The guided tour: what is committed was run without an error, and runs again in a fresh kernel with a fresh store."""

import importlib.util
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the tour needs nbformat, nbclient and ipykernel: pip install .[dev]")
pytest.importorskip("nbclient", reason="the tour needs nbformat, nbclient and ipykernel: pip install .[dev]")
pytest.importorskip("ipykernel", reason="the tour needs nbformat, nbclient and ipykernel: pip install .[dev]")

FOLDER = Path(__file__).parents[1] / "experiments" / "tour"
TOUR = FOLDER / "tour.ipynb"


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """What a cell shows: the types of its outputs, and of the streams it writes to."""
    return [output.get("name", sorted(output.get("data", {}))) for output in cell.outputs]


@pytest.fixture(scope="module")
def committed():
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_what_is_committed_was_run_from_top_to_bottom_without_an_error(committed):
    cells = code(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, 11))
    assert all(cell.outputs for cell in cells)
    assert all(output.output_type != "error" and output.get("name") != "stderr" for c in cells for output in c.outputs)
    assert TOUR.stat().st_size < 1_000_000
    assert not any(str(place) in TOUR.read_text() for place in (Path.home(), FOLDER.parents[1], "/tmp"))


@pytest.mark.slow
def test_the_tour_runs_anew_and_shows_the_same_kinds_of_things(committed):
    spec = importlib.util.spec_from_file_location("tour", FOLDER / "__main__.py")
    tour = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tour)
    executed = code(tour.execute(TOUR))  # an error in a cell is raised
    assert [kinds(cell) for cell in executed] == [kinds(cell) for cell in code(committed)]
    sweep = executed[6].outputs[0].text
    assert "27 of 27 runs" in sweep and "symmetric 9" in sweep
    assert "no winner" in executed[8].outputs[0].text
