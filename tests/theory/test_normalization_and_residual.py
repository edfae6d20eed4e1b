"""What normalization and residual connections do to gradients, deep in a network; and small exact facts."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_digits

from backscope.nn.activations import relu, sigmoid, tanh
from backscope.theory import constant_predictor, cost, normalization, residual


@pytest.mark.parametrize(("batch", "rate"), [(32, 1.522), (64, 1.493), (10**9, np.pi / (np.pi - 1))])
def test_yang_theorem_8(batch, rate):
    assert normalization.relu_batch_norm_rate(batch) == pytest.approx(rate, abs=5e-4)
    if batch < 100:
        general = normalization.batch_norm_rate(relu(), batch)
        assert general == pytest.approx(normalization.relu_batch_norm_rate(batch), rel=1e-9)


def test_small_batches_have_no_rate():
    with pytest.raises(ValueError, match="batch = 3"):
        normalization.relu_batch_norm_rate(3)


@pytest.mark.parametrize("activation", [relu(), tanh()])
def test_batch_norm_explodes_as_predicted(networks, activation):
    rng, batch, depth = np.random.default_rng(0), 32, 30
    x, y = rng.normal(size=(batch, 64)), rng.normal(size=(batch, 16))
    squares = networks(
        activation, 1.0, x, y, depth=depth, width=256, replicas=6, normalization="batch_norm", loss="squared_error"
    )
    logs = np.log(squares["delta_rms"].mean(axis=0))
    rate = np.exp((logs[5] - logs[25]) / 20)
    assert rate == pytest.approx(normalization.batch_norm_rate(activation, batch), rel=0.02)


@pytest.mark.parametrize(("activation", "rate"), [(relu(), 1.0), (tanh(), 1.178), (sigmoid(), 0.1528)])
def test_layer_norm(activation, rate):
    assert normalization.layer_norm_rate(activation) == pytest.approx(rate, rel=5e-4)


def test_relu_residual():
    assert residual.block_rate(1.0) == 2
    assert residual.block_rate(1.0, 0.0) == 1
    assert residual.scaled_growth(32) == pytest.approx((1 + 1 / 32) ** 32)
    profile = residual.stream_profile(relu(), 2.0, 0.0, 10)
    np.testing.assert_allclose(profile, 2.0 ** np.arange(10, -1, -1))


def test_tanh_residual_grows_like_the_root_of_depth():
    profile = residual.stream_profile(tanh(), 1.0, 0.0, 400)
    root, logs = np.sqrt(np.arange(401)), np.log(profile[0] / profile)
    slope = np.polyfit(root, logs, 1)[0]
    assert slope == pytest.approx(1.116, rel=0.01)
    assert np.corrcoef(root, logs)[0, 1] ** 2 > 0.9995 > 0.99 > np.corrcoef(root**2, logs)[0, 1] ** 2
    late = np.polyfit(root[200:], logs[200:], 1)[0]
    assert residual.tanh_log_slope(1.0) < late < slope


def test_the_constant_predictor_on_digits():
    _, labels = load_digits(return_X_y=True)
    one_hot = np.eye(10)[labels]
    frequency = one_hot.mean(0)
    cross_entropy = -(one_hot @ np.log(frequency)).mean()
    assert constant_predictor.label_entropy(labels) == pytest.approx(cross_entropy)
    assert 2.30 < cross_entropy < np.log(10) == pytest.approx(constant_predictor.label_entropy(np.arange(10)))
    squared_error = 0.5 * ((one_hot - frequency) ** 2).sum(axis=1).mean()
    assert constant_predictor.label_variance(one_hot) == pytest.approx(squared_error)


def test_flops_counted_one_by_one():
    widths = [7, 11, 5, 3]
    forward = sum(a * b for a, b in pairwise(widths))
    weights, signals = forward, forward - widths[0] * widths[1]
    assert cost.flop_ratio(widths) == pytest.approx((forward + weights + signals) / forward)
