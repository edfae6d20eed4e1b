"""What a network does beside its gradients: evaluation, statistics, dropout, skip connections, views, LSUV's moves."""

from itertools import product

import numpy as np
import pytest

from backscope.nn.activations import ACTIVATIONS
from backscope.nn.initializers import initialize
from backscope.nn.network import Architecture, Network


def network_of(replicas=2, seed=0, dtype=np.float64, **parts):
    parts = {"n_in": 5, "n_out": 3, "depth": 4, "width": 8, "activation": ACTIVATIONS["tanh"]()} | parts
    network = Network(Architecture(**parts), replicas, dtype)
    initialize(
        network,
        [np.random.default_rng(seed + replica) for replica in range(replicas)],
        "xavier",
        bias_std=0.3,
    )
    return network


def batch_of(replicas=2, samples=20, seed=1, n_in=5, n_out=3):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 2, (replicas, samples, n_in)), np.eye(n_out)[rng.integers(n_out, size=(replicas, samples))]


@pytest.mark.parametrize("normalization", ["none", "batch_norm", "layer_norm"])
@pytest.mark.parametrize("residual", ["none", "plain", "scaled", "zero"])
def test_parameters_and_gradients_are_two_flat_arrays_of_which_layers_hold_views(normalization, residual):
    network = network_of(normalization=normalization, residual=residual)
    sizes = [size for layer in network.layers for size in layer.sizes.values()]
    assert network.theta.shape == network.gradient.shape == (2, sum(sizes))
    for flat, prefix in ((network.theta, ""), (network.gradient, "d")):
        views = [getattr(layer, prefix + name) for layer in network.layers for name in layer.sizes]
        for number, view in enumerate(views, start=1):
            view[:] = number
        assert (flat > 0).all()
        assert [np.count_nonzero(flat == number) for number in range(1, len(views) + 1)] == [2 * s for s in sizes]
        stacks = [weights for stack in getattr(network, f"{prefix}W_stacks") for weights in stack.swapaxes(0, 1)]
        for layer, weights in zip(network.layers, stacks, strict=True):
            assert np.shares_memory(weights, flat) and weights.shape == (2, layer.sizes["W"])
            assert (weights == getattr(layer, f"{prefix}W")[0, 0, 0]).all()


@pytest.mark.parametrize(
    ("residual", "depth", "extra"),
    [("none", 3, 0), ("plain", 3, 0), ("scaled", 3, 0), ("zero", 3, 2), ("zero", 1, 0)],
)
def test_the_number_of_parameters(residual, depth, extra):
    network = network_of(depth=depth, residual=residual)
    assert network.theta.shape[1] == (5 + 1) * 8 + (depth - 1) * (8 + 1) * 8 + (8 + 1) * 3 + extra


@pytest.mark.parametrize("normalization", ["none", "batch_norm", "layer_norm"])
def test_prediction_is_the_forward_pass_of_evaluation_in_any_chunks(normalization):
    network = network_of(normalization=normalization, dropout=0.5)
    network.dropout_rngs = [np.random.default_rng(0), np.random.default_rng(1)]
    for seed in range(3):
        network.forward(*batch_of(samples=16, seed=seed))
    network.backward()
    x, y = batch_of(samples=37, seed=9)
    theta, gradient = network.theta.copy(), network.gradient.copy()
    chunked = network.predict(x)
    assert chunked.shape == (2, 37, 3)
    assert network.batch == 16
    assert np.array_equal(network.theta, theta) and np.array_equal(network.gradient, gradient)
    np.testing.assert_allclose(
        np.concatenate([network.predict(x[:, [i]]) for i in range(37)], axis=1), chunked, rtol=1e-12
    )
    network.forward(x, y, training=False)
    np.testing.assert_allclose(network.layers[-1].z, chunked, rtol=1e-12)


def test_batch_normalization_in_training():
    network = network_of(normalization="batch_norm")
    network.forward(*batch_of())
    for layer in network.layers[:-1]:
        np.testing.assert_allclose(layer.z.mean(axis=1), layer.b, atol=1e-14)
        np.testing.assert_allclose(layer.z.std(axis=1), 1, rtol=1e-3)  # up to ε = 1e-5


def test_layer_normalization_in_training_and_evaluation():
    network = network_of(normalization="layer_norm")
    for training in (True, False):
        network.forward(*batch_of(), training)
        for layer in network.layers[:-1]:
            z = layer.z - layer.b[:, None]
            np.testing.assert_allclose(z.mean(axis=2), 0, atol=1e-14)
            np.testing.assert_allclose(z.std(axis=2), 1, rtol=1e-2)


