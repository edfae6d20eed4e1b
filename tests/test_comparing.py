"""Comparison, bit for bit: of tables of measurements and metrics, and of an ablation's claims."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from backscope.commands.reproduce import main
from backscope.lab import __main__ as lab
from backscope.lab import book, committed
from backscope.tracking import comparing


def test_one_bit_is_a_difference_and_the_sign_of_a_zero_too():
    row = {"quantity": ["a"], "step": [0], "replica": [0], "layer": [1]}
    one, next_to_one = (pd.DataFrame({**row, "value": [value]}) for value in (1.0, np.nextafter(1, 2)))
    zero, negative = (pd.DataFrame({**row, "value": [value]}) for value in (0.0, -0.0))
    for old, new, size in ((one, next_to_one, 2.2e-16), (zero, negative, 0.0)):
        assert comparing.compare(old, new).largest == pytest.approx(size, rel=0.1)
        assert len(comparing.compare(old, new).differing) == 1
    assert len(comparing.compare(one, one).differing) == 0


def test_missing_further_and_repeated_rows_are_differences_in_the_order_of_steps():
    def table(*rows):
        return pd.DataFrame(rows, columns=["quantity", "step", "replica", "layer", "value"])

    rows = [("b", 2, 0, 1, 1.0), ("a", 1, 0, 2, 2.0), ("a", 1, 1, 1, 3.0)]
    assert len(comparing.compare(table(*rows), table(*rows[::-1])).differing) == 0
    for old, new in ((rows[1:], rows), (rows, rows[1:]), ([*rows, rows[0]], rows)):
        found = comparing.compare(table(*old), table(*new))
        assert len(found.differing) == 1 and found.first.startswith("b, layer 1, step 2, replica 0: ")
        assert found.unpaired == 1 and found.largest == 0
    changed = [(*row[:4], 9.0) for row in rows]
    assert comparing.compare(table(*rows), table(*changed)).first.startswith("a, layer 1, step 1, replica 1: 3.0 ")


def test_times_are_not_compared_and_logarithms_as_what_they_are_of():
    def table(**values):
        return comparing.metrics((key, 0, value) for key, value in values.items())

    times = {"summary/seconds_total": 1.0, "seconds/backpropagation": 2.0}
    later = {key: 2 * value for key, value in times.items()}
    assert comparing.compare(table(**times, x=1.0), table(**later, x=1.0)).values == 1
    assert len(comparing.compare(table(**times, x=1.0), table(**later, x=1.0)).differing) == 0
    key = "depth_profile/log10_grad_norm_step_000"
    found = comparing.compare(table(**{key: 0.0}), table(**{key: np.log10(1.001)}))
    assert found.largest == pytest.approx(1e-3, rel=1e-2)


CLAIM = {"claim": "c", "predicted or expected": "> 0", "measured": "2", "band": "", "verdict": "holds"}
CLAIM |= {"measured value": 2.0, "predicted value": None, "is a time": False}


def test_claims_are_compared_by_digits_or_within_a_tolerance_and_times_by_their_verdict():
    closer = CLAIM | {"measured": "2.0001", "measured value": 2.0001}
    assert committed.differences([CLAIM], [CLAIM], 0) == []
    assert committed.differences([CLAIM], [closer], 0) == ["claim 1, c: measured 2 is committed, 2.0001 now"]
    assert committed.differences([CLAIM], [closer], 1e-4) == []
    assert len(committed.differences([CLAIM], [closer | {"verdict": "does not hold"}], 1)) == 1
    assert committed.differences([CLAIM], [closer | {"is a time": True}], 0) == []
    assert committed.differences([CLAIM], [], 0) == ["claim 1, c: it is gone"]
    assert committed.differences([], [CLAIM], 0) == ["claim 1, c: c is new"]
    assert committed.exact([CLAIM], [CLAIM]) and not committed.exact([CLAIM], [CLAIM | {"measured value": 2.0000001}])


def test_what_the_lab_book_has_not_committed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(book, "BOOK", tmp_path)
    page = tmp_path / "x"
    page.mkdir()
    (page / "claims.yaml").touch()
    for content, said in ((None, "`make ablation NAME=x` writes it"), ("{}", "not what `make ablation` wrote")):
        if content:
            (page / "results.json").write_text(content)
        assert main(["--experiment", "x"]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_an_ablation_reproduces_and_a_digit_that_was_altered_is_found(tmp_path, monkeypatch, capsys):
    name, page = "he_thirty_layers", tmp_path / "he_thirty_layers"
    shutil.copytree(book.BOOK / name, page)
    monkeypatch.setattr(book, "BOOK", tmp_path)
    assert lab.main([name, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]) == 0
    before = {path.name: path.read_bytes() for path in page.iterdir()}
    capsys.readouterr()
    assert main(["--experiment", name]) == 0
    assert "identical: 4 claims, bit for bit" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in page.iterdir()} == before
    now, results = committed.read(name), json.loads((page / "results.json").read_text())
    results["claims"][1]["measured"] = "0.6"
    (page / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr(committed, "again", lambda name: now)
    assert main(["--experiment", name]) == 1
    said = capsys.readouterr().out
    assert "different: 1 of 4 claims\n  claim 2, " in said and ": measured 0.6 is committed, 0.5" in said
