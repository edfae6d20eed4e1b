"""The figures: that what is drawn is what was measured, an exact zero included."""

import io

import numpy as np
import pandas as pd
import pytest

from backscope.analysis import figures
from backscope.analysis.drawing import render
from backscope.analysis.frames import cube
from backscope.tracking.trace import to_parquet

SMALL = "model.width=16 training.steps=10"


@pytest.fixture(scope="module")
def trace(run):
    """The trace of a run of these overrides."""
    return lambda overrides, replicas=1: pd.read_parquet(
        io.BytesIO(to_parquet(run(f"{SMALL} {overrides}", replicas=replicas)))
    )


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
    axes = figures.profile(made, steps=[0, 10]).axes[0]
    measured = cube(made, "grad_norm")
    for drawn, moment in zip(lines(axes, "o"), (0, -1), strict=True):
        assert np.array_equal(drawn[0], [1, 2, 3, 4, 5, 6])
        assert np.array_equal(drawn[1], np.median(measured.values[moment], axis=0))
    predicted = made[made["quantity"] == "theory/grad_norm"]["value"]
    assert [line.get_label() for line in axes.lines] == ["step 0", "step 10", "theory, step 0"]
    assert np.array_equal(axes.lines[2].get_ydata(), predicted)
    assert axes.get_yscale() == "log" and axes.get_xlim() == (0.5, 6.5)


def test_a_gradient_of_exactly_0_stands_in_a_row_below_all_others(trace):
    axes = figures.profile(trace("init=zeros activation=sigmoid model.depth=4"), steps=[0]).axes[0]
    (positive,), (zeros,) = lines(axes, "o"), lines(axes, ".")
    assert list(positive[0]) == [5] and list(zeros[0]) == [1, 2, 3, 4]
    assert zeros[1].max() < axes.get_yticks().min() < positive[1].min()
    assert "exactly 0" in [text.get_text() for text in axes.texts]


def test_the_heat_map_is_grey_where_the_gradient_is_exactly_0(trace):
    made = trace("init=zeros activation=sigmoid model.depth=4")
    axes = figures.heatmap(made).axes[0]
    colored, grey = axes.collections[:2]
    values = cube(made, "grad_norm").values[:, 0]
    assert np.array_equal(np.ma.getmaskarray(colored.get_array()), values == 0)
    assert np.array_equal(~np.ma.getmaskarray(grey.get_array()), values == 0)
    nothing = figures.heatmap(trace("init=zeros activation=tanh model.depth=4")).axes
    assert len(nothing) == 1 and nothing[0].texts[0].get_text() == "exactly 0 everywhere"


def test_distinct_neurons_are_one_in_a_symmetric_layer(trace):
    axes = figures.distinct_neurons(trace("init=constant activation=tanh model.depth=4"), 16).axes[0]
    for drawn in lines(axes)[:2]:
        assert np.array_equal(drawn, [[1, 2, 3, 4], [1, 1, 1, 1]])


def test_update_ratios_have_their_guide_at_one_thousandth(trace):
    axes = figures.update_ratio(trace("model.depth=4")).axes[0]
    guide = next(line for line in axes.lines if line.get_label() == "10⁻³")
    assert set(guide.get_ydata()) == {1e-3} and len(axes.lines) == 6


def test_curves_show_accuracy_for_classes_and_r2_for_numbers(trace):
    assert [axes.get_ylabel() for axes in figures.curves(trace("")).axes] == ["loss", "accuracy"]
    labels = [axes.get_ylabel() for axes in figures.curves(trace("data=diabetes loss=squared_error")).axes]
    assert labels == ["loss", "R²"]


@pytest.mark.parametrize(
    "overrides", ["model.depth=1 training.steps=0", "activation=relu model.depth=2", "probes.tier=none"]
)
def test_every_figure_of_a_run_is_a_file_and_always_the_same(trace, overrides):
    made = trace(overrides)
    drawn, again = figures.run_figures(made, 16), figures.run_figures(made, 16)
    assert "curves" in drawn and ("gradient_profile" in drawn) == ("tier=none" not in overrides)
    for name, figure in drawn.items():
        assert render(figure).startswith(b"\x89PNG")
        svg = render(figure, "svg")
        assert b"<svg" in svg and svg == render(again[name], "svg"), name
