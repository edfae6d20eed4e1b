"""Zero and constant weights fail to break the symmetry between the neurons of a layer: exactly, with `==`, on digits.

Exact for float64, one BLAS thread and widths that are multiples of 16: elsewhere rounding itself can break it.
"""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import entropy

from backscope.nn.activations import ACTIVATIONS

BASE = "model.width=16 model.depth=3 training.steps=30 probes=full probes.schedule=every probes.every=1"
FULL_BATCH = f"{BASE} training.batch_size=null data.n_train=500"
STRONG = "activation=tanh training.steps=300 training.batch_size=null data.n_train=500 optimizer.lr=0.5 probes=full"
VANISHING = [name for name, f in ACTIVATIONS.items() if f()(np.zeros(1))[0] == 0]  # f(0) = 0


def label_entropy(trainer):
    return entropy(np.bincount(trainer.datasets[0].y_train))


def moved(record):
    """Which layers' weights or biases differ from the zeros that they started from: (T, L)."""
    return (record.layers["neuron_spread"][:, 0] > 0) | (record.layers["weight_norm"][:, 0] > 0)


def assert_only_the_output_bias_moved(trained):
    *hidden, head = trained.network.layers
    for layer in hidden:
        assert not layer.W.any() and not layer.b.any()
    assert not head.W.any() and head.b.all()


# Everything zero and f(0) = 0: nothing but the output bias ever gets a gradient


@pytest.mark.parametrize("activation", VANISHING)
def test_zeros_stay_zero_where_f_of_zero_is_zero(trainer, activation):
    trained = trainer(f"{BASE} init=zeros activation={activation}")
    record = trained.run()
    assert (record.layers["grad_norm"] == 0.0).all()
    assert (record.layers["bias_grad_norm"][..., :-1] == 0.0).all()
    assert (record.layers["bias_grad_norm"][..., -1] > 0).all()
    assert_only_the_output_bias_moved(trained)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(
    "with_",
    [
        "model.dropout=0.2",
        "normalization=batch_norm",
        "normalization=layer_norm",
        "optimizer=adam",
        "optimizer=adam optimizer.eps=0",
        "optimizer=momentum",
        "optimizer=nesterov optimizer.weight_decay=0.1",
        "optimizer=adagrad",
        "optimizer=rmsprop",
        "optimizer=adamw",
        "training.clip_norm=0.1",
        "loss=squared_error",
        "model.residual=plain",
        "model.width=33 dtype=float32",  # zeros need no luck with rounding
    ],
)
def test_nothing_of_this_moves_the_zeros(trainer, activation, with_):
    trained = trainer(f"{BASE} init=zeros activation={activation} {with_}")
    record = trained.run()
    assert (record.layers["grad_norm"] == 0.0).all()
    assert_only_the_output_bias_moved(trained)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_loss_of_zeros_goes_to_the_entropy_of_the_labels(trainer, activation):
    trained = trainer(f"{FULL_BATCH} init=zeros activation={activation} optimizer.lr=2 training.steps=300 probes=none")
    record = trained.run()
    assert record.scalars["train/loss"][1][0] == pytest.approx(np.log(10))
    assert record.final("train/loss") == pytest.approx(label_entropy(trained), abs=1e-9)
    assert label_entropy(trained) < np.log(10) - 1e-4  # the classes are not quite of one size


def test_the_squared_error_of_zeros_goes_to_half_the_variance(trainer):
    trained = trainer(f"{FULL_BATCH} data=diabetes data.n_train=300 init=zeros training.steps=300 probes=none")
    y = trained.datasets[0].y_train
    assert trained.run().final("train/loss") == pytest.approx(0.5 * y.var(axis=0).sum(), abs=1e-12)


# Everything zero and f(0) ≠ 0: a wave from the top, and copies behind it


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
@pytest.mark.parametrize("depth", [1, 5])
@pytest.mark.parametrize("batch_size", ["null", 64])
def test_a_wave_moves_the_top_t_layers_in_t_steps(run, activation, depth, batch_size):
    record = run(
        f"{BASE} init=zeros activation={activation} model.depth={depth} training.batch_size={batch_size} "
        f"training.steps={depth + 5} optimizer.lr=0.5"
    )
    layers = depth + 1
    for t, has_moved in enumerate(moved(record)):
        assert has_moved.tolist() == [layer >= layers - t for layer in range(layers)]
    hidden = {name: values[:, 0, :-1] for name, values in record.layers.items()}
    assert (hidden["distinct_neurons"] == 1).all() and (hidden["neuron_spread"] == 0.0).all()
    assert (record.layers["weight_rank"][:, 0] == moved(record)).all()  # 1 behind the front, 0 before it


