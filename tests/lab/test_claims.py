"""Claims: what is measured, what is predicted, and when a claim holds, on made-up traces."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backscope.config import compose
from backscope.lab.bands import Band, Tolerance
from backscope.lab.claims import evaluate
from backscope.lab.predictions import PREDICTIONS
from backscope.lab.registry import LabError
from backscope.lab.runs import Missing, pooled
from backscope.theory import mean_field

WIDTH = 16  # of the fixture `config`


@pytest.fixture
def holds(claim):
    def holds(runs, missing="", **keys):
        return evaluate(claim(**keys), runs, missing).holds

    return holds


def test_band_and_prediction(config, make, holds):
    run = make(config, {"grad_norm": 0.0, "test/accuracy": 0.9})
    assert holds([run], measure={"largest": {"quantity": "grad_norm"}}, expect="== 0")
    assert not holds([run], measure={"largest": {"quantity": "grad_norm"}}, expect="> 0")
    accuracy = {"mean": {"quantity": "test/accuracy"}}
    assert holds(
        [run], measure=accuracy, predict={"configured": {"key": "model.width", "factor": 0.9 / WIDTH}}, tolerance=0.01
    )
    assert not holds([run], measure=accuracy, predict={"configured": {"key": "model.width"}}, tolerance="3 %")


def test_a_wrong_prediction_fails_and_the_right_one_holds(config, make, holds):
    chi = mean_field.chi_1(make(config, {}).activation, 1.5, mean_field.fixed_point(make(config, {}).activation, 1.5))
    delta = chi ** (np.arange(5)[::-1] / 2)
    run = make(config, {"delta_rms": delta})
    rate = {"rate": {"quantity": "delta_rms"}}
    assert holds([run], measure=rate, predict="chi_1", tolerance="0.1 %")
    assert not holds([run], measure=rate, predict="sigma_w2", tolerance="3 %")
    assert not holds(
        [run], measure={"rate": {"quantity": "delta_rms", "towards": "output"}}, predict="chi_1", tolerance="3 %"
    )


def test_nan_fails_even_where_it_would_not_compare(config, make, holds):
    for expect in ("== 0", "> -1e300", "< 1e300"):
        run = make(config, {"grad_norm": np.where(np.arange(5) == 2, np.nan, 0.0)})
        assert not holds([run], measure={"largest": {"quantity": "grad_norm"}}, expect=expect)


def test_missing_runs_fail(config, make, claim, holds):
    run, node = make(config, {"grad_norm": 0.0}), {"measure": {"largest": {"quantity": "grad_norm"}}, "expect": "== 0"}
    assert holds([run], **node)
    assert evaluate(claim(**node), [], "").reason.startswith("missing runs")
    assert evaluate(claim(**node), [run], "missing runs: 1 of 2 are there").reason.startswith("missing runs")
    assert evaluate(claim(where={"activation.name": "relu"}, **node), [run]).reason.startswith("missing runs")
    with pytest.raises(LabError, match=r"activation\.nam"):
        evaluate(claim(where={"activation.nam": "relu"}, **node), [run])


def test_what_was_not_measured_fails(config, make, claim):
    run = make(config, {"grad_norm": 0.0})
    for measure in ({"largest": {"quantity": "weight_rank"}}, {"largest": {"quantity": "grad_norm", "steps": 7}},
                    {"largest": {"quantity": "grad_norm", "layers": 9}}):  # fmt: skip
        result = evaluate(claim(measure=measure, expect="== 0"), [run])
        assert not result.holds
        assert result.reason


def test_a_diverged_replica_has_no_value_at_the_end_nor_over_all_steps(config, make, holds):
    loss = np.array([[1.0, 1.0, 1.0], [1.0, np.nan, 1.0]])[..., None]
    run = make(config, {"train/loss": loss, "grad_norm": 0.0})
    for steps in ("last", "all", "second half"):
        assert not holds([run], measure={"largest": {"quantity": "grad_norm", "steps": steps}}, expect="== 0")
    assert holds([run], measure={"largest": {"quantity": "grad_norm", "steps": "first"}}, expect="== 0")
    assert holds([run], measure="diverged_share", expect="in [.3, .4]")


def test_every_run_must_hold_and_the_worst_is_shown(config, make, claim, holds):
    runs = [
        make(replace(config, seed=10 * i), {"test/loss": loss}, f"run {i}") for i, loss in enumerate((0.1, 0.9, 0.5))
    ]
    result = evaluate(claim(measure={"mean": {"quantity": "test/loss"}}, expect="< 0.6"), runs)
    assert not result.holds
    assert result.worst.run == "run 1"
    assert holds([runs[0], runs[2]], measure={"mean": {"quantity": "test/loss"}}, expect="< 0.6")


def test_every_layer_must_hold(config, make, holds):
    run = make(config, {"weight_rank": np.array([1.0, 1.0, 2.0, 1.0, 1.0])})
    assert not holds([run], measure={"profile": {"quantity": "weight_rank"}}, expect="== 1")
    assert holds([run], measure={"profile": {"quantity": "weight_rank", "layers": [1, 2]}}, expect="== 1")


def test_a_claim_cannot_compare_a_number_with_itself(config, make, claim, holds):
    runs = [make(replace(config, seed=seed), {"test/loss": 1.0}) for seed in (0, 10)]
    of = {"mean": {"quantity": "test/loss"}}
    both = {"ratio_between": {"of": of, "above": {"seed": 0}, "below": {"seed": [0, 10]}}}
    with pytest.raises(LabError, match="with itself"):
        evaluate(claim(measure=both, expect="in [.9, 1.1]"), runs)
    measure = {"ratio_between": {"of": of, "above": {"seed": 0}, "below": {"seed": 10}}}
    assert holds(runs, measure=measure, expect="in [.9, 1.1]")
    with pytest.raises(LabError, match="predict mean: unknown"):
        claim(measure=of, predict=of, tolerance=0)


def test_what_theory_predicted_is_no_measurement(config, make, holds):
    run = make(config, {"delta_rms": 2.0})
    rows = [("theory/delta_rms", 0, 0, layer, 2.0) for layer in range(1, 6)]
    trace = pd.concat([run.trace, pd.DataFrame(rows, columns=run.trace.columns)])
    run = replace(run, trace=trace)
    assert not holds([run], measure={"largest": {"quantity": "theory/delta_rms"}}, expect="== 2")
    assert run.predicted("delta_rms", [2, 3]).tolist() == [2.0, 2.0]
    with pytest.raises(Missing):
        run.predicted("grad_norm", "all")


def test_standard_errors(config, make, claim, holds):
    values = np.array([0.9, 1.0, 1.1])[None, :, None]
    run = make(config, {"test/loss": values})
    one = {"configured": {"key": "model.width", "factor": 1.1 / WIDTH}}
    assert holds([run], measure={"mean": {"quantity": "test/loss"}}, predict=one, tolerance="2 SE")
    assert not holds([run], measure={"mean": {"quantity": "test/loss"}}, predict=one, tolerance="1.5 SE")
    with pytest.raises(LabError, match="no standard error"):
        evaluate(claim(measure={"median": {"quantity": "test/loss"}}, predict=one, tolerance="3 SE"), [run])


def test_runs_that_differ_in_their_seed_are_replicas_of_one(config, make):
    parts = [make(replace(config, seed=seed), {"test/loss": float(seed)}, f"wide · seed={seed}") for seed in (0, 3)]
    (whole,) = pooled(parts)
    assert whole.config.replicas == 6
    assert whole.name == "wide"
    assert whole.get("test/loss", steps="last").values.ravel().tolist() == [0, 0, 0, 3, 3, 3]
    with pytest.raises(LabError, match="share some of their seeds"):
        pooled([parts[0], make(replace(config, seed=2), {})])


def test_measures_across_runs(config, make, holds):
    deep = [replace(config, model=replace(config.model, depth=depth)) for depth in (2, 4, 8)]
    runs = [make(each, {"test/loss": each.model.depth**2.0}) for each in deep]
    of = {"mean": {"quantity": "test/loss"}}
    assert holds(runs, measure={"slope": {"of": of, "key": "model.depth"}}, expect="in [1.999, 2.001]")
    assert holds(runs, measure={"crossing": {"of": of, "key": "model.depth", "level": 10}}, expect="in [2.9, 3.1]")
    assert not holds(runs, measure={"crossing": {"of": of, "key": "model.depth", "level": 1}}, expect="> 0")
    ratio = {"ratio_between": {"of": of, "above": {"model.depth": "> 7"}, "below": {"model.depth": 2}}}
    assert holds(runs, measure=ratio, expect="== 16")
    assert not holds(runs[:1], measure={"slope": {"of": of, "key": "model.depth"}}, expect="> 0")


def test_predictions_are_computed_from_the_configuration(config):
    wide = replace(config, model=replace(config.model, width=4 * WIDTH, depth=8))
    nodes = ({"log_norm_variance": {"layers": "hidden"}}, "squared_ratio_moment", "layers_reached", "dead_probability")
    assert not any(np.array_equal(predicted(config, node), predicted(wide, node)) for node in nodes)
    assert predicted(config, {"beta": {"layers": [1, -1]}}) == pytest.approx(5 * 3 / WIDTH)


def predicted(config, node):
    return PREDICTIONS.call(node)(config)


@pytest.mark.parametrize("name", ["normal", "uniform", "lecun", "xavier", "he", "orthogonal", "mean_field", "zeros"])
def test_sigma_w2_of_every_initializer(name):
    from backscope.lab.predictions.configured import sigma_w2_of

    config = compose(f"init={name}", f"model.width={WIDTH}", "init.gain=2")
    expected = {"normal": WIDTH * 1e-4, "uniform": 1 / 3, "he": 2.0, "zeros": 0.0}.get(name, 1.0)
    assert sigma_w2_of(config) == pytest.approx(4 * expected)


MEAN = {"mean": {"quantity": "x"}}
BAD = [
    ({}, "claim, measure and source are needed"),
    ({"measure": "rate"}, "needs either"),
    ({"measure": {"rat": {}}, "expect": "== 0"}, "did you mean rate"),
    ({"measure": {"rate": {}}, "expect": "== 0"}, "missing a required argument"),
    ({"measure": {"mean": {"quantity": "x", "layer": 1}}, "expect": "== 0"}, "unexpected"),
    ({"measure": MEAN, "expect": "about 1"}, "allowed are"),
    ({"measure": MEAN, "expect": "in [1, 0]"}, "allowed are"),
    ({"measure": MEAN, "predict": "chi_1"}, "tolerance"),
    ({"measure": MEAN, "predict": "chi_1", "tolerance": "3 parts"}, "3 SE"),
    ({"measure": MEAN, "predict": {"beta": {"factor": "-.5"}}, "tolerance": 1}, "a number"),
]


@pytest.mark.parametrize(("node", "message"), BAD)
def test_bad_claims_are_one_line(node, message, claim):
    with pytest.raises(LabError, match=re.escape(message)) as error:
        claim(**node)
    assert "\n" not in str(error.value)


def test_bands_and_tolerances(holds):
    assert Band.parse("in [-1, 1e-3]").holds(1e-3)
    assert not Band.parse("> 0").holds(float("nan"))
    assert str(Tolerance.parse("3 SE")) == "± 3 SE"
    assert str(Tolerance.parse(0)) == "exactly"


def test_layers_and_steps(config, make):
    run = make(config, {"grad_norm": np.arange(1.0, 6.0)})
    expected = {"all": [1, 2, 3, 4, 5], "hidden": [1, 2, 3, 4], "first": [1], "last": [4], "head": [5], -2: [3]}
    for layers, values in expected.items():
        assert run.get("grad_norm", layers, "first").values[0, 0].tolist() == values
    assert run.get("grad_norm", [2, -1], "first").layers.tolist() == [2, 3, 4]
    with pytest.raises(Missing):
        run.get("grad_norm", [3, 2], "first")
