"""Every instrument of the registry: against differences, dense algebra and counting by hand, and no trace left."""

import statistics
from itertools import combinations

import numpy as np
import pytest

from backscope.nn.network import Network
from backscope.probes import INSTRUMENTS

CASES = {
    "one replica": {"replicas": 1},
    "batch norm, residual": {"activation": "sigmoid", "normalization": "batch_norm", "residual": "zero"},
    "ReLU, layer norm, dropout": {"activation": "relu", "init": "he", "normalization": "layer_norm", "dropout": 0.3},
}


@pytest.mark.parametrize("name", INSTRUMENTS)
@pytest.mark.parametrize("case", CASES)
def test_instruments_leave_no_trace(network_of, traces, name, case):
    network = network_of(**CASES[case])
    untouched = traces(network)
    for value in INSTRUMENTS[name].measure(network).values():
        assert value.shape == (len(network.theta),)
    assert traces(network) == untouched


@pytest.mark.parametrize("residual", ["none", "plain", "scaled", "zero"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_jacobian_by_differences(network_of, activation, residual):
    network = network_of(activation, residual=residual, init="he")
    x, h = network.x1[:, 0, :-1], 1e-6
    outputs = []
    for sign in (1, -1):
        twin = network_of(activation, residual=residual, init="he")
        twin.forward(x[:, None] + sign * h * np.eye(5), np.zeros((2, 5, 3)))
        outputs.append(twin.layers[-2].a)
    jacobian = (outputs[0] - outputs[1]).mT / (2 * h)
    measured = INSTRUMENTS["jacobian"].measure(network)
    for r in range(2):
        s = np.sqrt(np.maximum(np.linalg.eigvalsh(jacobian[r].T @ jacobian[r]), 0))
        square = (s**2).tolist()
        expected = {
            "jacobian/mean_square": statistics.fmean(square),
            "jacobian/relative_variance": statistics.pvariance(square) / statistics.fmean(square) ** 2,
            "jacobian/largest": max(s),
            "jacobian/smallest": min(s),
        }
        assert {name: value[r] for name, value in measured.items()} == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("parts", "loss"), [({"width": 2, "depth": 1}, "cross_entropy"), ({"width": 12}, "squared_error")]
)
def test_sharpness_is_the_largest_eigenvalue_of_the_whole_hessian(network_of, parts, loss):
    network = network_of(loss=loss, **parts)
    x, y, parameters, h = network.x1[..., :-1], network.y, network.theta.shape[1], 1e-5
    for r, measured in enumerate(INSTRUMENTS["sharpness"].measure(network)["sharpness"]):
        many = Network(network.architecture, 2 * parameters)  # a replica for each perturbed parameter
        many.theta[:] = network.theta[r] + h * np.concatenate([np.eye(parameters), -np.eye(parameters)])
        many.forward(np.tile(x[r], (2 * parameters, 1, 1)), np.tile(y[r], (2 * parameters, 1, 1)))
        many.backward()
        plus, minus = many.gradient.reshape(2, parameters, parameters)
        hessian = (plus - minus) / (2 * h)
        assert measured == pytest.approx(np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1], rel=1e-5)


@pytest.mark.parametrize("normalization", ["none", "layer_norm"])
def test_gradient_autocorrelation_over_all_pairs(network_of, normalization):
    network = network_of(normalization=normalization)
    cotangent = np.random.default_rng(0).standard_normal(3)
    twin = network_of(normalization=normalization)
    twin.backward(np.broadcast_to(cotangent, network.y.shape))
    measured = INSTRUMENTS["gradient_autocorrelation"].measure(network)["gradient_autocorrelation"]
    for r, g in enumerate(twin.input_gradient()):
        pairs = statistics.fmean(float(one @ other) for one, other in combinations(g, 2))
        assert measured[r] == pytest.approx(pairs / statistics.fmean(float(one @ one) for one in g), rel=1e-12)


def test_gradients_are_all_alike_in_a_linear_network_and_shattered_in_a_wide_deep_one(network_of):
    measure = INSTRUMENTS["gradient_autocorrelation"].measure
    (linear,), (shattered,) = (
        measure(network_of(activation, init="he", width=100, depth=30, normalization=normalization)).values()
        for activation, normalization in (("identity", "none"), ("relu", "batch_norm"))
    )
    np.testing.assert_allclose(linear, 1, rtol=1e-12)
    assert (np.abs(shattered) < 0.2).all()


@pytest.mark.parametrize("normalization", ["none", "layer_norm", "batch_norm"])
def test_errors_of_finite_differences_have_a_valley(network_of, normalization):
    measured = INSTRUMENTS["finite_differences"].measure(network_of(normalization=normalization))
    errors = np.stack([measured[f"finite_differences/error_h{10.0**-k:.0e}"] for k in range(1, 13)])
    assert (errors[4] < 1e-7).all()  # h = 10⁻⁵
    assert (errors[0] > 100 * errors[4]).all() and (errors[11] > 100 * errors[4]).all()
    exact = measured.get("finite_differences/error_complex_step")
    assert (exact is None) == (normalization != "none")
    assert exact is None or (exact < 1e-13).all()


def test_products_are_counted_exactly(network_of):
    measured = INSTRUMENTS["finite_differences"].measure(network_of())
    forward = 12 * ((5 + 1) * 7 + 2 * (7 + 1) * 7 + (7 + 1) * 3)  # the bias is one more weight
    into_layers_below = 12 * (2 * 7 * 7 + 7 * 3)
    assert (measured["multiply_adds/forward"] == forward).all()
    assert (measured["multiply_adds/gradient"] == 2 * forward + into_layers_below).all()
    assert (measured["finite_differences/parameters"] == forward / 12).all()


def test_what_is_not_defined_is_not_measured(network_of):
    assert INSTRUMENTS["jacobian"].measure(network_of(normalization="batch_norm")) == {}
    assert INSTRUMENTS["gradient_autocorrelation"].measure(network_of(batch=1)) == {}
