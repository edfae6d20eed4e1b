"""The predicted profile against Monte Carlo over networks written in plain NumPy."""

import numpy as np
import pytest

from backscope.nn.activations import ACTIVATIONS, relu, step, tanh
from backscope.probes import PROBES
from backscope.theory import profile
from backscope.theory.normalization import relu_batch_norm_rate
from backscope.theory.profile import predict

DEPTH, WIDTH, REPLICAS = 6, 128, 50

# activation, σw², options of predict, tolerance for δ, tolerance for gradient norms (on roots of mean squares)
CASES = [
    ("relu", 2.0, {}, 0.12, 0.2),
    ("relu", 1.0, {"loss": "squared_error"}, 0.08, 0.12),
    ("relu", 2.0, {"orthogonal": True}, 0.08, 0.15),
    ("identity", 1.0, {"orthogonal": True}, 0.05, 0.08),
    ("tanh", 1.0, {}, 0.05, 0.08),
    ("tanh", 2.5, {"sigma_b2": 0.05}, 0.05, 0.12),
    ("tanh", 1.0, {"dropout": 0.3}, 0.05, 0.06),
    ("sigmoid", 1.0, {}, 0.06, 0.15),
    ("gelu", 2.0, {}, 0.15, 0.2),
    ("selu", 1.0, {}, 0.06, 0.1),
    ("relu", 2.0, {"residual": "plain"}, 0.15, 0.2),
    ("relu", 2.0, {"residual": "scaled"}, 0.08, 0.12),
    ("tanh", 1.0, {"residual": "plain"}, 0.05, 0.1),
    ("relu", 2.0, {"residual": "zero"}, 0.05, 0.1),
    ("relu", 1.0, {"normalization": "layer_norm"}, 0.08, 0.12),
    ("sigmoid", 1.0, {"normalization": "layer_norm"}, 0.1, 0.15),
    ("relu", 2.0, {"normalization": "batch_norm"}, 0.05, 0.2),
    ("sigmoid", 1.0, {"normalization": "batch_norm", "residual": "plain"}, 0.1, 0.35),
]


@pytest.mark.parametrize(("name", "sigma_w2", "options", "of_delta", "of_norms"), CASES)
def test_against_random_networks(networks, batch, name, sigma_w2, options, of_delta, of_norms):
    x, y = batch
    activation = ACTIVATIONS[name]()
    setting = {"depth": DEPTH, "width": WIDTH}
    plain = dict(options)
    scale = {"none": None, "plain": 1.0, "scaled": (DEPTH - 1) ** -0.5, "zero": 0.0}[plain.pop("residual", "none")]
    squares = networks(activation, sigma_w2, x, y, scale=scale, replicas=REPLICAS, **setting, **plain)
    weights = [sigma_w2] * (DEPTH + 1)
    predicted = predict(activation, weights, x, y, **setting, **options)
    for quantity, tolerance in {
        "delta_rms": of_delta,
        "grad_norm": of_norms,
        "bias_grad_norm": of_norms + 0.08,
        "pre_activation_std": 0.05,
    }.items():
        measured = np.sqrt(squares[quantity].mean(axis=0))
        hidden = slice(None, -1) if quantity == "pre_activation_std" else slice(None)  # three logits say little
        np.testing.assert_allclose(predicted[quantity][hidden], measured[hidden], rtol=tolerance, err_msg=quantity)


def test_names_are_those_of_probes(batch):
    predicted = predict(tanh(), [1.0] * 4, *batch, depth=3, width=50)
    assert set(predicted) <= set(PROBES)
    assert all(values.shape == (4,) for values in predicted.values())


@pytest.mark.parametrize("sigma_w2", [0.0, -1.0, np.nan, np.inf])
def test_silent_without_random_weights(batch, sigma_w2):
    assert predict(tanh(), [1.0, sigma_w2, 1.0], *batch, depth=2, width=50) == {}


