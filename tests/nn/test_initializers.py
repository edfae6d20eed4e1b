"""Every initializer of the registry: what it draws has the variance that it states, from its own generator."""

import numpy as np
import pytest
from scipy.stats import chi2

from backscope.nn.activations import ACTIVATIONS
from backscope.nn.initializers import INITIALIZERS, initialize
from backscope.nn.network import Architecture, Network

NEEDED = {
    "constant": {"value": 0.3},
    "normal": {"std": 0.05},
    "mean_field": {"sigma_w2": 1.7, "sigma_b2": 0.05},
}
VARIANCES = {  # the textbook's formulas, again
    "zeros": lambda n_in, n_out: 0,
    "constant": lambda n_in, n_out: 0,
    "normal": lambda n_in, n_out: 0.05**2,
    "uniform": lambda n_in, n_out: 1 / 3 / n_in,
    "lecun": lambda n_in, n_out: 1 / n_in,
    "lecun_uniform": lambda n_in, n_out: 1 / n_in,
    "xavier": lambda n_in, n_out: 2 / (n_in + n_out),
    "xavier_uniform": lambda n_in, n_out: 2 / (n_in + n_out),
    "he": lambda n_in, n_out: 2 / n_in,
    "he_uniform": lambda n_in, n_out: 2 / n_in,
    "orthogonal": lambda n_in, n_out: 1 / max(n_in, n_out),
    "lsuv": lambda n_in, n_out: 1 / max(n_in, n_out),
    "mean_field": lambda n_in, n_out: 1.7 / n_in,
}
every_initializer = pytest.mark.parametrize("name", INITIALIZERS)
RANDOM = [name for name in INITIALIZERS if name not in ("zeros", "constant")]
every_random_one = pytest.mark.parametrize("name", RANDOM)


def rngs(replicas=3, seed=0):
    return [np.random.default_rng(seed + replica) for replica in range(replicas)]


def drawn(name, replicas=3, seed=0, n_in=20, width=50, n_out=10, dtype=np.float64, depth=3, **options):
    """A network whose parameters were all 7 before they were drawn."""
    network = Network(Architecture(n_in, n_out, depth, width, ACTIVATIONS["tanh"]()), replicas, dtype)
    network.theta.fill(7.0)
    initialize(network, rngs(replicas, seed), name, **NEEDED.get(name, {}) | options)
    return network


@every_initializer
@pytest.mark.parametrize(("n_out", "n_in"), [(64, 64), (50, 128), (128, 50), (1, 200), (200, 1)])
@pytest.mark.parametrize("gain", [1.0, 0.6])
def test_weights_have_the_variance_that_is_stated(name, n_out, n_in, gain):
    stated = INITIALIZERS[name].variance(n_out, n_in, **NEEDED.get(name, {}))
    assert stated == pytest.approx(VARIANCES[name](n_in, n_out))
    layer = drawn(name, 100, n_in=n_in, width=n_out, depth=1, gain=gain).layers[0]
    W = layer.W
    assert W.shape == (100, n_out, n_in)
    if name in RANDOM:  # Σ W²/Var ~ χ² for Gaussians; lighter tails are closer to their mean
        low, high = chi2.ppf([1e-6, 1 - 1e-6], W.size)
        assert low < np.square(W).sum() / (stated * gain**2) < high
        assert abs(W.mean()) < 5 * (stated * gain**2 / W.size) ** 0.5
    else:
        assert set(W.ravel()) == {gain * NEEDED.get(name, {}).get("value", 0.0)}


@pytest.mark.parametrize("name", ["uniform", "lecun_uniform", "xavier_uniform", "he_uniform"])
def test_uniform_weights_fill_their_interval_and_nothing_else(name):
    W = drawn(name, 20).layers[1].W
    limit = (3 * VARIANCES[name](50, 50)) ** 0.5
    assert 0.999 * limit < np.abs(W).max() < limit
    counts, _ = np.histogram(W, bins=10, range=(-limit, limit))
    assert np.square(counts - W.size / 10).sum() / (W.size / 10) < chi2.ppf(1 - 1e-6, 9)


def test_the_standard_initialization_is_uniform_between_the_roots_of_the_fan_in():
    assert np.abs(drawn("uniform", 20).layers[1].W).max() == pytest.approx(50**-0.5, rel=1e-3)


@pytest.mark.parametrize("name", ["orthogonal", "lsuv"])
@pytest.mark.parametrize(("n_out", "n_in"), [(30, 30), (50, 20), (20, 50), (1, 9), (9, 1)])
def test_orthogonal_weights(name, n_out, n_in):
    W = 0.5 * INITIALIZERS[name].draw(np.random.default_rng(0), n_out, n_in) / 0.5
    smaller = W @ W.T if n_out <= n_in else W.T @ W
    np.testing.assert_allclose(smaller, np.eye(min(n_out, n_in)), atol=1e-14)


