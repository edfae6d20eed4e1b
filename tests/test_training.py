"""The training loop: what may not change a run, what is measured when, and what a step is."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from itertools import cycle, product

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from backscope.nn.activations import ACTIVATIONS
from backscope.nn.optimizers import OPTIMIZERS
from backscope.probes import INSTRUMENTS, PROBES
from backscope.training import Streams, train

SMALL = "model.depth=3 model.width=16 training.steps=12 training.batch_size=50 probes=full"
WITH_ALL = (
    f"{SMALL} normalization=batch_norm model.dropout=0.2 model.residual=zero optimizer=adam training.clip_norm=0.5 "
    "schedule=cosine schedule.warmup=4 init.bias_std=0.1"
)


def assert_same(one, other, r=slice(None), s=slice(None)):
    """Replicas r of one record and s of another agree in every bit: parameters, probes, scalars, divergence."""
    assert np.array_equal(one.theta[r], other.theta[s], equal_nan=True)
    assert np.array_equal(one.diverged_at[r], other.diverged_at[s])
    assert one.layers.keys() == other.layers.keys() and one.scalars.keys() == other.scalars.keys()
    assert np.array_equal(one.steps, other.steps)
    compared = set() if isinstance(r, slice) else {"replica_spread"}  # is about all replicas together
    for name in one.layers.keys() - compared:
        assert np.array_equal(one.layers[name][:, r], other.layers[name][:, s], equal_nan=True), name
    for name, (steps, values) in one.scalars.items():
        assert np.array_equal(steps, other.scalars[name][0])
        if not name.startswith(("seconds", "finite_differences")):
            assert np.array_equal(values[:, r], other.scalars[name][1][:, s], equal_nan=True), name


# What may not change a run


@pytest.mark.parametrize(
    "measuring",
    [
        "probes=economy",
        "probes=full",
        "probes=full probes.schedule=every probes.every=1",
        "training.evaluations=1",
        "training.evaluations=12",
        f"probes.extra=[{','.join(INSTRUMENTS)}]",
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_measuring_does_not_change_a_run(run, measuring, dtype):
    unobserved = run(f"{WITH_ALL} dtype={dtype} probes=none training.evaluations=2", replicas=2)
    observed = run(f"{WITH_ALL} dtype={dtype} {measuring}", replicas=2)
    assert unobserved.layers == {}
    assert np.array_equal(unobserved.theta, observed.theta)
    for name in ("train/loss", "train/full_loss", "test/loss"):
        assert np.array_equal(unobserved.final(name), observed.final(name))
    assert np.array_equal(unobserved.scalars["train/loss"][1], observed.scalars["train/loss"][1])


COMBINATIONS = [
    f"dtype={dtype} model.width={width} normalization={normalization} optimizer={optimizer} model.residual={residual} "
    f"model.dropout={dropout} activation={activation}"
    for (dtype, width, normalization), optimizer, residual, dropout, activation in zip(
        product(["float64", "float32"], [16, 33, 64], ["none", "batch_norm", "layer_norm"]),
        cycle(OPTIMIZERS),
        cycle(["none", "plain", "scaled", "zero"]),
        cycle([0, 0.2, 0.5]),
        cycle(ACTIVATIONS),
        strict=False,
    )
]


@pytest.mark.parametrize(
    "overrides",
    [
        *COMBINATIONS,
        "training.batch_size=null",
        "training.batch_size=1 training.steps=30",
        "training.batch_size=57 training.steps=60",  # several epochs with a remainder
        "init=lsuv activation=relu model.depth=6",
        "init=lsuv model.dropout=0.3 normalization=layer_norm",
        "init=mean_field init.sigma_b2=0.1 training.clip_norm=0.1",
        "init=orthogonal schedule=step schedule.every=5 schedule.warmup=3",
        "data=diabetes model.width=33",
        "data=moons model.width=1",
        "data=teacher loss=squared_error activation=gelu",
        "loss=linear",
        "probes.extra=[jacobian,sharpness,gradient_autocorrelation] training.steps=3 model.width=17",
        "init=he init.gain=3 activation=relu optimizer.lr=1",  # diverges
    ],
)
def test_replica_r_is_the_single_run_with_seed_s_plus_r(run, overrides):
    together = run(f"{SMALL} {overrides}", seed=5, replicas=3)
    for r in range(3):
        assert_same(together, run(f"{SMALL} {overrides}", seed=5 + r), r, 0)
    assert not np.array_equal(together.theta[0], together.theta[1])


def test_the_same_configuration_gives_the_same_run_here_and_in_another_process(trainer):
    mine = trainer(WITH_ALL, replicas=2)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        theirs = pool.submit(train, mine.config, mine.datasets)
        record = mine.run()
        assert_same(record, trainer(WITH_ALL, replicas=2).run())
        assert_same(record, theirs.result())


def test_random_streams_are_independent_and_all_depend_on_the_seed():
    names = [field.name for field in fields(Streams)]
    draws = {(seed, name): getattr(Streams.of(seed), name).random() for seed in range(4) for name in names}
    assert len(set(draws.values())) == len(draws) == 4 * len(names) > 4 * 3


@pytest.mark.parametrize(
    "change", ["training.batch_size=7", "model.dropout=0.5", "optimizer=adam", "loss=squared_error", "training.steps=0"]
)
def test_a_change_elsewhere_leaves_the_initial_weights_as_they_are(trainer, change):
    assert np.array_equal(trainer(SMALL).network.theta, trainer(f"{SMALL} {change}").network.theta)


@pytest.mark.parametrize("change", ["model.width=5", "init=he", "activation=relu", "model.dropout=0.5"])
def test_a_change_of_the_network_leaves_the_batches_as_they_are(trainer, change):
    one, other = trainer(SMALL).batches, trainer(f"{SMALL} {change}").batches
    for _ in range(40):
        assert all(map(np.array_equal, one.next(), other.next()))


# What a step is


def test_full_batch_training_measures_the_loss_of_the_training_set(run):
    record = run(f"{SMALL} training.batch_size=null")
    assert record.final("train/loss") == pytest.approx(record.final("train/full_loss"), rel=1e-12)


@pytest.mark.parametrize(
    ("schedule", "factor"), [("constant", lambda t: 1), ("step schedule.every=3", lambda t: 0.5 ** (t // 3))]
)
@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_a_run_is_gradient_descent_written_out(trainer, schedule, factor, clip_norm):
    overrides = (
        f"{SMALL} schedule={schedule} schedule.warmup=4 training.clip_norm={clip_norm or 'null'} optimizer.lr=0.2"
    )
    record, by_hand = trainer(overrides).run(), trainer(overrides)
    network, losses = by_hand.network, []
    for t in range(13):
        losses.append(network.forward(*by_hand.batches.next()))
        network.backward()
        if t == 12:
            break
        gradient = network.gradient[0]
        if clip_norm:
            gradient = gradient * min(1, clip_norm / np.linalg.norm(gradient))
        network.theta[0] -= 0.2 * min(1, (t + 1) / 4) * factor(t) * gradient
    np.testing.assert_allclose(record.theta, network.theta, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(record.scalars["train/loss"][1], losses, rtol=1e-12)


def test_training_learns(run):
    record = run("init=he activation=relu model.depth=2 training.steps=300 probes=none", replicas=2)
    assert (record.final("test/accuracy") > 0.94).all()
    assert (record.final("train/accuracy") > 0.98).all()


# What is measured when


def test_every_quantity_is_measured_at_every_moment_and_updates_where_there_is_one(run):
    record = run(f"{SMALL} training.steps=10 probes.schedule=every probes.every=4", replicas=2)
    assert record.steps.tolist() == [0, 4, 8, 10]
    assert list(record.layers) == list(PROBES)
    for name, values in record.layers.items():
        assert values.shape == (4, 2, 4) and values.dtype == float
        defined = np.isfinite(values)
        assert defined[:, :, 0].all(axis=1).tolist() == [True] * 3 + [PROBES[name].moment == "gradient"]
    for name, (steps, values) in record.scalars.items():
        assert values.shape == (len(steps), 2) and np.isfinite(values).all(), name
    assert record.scalars["train/loss"][0].tolist() == list(range(11))
    assert [record.scalars[f"test/{name}"][0][[0, -1]].tolist() for name in ("loss", "accuracy")] == [[0, 10]] * 2
    assert record.scalars["train/accuracy"][0].tolist() == record.scalars["train/full_loss"][0].tolist() == [10]
    assert np.isnan(record.final("never measured")).tolist() == [True, True]


def test_step_t_is_the_state_after_t_updates(run):
    """A probe at moment t of a long run measures what the last moment of a run of t steps does."""
    long = run(f"{SMALL} probes.schedule=every probes.every=1", replicas=2)
    for t in (0, 1, 5, 12):
        short = run(f"{SMALL} training.steps={t}", replicas=2)
        for name in set(PROBES) - {"update_ratio"}:
            assert np.array_equal(long.layers[name][t], short.layers[name][-1], equal_nan=True), name
        assert np.array_equal(long.scalars["train/loss"][1][t], short.final("train/loss"))
        assert t == 0 or np.isnan(short.layers["update_ratio"][-1]).all()


def test_no_steps_measures_the_initialization(trainer):
    untrained = trainer(f"{SMALL} training.steps=0")
    start = untrained.network.theta.copy()
    record = untrained.run()
    assert record.steps.tolist() == [0] and np.array_equal(record.theta, start)
    assert record.final("train/accuracy").shape == record.final("test/accuracy").shape == (1,)


def test_gradients_are_measured_before_clipping_and_updates_after(run):
    free, clipped = (run(f"{SMALL} training.steps=1 {clip}") for clip in ("", "training.clip_norm=0.01"))
    assert np.array_equal(free.layers["grad_norm"][0], clipped.layers["grad_norm"][0])
    moved = (clipped.layers["update_ratio"] * clipped.layers["weight_norm"][[1]])[0]
    gradients = clipped.layers["grad_norm"][0]
    total = np.sqrt((gradients**2 + clipped.layers["bias_grad_norm"][0] ** 2).sum())
    np.testing.assert_allclose(moved, 0.1 * 0.01 * gradients / total, rtol=1e-12)


@pytest.mark.parametrize(
    ("overrides", "name", "score"),
    [
        (
            "data=digits model.dropout=0.5 normalization=batch_norm",
            "accuracy",
            lambda y, z: accuracy_score(y, z.argmax(axis=1)),
        ),
        ("data=diabetes", "r2", r2_score),
    ],
)
def test_scores_are_those_of_evaluation_on_the_whole_set(trainer, overrides, name, score):
    trained = trainer(f"{SMALL} {overrides}", replicas=2)
    record = trained.run()
    for part in ("train", "test"):
        x = np.stack([getattr(data, f"x_{part}") for data in trained.datasets])
        outputs = trained.network.predict(x)
        expected = [score(getattr(data, f"y_{part}"), z) for data, z in zip(trained.datasets, outputs, strict=True)]
        np.testing.assert_allclose(record.final(f"{part}/{name}"), expected, rtol=1e-12)


def test_time_is_accounted_for(run):
    seconds = run(SMALL).seconds
    assert {"training", "probes", "evaluation"} < set(seconds)
    assert all(value > 0 for value in seconds.values())
    assert seconds.pop("total") == pytest.approx(sum(seconds.values()))


def test_lsuv_starts_with_unit_variance_in_thirty_layers_of_digits(run):
    record = run("init=lsuv activation=relu model.depth=30 training.steps=0 training.batch_size=null data.n_train=300")
    variance = record.layers["pre_activation_std"][0] ** 2
    assert ((variance > 0.94) & (variance < 1.08)).all()


# Divergence


def exploding(replica, size=1e200):
    """Inputs so large that this replica's loss overflows after an update or two."""

    def change(datasets):
        data = datasets[replica]
        with np.errstate(invalid="ignore"):  # ∞ · 0
            broken = replace(data, x_train=size * data.x_train)
        return [*datasets[:replica], broken, *datasets[replica + 1 :]]

    return change


