"""Every probe of the registry: its shape, a second, naive way to the same number, and no trace left."""

import statistics
from itertools import combinations, pairwise
from math import hypot, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import qr

from backscope.nn.activations import ACTIVATIONS
from backscope.nn.network import Architecture, Network
from backscope.nn.optimizers import OPTIMIZERS
from backscope.probes import INSTRUMENTS, PROBES, TIERS, moments, of_tier

every_probe = pytest.mark.parametrize("name", PROBES)


def slope(layer, r):
    """f′(z) of a replica, by differences."""
    z = layer.z[r].astype(float)
    return (layer.activation(z + 1e-6) - layer.activation(z - 1e-6)) / 2e-6


def saturation(layer, r, before):
    if not layer.activation.bounded:
        return nan
    steepest = np.diff(layer.activation(np.array([-1e-6, 1e-6])))[0] / 2e-6
    return statistics.fmean(abs(s) < 0.05 * steepest for s in slope(layer, r).flat)


def neurons(layer, r):
    """(incoming row, bias) of each neuron."""
    return [np.append(row, bias).astype(float) for row, bias in zip(layer.W[r], layer.b[r], strict=True)]


def clusters(rows):
    """How many groups of rows there are, when rows no further apart than 10⁻⁹ of the largest number are linked."""
    limit = 1e-9 * max(np.abs(row).max() for row in rows)
    group = list(range(len(rows)))
    for i, j in combinations(group[:], 2):
        if np.abs(rows[i] - rows[j]).max() <= limit:
            group = [group[i] if g == group[j] else g for g in group]
    return len(set(group))


def rank(matrix):
    """Pivots of a rank-revealing QR that are not rounding."""
    pivots = np.abs(np.diag(qr(matrix, pivoting=True)[1]))
    return sum(pivots > 1e3 * np.finfo(matrix.dtype).eps * pivots[0])


def replica_spread(layer, r, before):
    if len(layer.W) == 1 or not layer.W.any():
        return nan
    entries = layer.W.reshape(len(layer.W), -1).T.astype(float).tolist()
    variance = statistics.fmean(map(statistics.pvariance, entries))
    return sqrt(variance / statistics.fmean(w * w for entry in entries for w in entry))


NAIVE = {  # (layer, replica, W before the update) → the quantity
    "grad_norm": lambda layer, r, before: hypot(*layer.dW[r].flat),
    "bias_grad_norm": lambda layer, r, before: hypot(*layer.db[r].flat),
    "delta_rms": lambda layer, r, before: hypot(*layer.delta[r].flat) / sqrt(layer.delta[r].size),
    "weight_norm": lambda layer, r, before: hypot(*layer.W[r].flat),
    "update_ratio": lambda layer, r, before: (
        hypot(*(layer.W[r] - before[r]).flat) / hypot(*layer.W[r].flat) if layer.W[r].any() else nan
    ),
    "activation_mean": lambda layer, r, before: statistics.fmean(layer.a[r].flat),
    "activation_std": lambda layer, r, before: statistics.pstdev(map(float, layer.a[r].flat)),
    "pre_activation_std": lambda layer, r, before: statistics.pstdev(map(float, layer.z[r].flat)),
    "saturation": saturation,
    "dead_units": lambda layer, r, before: statistics.fmean(not any(unit) for unit in slope(layer, r).T.tolist()),
    "distinct_neurons": lambda layer, r, before: clusters(neurons(layer, r)),
    "neuron_spread": lambda layer, r, before: max(
        (np.abs(one - other).max() for one, other in combinations(neurons(layer, r), 2)), default=0
    ),
    "weight_rank": lambda layer, r, before: rank(layer.W[r]),
    "mean_singular_value": lambda layer, r, before: (
        np.sqrt(np.abs(np.linalg.eigvalsh(layer.W[r].astype(float).T @ layer.W[r]))).sum() / min(layer.W[r].shape)
    ),
    "input_grad_rms": lambda layer, r, before: np.sqrt(
        np.square(np.einsum("bj,ji", layer.delta_in[r], layer.W[r]) + (layer.skip is not None and layer.back[r])).mean()
    ),
    "replica_spread": replica_spread,
}
OF_HIDDEN_LAYERS = {"activation_mean", "activation_std", "saturation", "dead_units"}
NETWORKS = {
    "tanh": {},
    "one replica": {"replicas": 1},
    "float32": {"dtype": np.float32, "replicas": 3},
    "dead ReLUs, dropout": {"activation": "relu", "init": {"name": "he", "bias_std": 2.0}, "dropout": 0.3},
    "saturated": {"scale": 5.0, "init": {"name": "normal", "std": 2.0}},
    "sigmoid, batch norm, residual": {"activation": "sigmoid", "normalization": "batch_norm", "residual": "zero"},
    "erf, layer norm, residual": {"activation": "erf", "normalization": "layer_norm", "residual": "plain"},
    "softsign, one neuron": {"activation": "softsign", "width": 1},
    "step": {"activation": "step"},
    "zeros": {"init": {"name": "zeros"}},
    "constant": {"init": {"name": "constant", "value": 0.3}, "width": 16},
    "constant, random biases": {"init": {"name": "constant", "value": 0.3, "bias_std": 0.1}, "replicas": 3},
    "one sample": {"batch": 1},
}


