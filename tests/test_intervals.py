"""Comparing honestly: intervals cover as often as they say, pairs are compared as pairs, one seed has no winner."""

import numpy as np
import pandas as pd
import pytest

from backscope.analysis import intervals
from backscope.analysis.intervals import compare, estimate, scores, values

TRIALS = 400
TOLERANCE = 0.06  # on 90 %: the bootstrap's own error at few seeds, and 0.015 of chance


def series(numbers, start=0, name="test_loss"):
    return pd.Series(numbers, index=range(start, start + len(numbers)), name=name, dtype=float)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 499)


@pytest.mark.parametrize("seeds", [5, 8, 16, 101])
@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_intervals_cover_the_median_as_often_as_they_say(quick, law, seeds):
    rng = np.random.default_rng(seeds)
    truth = {"normal": 0.0, "lognormal": 1.0}[law]
    found = [estimate(getattr(rng, law)(size=seeds)) for _ in range(TRIALS)]
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert covered == pytest.approx(0.9, abs=TOLERANCE)


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_of_differences_cover_and_find_what_is_there(quick, paired):
    rng = np.random.default_rng(1)
    covered, won, noisy = [], [], []
    for _ in range(TRIALS):
        luck = rng.normal(0, 3, 8)  # of a seed, in both configurations
        a, b = luck + rng.normal(0, 1, 8), (luck if paired else rng.normal(0, 3, 8)) + rng.normal(2, 1, 8)
        found = compare(series(a), series(b, 0 if paired else 100))
        covered.append(found.difference[0].low <= -2 <= found.difference[0].high)
        won.append(found.winner == "a")
        noisy.append(found.winner == "b")
        assert found.difference[1] == paired
    assert np.mean(covered) == pytest.approx(0.9, abs=TOLERANCE)
    assert np.mean(won) > 0.7 if paired else np.mean(won) < 0.6  # pairs see through the luck
    assert np.mean(noisy) < 0.05


def test_two_to_four_seeds_have_their_range_at_its_own_level():
    rng = np.random.default_rng(2)
    for seeds, level in ((2, 0.5), (3, 0.75), (4, 0.875)):
        found = [estimate(rng.normal(size=seeds)) for _ in range(2000)]
        assert {each.level for each in found} == {level}
        assert np.mean([each.low <= 0 <= each.high for each in found]) == pytest.approx(level, abs=0.03)


def test_one_seed_and_few_seeds_have_no_winner():
    for seeds, said in (
        (1, "one seed: no interval, no winner. "),
        (4, "4 seeds: too few for a 90 % interval, no winner"),
    ):
        found = compare(series(np.zeros(seeds)), series(np.ones(seeds)), ("he", "zeros"))
        assert found.winner is None and found.sentence.startswith(said)
    found = compare(series([0.0]), series(np.ones(9), 3), ("he", "zeros"))
    assert found.winner is None and found.sentence.startswith("one seed") and not found.difference[1]


def test_the_sentence_says_who_wins_on_what_grounds():
    rng = np.random.default_rng(3)
    low, high = series(rng.normal(1, 0.1, 6)), series(rng.normal(2, 0.1, 6))
    assert compare(high, low, ("he", "lecun")).sentence.startswith("lecun wins, lower is better. test_loss ")
    assert "paired difference 1" in compare(high, low).sentence and "6 shared seeds" in compare(high, low).sentence
    accuracy = [each.rename("test_accuracy") for each in (low, high)]
    assert compare(*accuracy).winner == "b"
    neutral = compare(*[each.rename("grad_ratio") for each in (low, high)])
    assert neutral.winner is None and neutral.sentence.startswith("they differ. ")
    assert compare(low, low + rng.normal(0, 1, 6)).sentence.startswith("no winner: the difference may be 0. ")
    assert compare(low, low).winner is None
    same = compare(low, low)._repr_html_()
    assert "paired difference" in same and "&lt;b&gt;" in compare(low, low, ("<b>", "c"))._repr_html_()


def test_seeds_that_are_shared_in_part_are_paired_if_they_are_enough():
    a, b = series(np.arange(10)), series(np.arange(10), 4)
    found, paired = compare(a, b).difference
    assert paired and found.seeds == 6 and found.median == 4
    assert not compare(a, series(np.arange(10), 8)).difference[1]


def test_a_replica_that_diverged_is_the_worst_of_all():
    diverged = series([0.1, 0.2, np.inf, np.inf, np.inf, np.inf])
    fine = series([1.0, 1.1, 1.2, 1.0, 1.1, 1.2])
    found = compare(diverged, fine)
    assert found.estimates[0].median == np.inf and found.estimates[0].high == np.inf
    assert found.sentence.endswith("; with a 4 of 6 seeds diverged") and "∞" in found.sentence
    assert compare(series([np.inf] * 6), series([np.inf] * 6)).difference[0].median == 0


def test_scores_are_read_from_a_trace(run):
    from io import BytesIO

    from backscope.tracking.trace import to_parquet

    network = "data=diabetes init=he activation=relu model.depth=3 model.width=8"
    record = run(f"{network} training.steps=30 optimizer.lr=2", seed=5, replicas=8)
    gone = record.diverged_at >= 0
    assert 0 < gone.sum() < 8
    table = scores(pd.read_parquet(BytesIO(to_parquet(record))), 30, 5)
    assert table.index.tolist() == list(range(5, 13))
    assert np.isinf(table["test_loss"]).tolist() == gone.tolist() == (table["test_r2"] == -np.inf).tolist()
    np.testing.assert_array_equal(table["test_loss"][~gone], record.final("test/loss")[~gone])
    first, last = (record.layers["grad_norm"][:, :, layer] for layer in (0, 2))
    ratios = np.divide(first, last, out=np.full_like(first, np.nan), where=last > 0)
    np.testing.assert_allclose(table["grad_ratio"], np.nanmedian(ratios, axis=0))


def test_runs_that_diverged_count_in_a_sweep():
    runs = pd.DataFrame({"seed": [0, 1], "replicas": [1, 1], "summary/test_loss": [0.5, 7.0]}, index=["a", "b"])
    runs["summary/diverged_replicas"] = [np.nan, 1.0]
    assert values(runs, "test_loss", {}.__getitem__).tolist() == [0.5, np.inf]