@pytest.mark.parametrize("normalization", ["none", "batch_norm", "layer_norm"])
def test_a_diverged_replica_is_nan_from_that_step_on_and_the_others_go_on(run, normalization):
    overrides = f"{SMALL} activation=relu init=he normalization={normalization} probes.schedule=every probes.every=1"
    size = 1e200 if normalization == "none" else np.inf
    record = run(overrides, seed=2, replicas=3, change=exploding(1, size))
    step = record.diverged_at[1]
    assert 0 <= step <= 3 and record.diverged_at.tolist() == [-1, step, -1]
    for steps, values in [(record.steps, values) for values in record.layers.values()] + list(record.scalars.values()):
        assert np.isnan(values[steps >= step, 1]).all()
    losses = record.scalars["train/loss"][1]
    assert np.isfinite(losses[:step]).all() and np.isfinite(losses[:, [0, 2]]).all()
    for r in (0, 2):
        assert_same(record, run(overrides, seed=2 + r), r, 0)


@pytest.mark.parametrize(("overrides", "size", "first"), [("optimizer.lr=1e6", 1, 1), ("", np.inf, 0)])
def test_a_run_ends_when_all_replicas_have_diverged(run, overrides, size, first):
    record = run(f"{SMALL} activation=relu init=he training.steps=50 {overrides}", change=exploding(0, size))
    (step,) = record.diverged_at
    assert first <= step <= first + 10
    steps, losses = record.scalars["train/loss"]
    assert steps[-1] == step and np.isnan(losses[-1]) and np.isfinite(losses[:-1]).all()
    assert (record.steps < step).all()
    assert all(len(values) == len(record.steps) for values in record.layers.values())


def test_nothing_infinite_is_recorded(run):
    record = run(f"{SMALL} activation=relu init=he optimizer.lr=1e6 probes.schedule=every probes.every=1", replicas=2)
    assert (record.diverged_at > 0).all()
    for values in [*record.layers.values(), *(values for _, values in record.scalars.values())]:
        assert not np.isinf(values).any()