def test_orthogonal_weights_are_uniform_over_rotations():
    """Signs and traces of a Haar matrix: without the sign correction of QR, the diagonal would be negative."""
    rng = np.random.default_rng(0)
    W = np.stack([INITIALIZERS["orthogonal"].draw(rng, 4, 4) for _ in range(4000)])
    assert np.abs(W.mean(axis=0)).max() < 5 * (1 / 4 / 4000) ** 0.5
    assert abs(np.linalg.det(W).mean()) < 5 / 4000**0.5
    np.testing.assert_allclose(np.square(np.trace(W, axis1=1, axis2=2)).mean(), 1, atol=5 * 2**0.5 / 4000**0.5)


@every_initializer
def test_replica_r_draws_from_its_own_generator_alone(name):
    together = drawn(name, 3, bias_std=0.2)
    for replica in range(3):
        alone = drawn(name, 1, seed=replica, bias_std=0.2)
        assert np.array_equal(together.theta[replica], alone.theta[0])
    if name in RANDOM:
        assert not np.array_equal(together.theta[0], together.theta[1])


@every_initializer
def test_float32_has_the_same_numbers_rounded(name):
    exact, rounded = (drawn(name, dtype=dtype, bias_std=0.2).theta for dtype in (np.float64, np.float32))
    assert rounded.dtype == np.float32
    assert np.array_equal(exact.astype(np.float32), rounded)


@every_random_one
def test_gain_and_zeroed_layers_leave_all_other_random_numbers_as_they_are(name):
    plain, scaled, zeroed = (
        drawn(name, bias_std=0.2, **options) for options in ({}, {"gain": 3}, {"zero_layers": [1, 4]})
    )
    for index, (one, times, zero) in enumerate(zip(plain.layers, scaled.layers, zeroed.layers, strict=True), start=1):
        np.testing.assert_allclose(times.W, 3 * one.W, rtol=1e-15)
        assert np.array_equal(one.b, times.b) and np.array_equal(one.b, zero.b)
        assert np.array_equal(zero.W, one.W * (index not in (1, 4)))


@pytest.mark.parametrize(
    ("name", "options", "std"),
    [
        ("he", {}, 0),
        ("zeros", {"bias_std": 0.2}, 0.2),
        ("constant", {"bias_std": 0.2}, 0.2),
        ("mean_field", {"sigma_b2": 0.05}, 0.05**0.5),
        ("mean_field", {"sigma_b2": 0.0}, 0),
    ],
)
def test_biases(name, options, std):
    b = np.concatenate([layer.b.ravel() for layer in drawn(name, 50, **options).layers])
    low, high = chi2.ppf([1e-6, 1 - 1e-6], b.size) * std**2
    assert low <= np.square(b).sum() <= high


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "identity"])
@pytest.mark.parametrize("residual", ["none", "scaled"])
def test_lsuv_gives_every_layer_unit_variance(activation, residual):
    architecture = Architecture(64, 10, 30, 64, ACTIVATIONS[activation](), residual=residual)
    network = Network(architecture, replicas=2)
    initialize(network, rngs(2), "lsuv")
    directions = [layer.W / np.linalg.norm(layer.W, axis=(1, 2), keepdims=True) for layer in network.layers]
    x = np.random.default_rng(9).normal(size=(2, 100, 64))
    network.calibrate(x)
    network.forward(x, np.zeros((2, 100, 10)))
    for layer, direction in zip(network.layers, directions, strict=True):
        assert (np.abs(layer.z.var(axis=(1, 2)) - 1) < 0.01).all()
        np.testing.assert_allclose(layer.W / np.linalg.norm(layer.W, axis=(1, 2), keepdims=True), direction, atol=1e-14)


@pytest.mark.parametrize("normalization", ["none", "batch_norm", "layer_norm"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_lsuv_calibrates_each_replica_as_if_alone(normalization, dropout):
    """Replica 1 is within the tolerance from the start, and not touched because replica 0 is not."""
    parts = {"normalization": normalization, "dropout": dropout}
    architecture = Architecture(6, 3, 4, 16, ACTIVATIONS["tanh"](), **parts)
    x = np.random.default_rng(9).normal(size=(2, 40, 6))

    def calibrated(theta, replicas):
        network = Network(architecture, len(replicas))
        network.theta[:] = theta[replicas]
        network.dropout_rngs = [np.random.default_rng(replica) for replica in replicas]
        network.calibrate(x[replicas])
        return network.theta, [rng.random() for rng in network.dropout_rngs]

    network = Network(architecture, 2)
    initialize(network, rngs(2), "lsuv")
    start = network.theta.copy()
    start[1] = 1.001 * calibrated(start, [1])[0][0]
    together, draws = calibrated(start, [0, 1])
    for replica in (0, 1):
        alone, draw = calibrated(start, [replica])
        assert np.array_equal(together[replica], alone[0])
        assert draws[replica] == draw[0]


def test_lsuv_leaves_silent_layers_alone():
    network = Network(Architecture(4, 2, 3, 5, ACTIVATIONS["relu"]()))
    network.calibrate(np.ones((1, 8, 4)))
    assert not network.theta.any()
