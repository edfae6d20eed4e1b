"""The figures: that what is drawn is what was measured, an exact zero included."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from backscope.analysis import figures
from backscope.analysis.drawing import render
from backscope.analysis.frames import cube
from backscope.probes import PROBES
from backscope.tracking.trace import to_parquet

SMALL = "model.width=16 training.steps=10"


@pytest.fixture(scope="module")
def trace(run):
    """The trace of a run of these overrides."""
    return lambda overrides, replicas=1: pd.read_parquet(
        io.BytesIO(to_parquet(run(f"{SMALL} {overrides}", replicas=replicas)))
    )


def drawn(panel, trace, **options):
    """The axes on which a panel has drawn a trace, those of a colour bar after them."""
    figure = Figure()
    panel(figure.subplots(), trace, **options)
    return figure.axes


def lines(axes, marker=None):
    """The lines on axes, as pairs of x and y without gaps."""
    chosen = [line for line in axes.lines if marker is None or line.get_marker() == marker]
    return [np.asarray(line.get_xydata())[~np.isnan(line.get_ydata())].T for line in chosen]


def test_a_cube_is_the_record_and_its_moments_are_the_nearest(run, trace):
    record, measured = run(f"{SMALL} model.depth=3", replicas=2), cube(trace("model.depth=3", 2), "delta_rms")
    assert np.array_equal(measured.values, record.layers["delta_rms"])
    assert measured.at(10**6).steps == [10] and measured.at(-1).steps == [0]
    with pytest.raises(KeyError, match="no_such was not measured; measured are activation_mean"):
        cube(trace("model.depth=3"), "no_such")


def test_the_profile_draws_the_median_of_every_layer_and_theory_dashed(trace):
    made = trace("init=he activation=relu model.depth=5", 3)
    axes = drawn(figures.profile, made, steps=[0, 10])[0]
    measured = cube(made, "grad_norm")
    for line, moment in zip(lines(axes, "o"), (0, -1), strict=True):
        assert np.array_equal(line[0], [1, 2, 3, 4, 5, 6])
        assert np.array_equal(line[1], np.median(measured.values[moment], axis=0))
    predicted = made[made["quantity"] == "theory/grad_norm"]["value"]
    assert [line.get_label() for line in axes.lines] == ["step 0", "step 10", "theory, step 0"]
    assert np.array_equal(axes.lines[2].get_ydata(), predicted)
    assert axes.get_yscale() == "log" and axes.get_xlim() == (0.5, 6.5)


def test_a_gradient_of_exactly_0_stands_in_a_row_below_all_others(trace):
    axes = drawn(figures.profile, trace("init=zeros activation=sigmoid model.depth=4"), steps=[0])[0]
    (positive,), (zeros,) = lines(axes, "o"), lines(axes, ".")
    assert list(positive[0]) == [5] and list(zeros[0]) == [1, 2, 3, 4]
    assert zeros[1].max() < axes.get_yticks().min() < positive[1].min()
    assert "exactly 0" in [text.get_text() for text in axes.texts]


def test_the_heat_map_is_grey_where_the_gradient_is_exactly_0(trace):
    made = trace("init=zeros activation=sigmoid model.depth=4")
    axes = drawn(figures.heatmap, made)[0]
    colored, grey = axes.collections[:2]
    values = cube(made, "grad_norm").values[:, 0]
    assert np.array_equal(np.ma.getmaskarray(colored.get_array()), values == 0)
    assert np.array_equal(~np.ma.getmaskarray(grey.get_array()), values == 0)
    nothing = drawn(figures.heatmap, trace("init=zeros activation=tanh model.depth=4"))
    assert len(nothing) == 1 and nothing[0].texts[0].get_text() == "exactly 0 everywhere"


def test_distinct_neurons_are_one_in_a_symmetric_layer(trace):
    axes = drawn(figures.distinct_neurons, trace("init=constant activation=tanh model.depth=4"), width=16)[0]
    for line in lines(axes)[:2]:
        assert np.array_equal(line, [[1, 2, 3, 4], [1, 1, 1, 1]])


def test_update_ratios_have_their_guide_at_one_thousandth(trace):
    axes = drawn(figures.update_ratio, trace("model.depth=4"))[0]
    guide = next(line for line in axes.lines if line.get_label() == "10⁻³")
    assert set(guide.get_ydata()) == {1e-3} and len(axes.lines) == 6


def test_what_passes_no_gradient_is_saturated_or_dead(trace):
    for overrides, name in (
        ("activation=tanh init=normal init.std=2", "saturation"),
        ("activation=relu", "dead_units"),
    ):
        made = trace(f"{overrides} model.depth=3")
        axes = drawn(figures.blocked, made)[0]
        measured = cube(made, name)
        assert np.array_equal(lines(axes)[0], [[1, 2, 3], measured.values[0, 0]])  # an exact 0, too, is a point
        assert axes.get_ylabel() == PROBES[name].title and axes.get_yscale() == "linear"


def test_the_overview_has_the_loss_and_the_gradients(trace):
    made = trace("model.depth=3")
    left, right = figures.overview(made).axes
    assert np.array_equal(lines(left)[0][1], cube(made, "train/loss").values[:, 0, 0])
    assert right.get_ylabel() == PROBES["grad_norm"].title
    assert len(figures.overview(trace("probes.tier=none")).axes) == 1


@pytest.mark.parametrize(
    ("overrides", "shown"),
    [
        ("model.depth=1 training.steps=0", {"gradients": 3, "activations": 3}),  # a heat map has a colour bar
        ("activation=relu model.depth=2", {"gradients": 4, "activations": 3}),
        ("init=he activation=relu model.depth=3 optimizer.lr=1e9", {"gradients": 4, "activations": 3}),
        ("probes.tier=economy", {"gradients": 4}),
        ("probes.tier=none", {}),
    ],
)
def test_every_figure_of_a_run_is_a_file_and_always_the_same(trace, overrides, shown):
    made = trace(overrides)
    found, again = figures.run_figures(made, 16), figures.run_figures(made, 16)
    assert {name: len(figure.axes) for name, figure in found.items()} == shown
    for name, figure in found.items():
        svg = render(figure, "svg")
        assert b"<svg" in svg and svg == render(again[name], "svg"), name
    files = figures.run_files(made, 16)
    assert set(files) == {f"figures/{name}.png" for name in shown}
    assert all(content.startswith(b"\x89PNG") for content in files.values())