def test_running_statistics_average_the_batches_first_evenly_then_with_memory_nine_tenths():
    network = network_of(normalization="batch_norm")
    layer = network.layers[0]
    means, variances = [], []
    for seed in range(25):
        x, y = batch_of(seed=seed)
        z = x @ layer.W.mT
        means.append(z.mean(axis=1))
        variances.append(z.var(axis=1, ddof=1))
        network.forward(x, y)
        for kept, seen in ((layer.normalization.mean, means), (layer.normalization.variance, variances)):
            expected = np.mean(seen[:10], axis=0)
            for value in seen[10:]:
                expected = 0.9 * expected + 0.1 * value
            np.testing.assert_allclose(kept, expected, rtol=1e-10)
    before = layer.normalization.mean.copy(), layer.normalization.variance.copy()
    network.predict(x)
    network.forward(x, y, training=False)
    assert all(map(np.array_equal, (layer.normalization.mean, layer.normalization.variance), before))


def test_dropout_drops_its_share_scales_the_rest_and_draws_anew_each_time():
    network = network_of(dropout=0.25, width=100, residual="plain")
    network.dropout_rngs = [np.random.default_rng(0), np.random.default_rng(1)]
    x, y = batch_of(samples=200)
    masks = []
    for _ in range(2):
        network.forward(x, y)
        masks += [layer.mask[replica].copy() for layer in network.layers[:-1] for replica in range(2)]
    for mask in masks:
        np.testing.assert_allclose(np.unique(mask), [0, 4 / 3])
        share = (mask == 0).mean()
        assert abs(share - 0.25) < 5 * (0.25 * 0.75 / mask.size) ** 0.5
    assert len({mask.tobytes() for mask in masks}) == len(masks)  # every layer, replica and step has its own
    assert network.layers[-1].mask is None


def test_a_learned_branch_that_starts_at_zero_passes_its_input_on():
    network = network_of(residual="zero")
    network.forward(*batch_of())
    for layer in network.layers[1:-1]:
        assert np.array_equal(layer.a, network.layers[0].a)
    network.backward()
    for layer in network.layers[1:-1]:
        assert not layer.dW.any() and not layer.db.any() and layer.dscale.all()


@pytest.mark.parametrize(("residual", "scale"), [("plain", 1), ("scaled", 3**-0.5)])
def test_skip_connections_start_at_the_second_layer(residual, scale):
    network = network_of(residual=residual)
    network.forward(*batch_of())
    first, *rest = network.layers[:-1]
    assert np.array_equal(first.a, np.tanh(first.z))
    below = first
    for layer in rest:
        np.testing.assert_allclose(layer.a, below.a + scale * np.tanh(layer.z), rtol=1e-14)
        below = layer


def test_targets_and_inputs_may_change_after_the_forward_pass():
    """A batch's buffers are reused by the next one: a network must not look at them later."""
    network, (x, y) = network_of(), batch_of()
    network.forward(x, y)
    network.backward()
    expected = network.gradient.copy()
    network.forward(x, y)
    x.fill(np.nan)
    y.fill(np.nan)
    network.backward()
    assert np.array_equal(network.gradient, expected)


@pytest.mark.parametrize("normalization", ["none", "batch_norm", "layer_norm"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("width", [1, 3, 16, 33])
def test_a_replica_does_not_depend_on_how_many_others_there_are(normalization, dtype, width):
    """BLAS rounds differently with the shape, and for small ones with the strides, which R is a part of."""
    for batch, (n_in, n_out) in product([1, 2, 3, 4, 7, 15, 16, 17, 33], [(1, 1), (5, 3), (64, 10)]):
        if batch == 1 and normalization == "batch_norm":
            continue
        parts = {"n_in": n_in, "n_out": n_out, "width": width, "depth": 2, "normalization": normalization}
        passes = []
        for seed, replicas in ((0, 3), (2, 1)):
            network = network_of(replicas, seed, dtype, residual="plain", loss="squared_error", **parts)
            x, y = batch_of(3, batch, n_in=n_in, n_out=n_out)
            passes.append((network.forward(x[-replicas:], y[-replicas:])[-1], network))
            network.backward()
        (loss, together), (same_loss, alone) = passes
        assert loss == same_loss
        assert np.array_equal(together.gradient[2], alone.gradient[0])
        assert np.array_equal(together.predict(x)[2], alone.predict(x[2:])[0])