def test_every_probe_has_a_second_way():
    assert NAIVE.keys() == PROBES.keys()


@every_probe
@pytest.mark.parametrize("case", NETWORKS)
def test_measures_what_its_name_says_and_leaves_no_trace(network_of, traces, name, case):
    network, probe = network_of(**NETWORKS[case]), PROBES[name]
    before = [layer.W.copy() for layer in network.layers]
    if probe.moment == "update":
        OPTIMIZERS["momentum"]().update(network.theta, network.gradient, 0.1)
    untouched = traces(network)
    with np.errstate(all="raise", under="ignore"):
        measured = probe.measure(network)
    assert traces(network) == untouched
    replicas, layers = len(network.theta), network.layers
    assert measured.shape == (replicas, len(layers))
    expected = [
        [
            NAIVE[name](layer, r, W) if layer is not layers[-1] or name not in OF_HIDDEN_LAYERS else nan
            for layer, W in zip(layers, before, strict=True)
        ]
        for r in range(replicas)
    ]
    tolerance = 1e-12 if network.theta.dtype == np.float64 else 3e-6
    floor = 1e-7 if name == "mean_singular_value" else 1e-16  # squares lose half of the digits of what is nearly 0
    np.testing.assert_allclose(measured, expected, rtol=tolerance if floor == 1e-16 else 1e-6, atol=floor)


@pytest.mark.parametrize(
    ("case", "name", "values"),  # of the hidden layers
    [
        ("dead ReLUs, dropout", "dead_units", lambda share: share.max() > 0.3 > 0.2 > share.min()),
        ("saturated", "saturation", lambda share: (share > 0.5) & (share <= 1)),
        ("step", "dead_units", lambda share: share == 1),
        ("zeros", "distinct_neurons", lambda count: count == 1),
        ("zeros", "weight_rank", lambda rank: rank == 0),
        ("constant", "distinct_neurons", lambda count: count == 1),
        ("constant", "weight_rank", lambda rank: rank == 1),
        ("constant, random biases", "distinct_neurons", lambda count: count == 7),
        ("tanh", "distinct_neurons", lambda count: count == 7),
    ],
)
def test_the_networks_above_have_what_is_to_be_measured(network_of, case, name, values):
    assert values(PROBES[name].measure(network_of(**NETWORKS[case]))[:, :-1]).all()


@given(
    prototypes=st.lists(st.lists(st.integers(-5, 5), min_size=4, max_size=4), min_size=1, max_size=5),
    choice=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    power=st.integers(-12, 6),
    jitter=st.sampled_from([0.0, 1e-12]),
)
def test_distinct_neurons_counts_as_a_comparison_of_all_pairs_does(prototypes, choice, power, jitter):
    rows = np.array([prototypes[index % len(prototypes)] for index in choice], float)
    rows *= 1 + jitter * np.random.default_rng(0).uniform(-1, 1, rows.shape)
    rows *= 10.0**power
    network = Network(Architecture(3, 2, 1, len(rows), ACTIVATIONS["tanh"]()), replicas=2)
    layer = network.layers[0]
    layer.W[1], layer.b[1] = rows[:, :3], rows[:, 3]  # the other replica stays at zero
    assert PROBES["distinct_neurons"].measure(network)[:, 0].tolist() == [1, clusters(list(rows))]


def test_tiers_contain_each_other():
    names = [{probe.name for probe in of_tier(tier)} for tier in TIERS]
    assert TIERS[0] == "none" and names[0] == set()
    assert all(less < more for less, more in pairwise(names))
    assert names[-1] == PROBES.keys()


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 200, 100_000])
@pytest.mark.parametrize("points", [1, 2, 3, 15])
def test_log_spaced_moments(steps, points):
    found = moments(steps, "log", points)
    assert found[0] == 0 and found[-1] == steps
    assert found == sorted(set(found))
    assert len(found) <= max(points, 2)
    assert all(type(moment) is int for moment in found)


@pytest.mark.parametrize(
    ("steps", "every", "expected"), [(10, 5, [0, 5, 10]), (3, 1, [0, 1, 2, 3]), (4, 9, [0, 4]), (0, 3, [0])]
)
def test_moments_every_so_many_steps(steps, every, expected):
    assert moments(steps, "every", every=every) == expected


@pytest.mark.parametrize("measure", [*PROBES.values(), *INSTRUMENTS.values()], ids=lambda measure: measure.name)
def test_a_replica_that_is_not_finite_hides_no_other(network_of, measure):
    """Decompositions refuse NaN and infinity, and would end a run in which one replica of many diverged."""
    if measure is PROBES["replica_spread"]:
        return  # is about all replicas together
    whole = network_of(replicas=3)
    for value in (np.nan, np.inf):
        broken = network_of(replicas=3)
        broken.theta[1], broken.gradient[1] = value, value
        for layer in broken.layers:
            layer.z[1], layer.a[1], layer.delta[1] = value, value, value
        with np.errstate(all="ignore"):
            found, expected = ({"": m} if not isinstance(m, dict) else m for m in map(measure.measure, (broken, whole)))
        for name in found.keys() - {"seconds/backpropagation", "seconds/finite_differences"}:
            assert np.array_equal(found[name][[0, 2]], expected[name][[0, 2]], equal_nan=True)
