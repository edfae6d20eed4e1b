"""Exact laws of narrow networks, Jacobians, dead networks and shattered gradients, against Monte Carlo."""

import numpy as np
import pytest
from scipy.special import erfinv

from backscope.nn.activations import identity, relu, tanh
from backscope.theory import dead_relu, finite_width, jacobian, shattering


def relu_log_ratios(rng, nets, widths):
    """log of ‖a‖²/n over ‖x‖²/n₀ for `nets` He-initialized ReLU networks, those with a dead layer left out."""
    a = np.broadcast_to(rng.normal(size=30), (nets, 30))
    start = np.log((a**2).mean(-1))
    for n in widths:
        w = rng.normal(0, np.sqrt(2 / a.shape[-1]), (nets, n, a.shape[-1]))
        a = np.maximum((w @ a[..., None])[..., 0], 0)
    alive = (a != 0).any(-1)
    return (np.log((a[alive] ** 2).mean(-1)) - start[alive], (a**2).mean(-1) / np.exp(start))


def test_hanin_nica():
    widths = [8, 20, 12]
    logs, ratios = relu_log_ratios(np.random.default_rng(0), 20_000, widths)
    assert logs.var() == pytest.approx(finite_width.log_norm_variance(widths), rel=0.05)
    assert logs.mean() == pytest.approx(finite_width.log_norm_mean(widths), abs=4 * logs.std() / np.sqrt(len(logs)))
    assert ratios.mean() == pytest.approx(1, abs=4 * ratios.std() / np.sqrt(len(ratios)))


def test_hanin_nica_approximation():
    widths = [50] * 10
    assert finite_width.log_norm_variance(widths) == pytest.approx(1.082, abs=5e-4)
    wide = [1000] * 10
    assert finite_width.beta(wide) == pytest.approx(0.05)
    assert finite_width.log_norm_variance(wide) == pytest.approx(0.05, rel=0.01)
    assert finite_width.log_norm_mean(wide) == pytest.approx(-0.025, rel=0.01)


def test_one_layer_fourth_moment():
    _, ratios = relu_log_ratios(np.random.default_rng(1), 40_000, [10])
    assert (ratios**2).mean() == pytest.approx(finite_width.squared_ratio_moment(10), rel=0.03)


@pytest.mark.parametrize(("width", "depth", "exact"), [(2, 10, 0.9249), (3, 10, 0.6993), (10, 10, 0.0088)])
def test_born_dead(width, depth, exact):
    assert dead_relu.dead_probability(width, depth) == pytest.approx(exact, abs=5e-5)


def test_born_dead_by_monte_carlo():
    rng, nets = np.random.default_rng(2), 4000
    a = np.ones((nets, 3, 1))
    for _ in range(9):
        a = np.maximum(rng.normal(size=(nets, 3, 3)) @ a, 0)
    p = dead_relu.dead_probability(3, 10)
    assert (a == 0).all((1, 2)).mean() == pytest.approx(p, abs=3 * np.sqrt(p * (1 - p) / nets))


def test_singular_values_of_one_layer():
    s = np.linalg.svd(np.random.default_rng(3).uniform(-1, 1, (300, 300)) / np.sqrt(300), compute_uv=False)
    assert s.mean() == pytest.approx(jacobian.mean_singular_value(1 / 3), rel=0.01)
    assert jacobian.mean_singular_value(1 / 3) == pytest.approx(0.4901, abs=5e-5)
    assert jacobian.mean_singular_value(1.0) == pytest.approx(0.8488, abs=5e-5)


def test_the_largest_singular_value_of_a_product():
    a, b = np.random.default_rng(4).normal(size=(2, 400, 400)) / 20
    largest = np.linalg.svd(a @ b, compute_uv=False)[0] ** 2
    assert largest == pytest.approx(jacobian.largest_squared_singular_value(2), rel=0.05)
    assert jacobian.largest_squared_singular_value(4) == pytest.approx(5**5 / 4**4)


def orthogonal(rng, n):
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


@pytest.mark.parametrize("activation", [identity(), relu(), tanh()])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_pennington(activation, weights):
    rng, n, layers, q, s = np.random.default_rng(5), 256, 4, 1.5, []
    quantiles = np.sqrt(2 * q) * erfinv(np.linspace(-1 + 1 / n, 1 - 1 / n, n))[:, None]  # of N(0, q)
    for _ in range(4):
        product = np.eye(n)
        for _ in range(layers):
            w = orthogonal(rng, n) if weights == "orthogonal" else rng.normal(size=(n, n)) / np.sqrt(n)
            product = activation.derivative(rng.permutation(quantiles)) * (w @ product)
        s.append(np.linalg.svd(product, compute_uv=False) ** 2)
    s = np.array(s)
    mean = jacobian.mean_squared_singular_value(activation, 1.0, q, layers)
    assert s.mean() == pytest.approx(mean, rel=0.05)
    relative = jacobian.relative_variance(activation, q, layers, weights)
    assert s.var() / s.mean() ** 2 == pytest.approx(relative, rel=0.1, abs=1e-9)


def test_gradients_of_two_inputs_part_like_a_power_law_and_not_like_two_to_the_minus_depth():
    rng, n = np.random.default_rng(6), 1500
    signals, gradients = rng.normal(size=(2, n)), np.tile(rng.normal(size=n), (2, 1))
    signals /= np.linalg.norm(signals, axis=1, keepdims=True) / np.sqrt(n)
    masks = []
    for _ in range(4):
        w = rng.normal(0, np.sqrt(2 / n), (n, n))
        signals = np.maximum(signals @ w.T, 0)
        masks.append((signals > 0, w))
    for mask, w in reversed(masks):
        gradients = (gradients * mask) @ w
    predicted = shattering.relu_gradient_correlation(0.0, 4)
    assert np.corrcoef(gradients)[0, 1] == pytest.approx(predicted[-1], abs=0.04)
    assert predicted[0] == 0.5 == shattering.batch_norm_gradient_correlation(4)[0]
    assert predicted[-1] > 2 * shattering.batch_norm_gradient_correlation(4)[-1]
