"""The verdicts: every rule on a record made for it, their order, and what real runs are found to be."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from backscope.analysis.diagnosis import VERDICTS, diagnose
from backscope.training import Record

DEPTH, MOMENTS = 4, 6


def record(replicas=1, diverged_at=-1, width=16, depth=DEPTH, **last):
    """A healthy record but for `last`: a quantity's values by layer, at all moments and in all replicas."""
    layers = {
        "grad_norm": 1.0,
        "delta_rms": 1.0,
        "distinct_neurons": float(width),
        "dead_units": 0.0,
        "saturation": 0.0,
    }
    values = {
        name: np.broadcast_to(np.asarray(last.get(name, value), float), (MOMENTS, replicas, depth + 1)).copy()
        for name, value in layers.items()
    }
    return Record(
        config=SimpleNamespace(model=SimpleNamespace(depth=depth, width=width)),
        steps=np.arange(MOMENTS),
        layers=values,
        scalars={},
        diverged_at=np.broadcast_to(diverged_at, replicas),
        seconds={},
        theta=np.zeros((replicas, 1)),
    )


FALLING = [1e-5, 1e-3, 1e-2, 1.0, 1.0]
CASES = {
    "healthy": ({}, "layer 1 has 1 × the ‖∂L/∂W‖ and 1 × the RMS of δ of layer 4"),
    "diverged": ({"diverged_at": 17}, "not finite at step 17"),
    "symmetric": ({"distinct_neurons": [16, 1, 1, 16, 10]}, "1 distinct neuron of 16 in layers 2–3 after 5 steps"),
    "dead": ({"dead_units": [0, 0, 0.95, 0, np.nan]}, "in 95% of the units of layer 3"),
    "exploding": (
        {"grad_norm": [2e4, 1e3, 10, 2, 1]},
        "grows from 2.0e+00 in layer 4 to 2.0e+04 in layer 1 (ratio 1.0e+04",
    ),
    "vanishing": (
        {"delta_rms": FALLING},
        "RMS of δ falls from 1.0e+00 in layer 4 to 1.0e-05 in layer 1 (ratio 1.0e-05",
    ),
    "saturated": ({"saturation": [0, 0, 0, 0.6, np.nan]}, "60% of the activations saturated in layer 4"),
}


def test_there_is_a_case_for_every_verdict():
    assert set(CASES) == set(VERDICTS)


@pytest.mark.parametrize("name", CASES)
def test_each_rule_finds_its_case_and_says_why(name):
    change, evidence = CASES[name]
    verdict = diagnose(record(**change))
    assert verdict.name == name
    assert evidence in verdict.evidence


def test_the_rules_are_asked_in_order():
    changes = [CASES[name][0] for name in ("diverged", "symmetric", "dead", "vanishing", "saturated")]
    merged = {key: value for change in changes for key, value in change.items()}
    for change, expected in zip(changes, ("diverged", "symmetric", "dead", "vanishing", "saturated"), strict=True):
        assert diagnose(record(**merged)).name == expected
        merged = {key: value for key, value in merged.items() if key not in change}


@pytest.mark.parametrize(
    ("diverged_at", "name"), [([5, 7, -1], "diverged"), ([5, -1], "healthy"), ([-1, -1, 3], "healthy")]
)
def test_a_run_diverged_if_more_than_half_of_its_replicas_did(diverged_at, name):
    assert diagnose(record(replicas=len(diverged_at), diverged_at=diverged_at)).name == name


def test_one_of_three_replicas_does_not_decide():
    made = record(replicas=3)
    made.layers["distinct_neurons"][:, 0] = 1
    assert diagnose(made).name == "healthy"


def test_a_gradient_of_exactly_0_is_vanished_and_not_unknown():
    verdict = diagnose(record(grad_norm=[0, 0, 0, 0, 1.0]))
    assert verdict.name == "vanishing"
    assert verdict.numbers["grad_ratio"] == 0.0


def test_what_was_not_probed_is_said():
    made = record(delta_rms=FALLING)
    made.layers = {"grad_norm": made.layers["grad_norm"]}
    verdict = diagnose(made)
    assert verdict.name == "healthy"
    assert verdict.evidence.endswith("not probed: delta_rms, distinct_neurons, dead_units")
    assert diagnose(replace(made, layers={})).evidence.startswith("no rule applies; not probed: grad_norm")


def test_a_single_neuron_is_not_symmetric_and_a_single_layer_has_no_flow():
    assert diagnose(record(width=1, distinct_neurons=1.0)).name == "healthy"
    assert "grad_ratio" not in diagnose(record(depth=1)).numbers


def test_what_is_not_finite_counts_for_nothing():
    made = record(replicas=3)
    made.layers["grad_norm"][2:, 1:] = np.nan
    made.layers["delta_rms"][:, 2] = np.inf
    assert diagnose(made).name == "healthy"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("init=zeros activation=tanh", "symmetric"),
        ("init=constant activation=relu", "symmetric"),
        ("init=xavier activation=sigmoid model.depth=20", "vanishing"),
        ("init=he init.gain=2 activation=relu model.depth=20 optimizer.lr=1e-9", "exploding"),
        ("init=normal init.std=1 activation=tanh model.depth=2", "saturated"),
        ("init=he activation=step", "dead"),
        ("init=he activation=relu loss=squared_error optimizer.lr=1e6", "diverged"),
        ("init=he activation=relu", "healthy"),
        ("init=xavier activation=tanh", "healthy"),
    ],
)
def test_real_runs(run, overrides, name):
    verdict = diagnose(run(f"model.depth=4 model.width=32 training.steps=20 {overrides}"))
    assert verdict.name == name, verdict


def test_he_with_relu_starts_healthy_at_depth_32(run):
    assert 0.1 < diagnose(run("init=he activation=relu model.depth=32 training.steps=0")).numbers["grad_ratio"] < 10