# Constant weights: every neuron of a layer is the same neuron


@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_constant_weights_stay_one_neuron_a_layer(run, width, activation):
    every = "training.steps=200 probes.every=20"
    assert_one_neuron(run(f"{BASE} {every} init=constant init.value=0.1 model.width={width} activation={activation}"))


@pytest.mark.parametrize(
    "with_",
    [
        "optimizer=momentum",
        "optimizer=adam optimizer.lr=0.01",
        "training.clip_norm=0.1",
        "normalization=batch_norm",
        "model.residual=plain",
        "loss=squared_error",
        "training.batch_size=null",
        "training.batch_size=null model.width=64",  # 1437 samples, no multiple of what a kernel takes at a time
        "training.batch_size=250 model.width=128 activation=relu",
        "schedule=cosine schedule.warmup=10",
        "optimizer.weight_decay=0.01",
    ],
)
def test_nothing_of_this_tells_constant_neurons_apart(run, with_):
    assert_one_neuron(run(f"{BASE} init=constant init.value=0.1 training.steps=100 probes.every=5 {with_}"))


def assert_one_neuron(record):
    hidden = {name: values[:, 0, :-1] for name, values in record.layers.items()}
    assert (hidden["distinct_neurons"] == 1).all()
    assert (hidden["neuron_spread"] == 0.0).all()
    assert (record.layers["weight_rank"] == 1).all()  # of the head too: its columns are the same
    assert (hidden["update_ratio"][:-1] > 0).any(axis=0).all()  # though all of them move


def test_constant_weights_learn_a_little(run):
    constant, glorot = (
        run(f"init={init} model.depth=2 optimizer=adam optimizer.lr=0.01 probes=none").final("test/accuracy")
        for init in ("constant init.value=0.1", "xavier")
    )
    assert 0.15 < constant < 0.6 < 0.9 < glorot


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_layer_normalization_freezes_constant_weights(trainer, activation):
    """Equal features minus their mean are 0, or rounding, whatever the input: nothing passes, forward or backward."""
    trained = trainer(f"{BASE} init=constant init.value=0.1 activation={activation} normalization=layer_norm")
    record = trained.run()
    assert (record.layers["grad_norm"][..., :-1] < 1e-12).all()
    assert (record.layers["neuron_spread"][..., :-1] == 0.0).all()
    for layer in trained.network.layers[:-1]:
        np.testing.assert_allclose(layer.W, 0.1, rtol=1e-12)
    outputs = trained.network.predict(trained.datasets[0].x_test[None])
    np.testing.assert_allclose(outputs, outputs[:, :1] + 0 * outputs, rtol=1e-9, atol=1e-9)
    assert record.final("train/accuracy") < 0.12


# What breaks the symmetry, and what does not


@pytest.mark.parametrize(
    "overrides",
    [
        "init=xavier",
        "init=zeros init.bias_std=0.5",
        "init=zeros init.bias_std=0.5 activation=relu",
        "init=constant init.value=0.1 model.dropout=0.2",
        "init=constant init.value=0.1 init.bias_std=0.1",
        "init=zeros activation=sigmoid model.dropout=0.2 optimizer=adam optimizer.lr=0.02",
        "init=xavier init.zero_layers=[1] model.depth=1",
        "init=xavier init.zero_layers=[2] model.depth=1",
    ],
)
def test_random_numbers_anywhere_break_the_symmetry(trainer, overrides):
    trained = trainer(f"{STRONG} model.width=16 model.depth=2 {overrides}")
    record = trained.run()
    assert (record.layers["distinct_neurons"][-1, 0, :-1] > 12).all()
    assert record.final("train/full_loss") < label_entropy(trained) - 0.5


@pytest.mark.parametrize("zero_layers", [list(pair) for pair in combinations([1, 2, 3], 2)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_two_zero_matrices_in_a_row_of_three_leave_no_way_for_the_input(trainer, zero_layers, activation):
    """The zeros stay, and so does the random matrix where they cut it off; the outputs are the same for every input."""
    layers = str(zero_layers).replace(" ", "")
    trained = trainer(
        f"{STRONG} activation={activation} init=xavier init.zero_layers={layers} model.depth=2 model.width=16"
    )
    record = trained.run()
    assert (record.layers["grad_norm"][..., :2] == 0.0).all()
    outputs = trained.network.predict(trained.datasets[0].x_train[None])
    assert (outputs == outputs[:, :1]).all()
    assert record.final("train/full_loss") >= label_entropy(trained) - 1e-12