def test_silent_where_the_signal_overflows(batch):
    assert predict(relu(), [1e300] * 3, *batch, depth=2, width=50) == {}


def test_wide_relu_networks_shrink_gradients_by_half_of_sigma_w2(batch):
    predicted = predict(relu(), [1.5] * 9, *batch, depth=8, width=10**7)
    ratios = predicted["delta_rms"][:-2] ** 2 / predicted["delta_rms"][1:-1] ** 2
    np.testing.assert_allclose(ratios, 0.75, rtol=1e-4)


def test_deep_batch_norm_is_theorem_8():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 100)), np.eye(8)[rng.integers(8, size=32)]
    predicted = predict(relu(), [2.0] * 61, x, y, depth=60, width=10**6, normalization="batch_norm")
    ratio = (predicted["delta_rms"][20] / predicted["delta_rms"][40]) ** 2
    assert ratio ** (1 / 20) == pytest.approx(relu_batch_norm_rate(32), rel=0.005)


def test_lsuv_makes_every_variance_one(batch):
    predicted = predict(ACTIVATIONS["sigmoid"](), None, *batch, depth=20, width=100, orthogonal=True)
    np.testing.assert_allclose(predicted["pre_activation_std"], 1.0, rtol=1e-9)
    ratio = (predicted["delta_rms"][5] / predicted["delta_rms"][15]) ** 2
    assert ratio ** (1 / 10) == pytest.approx(0.1528, rel=0.05)


def test_exact_zeros(batch):
    closed = predict(relu(), [2.0] * 6, *batch, depth=5, width=50, residual="zero")
    assert (closed["grad_norm"][1:-1] == 0).all()
    assert (closed["grad_norm"][[0, -1]] > 0).all()
    stepped = predict(step(), [2.0] * 6, *batch, depth=5, width=50)
    assert (stepped["grad_norm"][:-1] == 0).all()
    assert stepped["grad_norm"][-1] > 0


def test_no_finite_mean_square_through_batch_norm_of_two_dimensions():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    predicted = predict(tanh(), [1.0] * 3, x, y, depth=2, width=50, normalization="batch_norm", loss="squared_error")
    assert np.isnan(predicted["grad_norm"][0])
    assert np.isfinite(predicted["delta_rms"]).all()


def test_part_of_a_batch_stands_for_all_of_it(batch, monkeypatch):
    x, y = batch
    options = {"depth": 4, "width": 100, "normalization": "batch_norm"}
    whole = predict(relu(), [2.0] * 5, x, y, **options)
    monkeypatch.setattr(profile, "SAMPLES", 32)
    part = predict(relu(), [2.0] * 5, x, y, **options)
    for quantity in ("delta_rms", "grad_norm"):
        np.testing.assert_allclose(part[quantity], whole[quantity], rtol=0.1)


@pytest.mark.parametrize(("residual", "scale", "tolerance"), [("plain", 1.0, 0.3), ("none", None, 0.25)])
def test_what_gradients_owe_to_the_weights_they_pass(networks, batch, residual, scale, tolerance):
    """In narrow and deep networks; with gradients independent of weights the errors are 0.7 and 0.35."""
    setting = {"depth": 14, "width": 56}
    squares = networks(relu(), 2.0, *batch, scale=scale, replicas=120, **setting)
    predicted = predict(relu(), [2.0] * 15, *batch, residual=residual, **setting)
    for quantity in ("delta_rms", "grad_norm"):
        measured = np.sqrt(squares[quantity].mean(axis=0))
        np.testing.assert_allclose(predicted[quantity], measured, rtol=tolerance, err_msg=quantity)


def test_orthogonal_linear_networks_keep_every_gradient(batch):
    predicted = predict(
        ACTIVATIONS["identity"](), [1.0] * 9, *batch, depth=8, width=12, loss="squared_error", orthogonal=True
    )
    np.testing.assert_allclose(predicted["delta_rms"][:-1], predicted["delta_rms"][0], rtol=1e-3)
