"""The lab book's engine, on synthetic traces and on one small real sweep; and that every page of the book is right."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from backscope.config import ROOT, compose
from backscope.lab import book, figures, sweeps
from backscope.lab.__main__ import main
from backscope.lab.bands import Band, Tolerance
from backscope.lab.book import names
from backscope.lab.claims import Claim, evaluate, read
from backscope.lab.measures import OF_RUN, OF_RUNS
from backscope.lab.predictions import PREDICTIONS
from backscope.lab.registry import LabError
from backscope.lab.runs import Missing, Run, pooled
from backscope.theory import mean_field

WIDTH = 16


@pytest.fixture(scope="module")
def config():
    return compose("activation=tanh", "init=mean_field", "init.sigma_w2=1.5", f"model.width={WIDTH}", "model.depth=4")


def make(config, quantities, name="run", replicas=3):
    """A run with these values (T, R, L), or a number for all, at steps 0 and 200; scalars have L = 1 and layer 0."""
    rows = []
    for quantity, values in {"train/loss": 1.0, **quantities}.items():
        layers = [0] if "/" in quantity else range(1, config.model.depth + 2)
        values = np.broadcast_to(values, (2, replicas, len(layers)))
        for (t, replica, layer), value in np.ndenumerate(values):
            if not np.isnan(value):
                rows.append((quantity, (0, 200)[t], replica, list(layers)[layer], value))
    trace = pd.DataFrame(rows, columns=["quantity", "step", "replica", "layer", "value"])
    return Run(name, replace(config, replicas=replicas), trace)


def claim(**keys):
    return Claim.parse({"claim": "c", "source": "s", **keys})


def holds(runs, missing="", **keys):
    return evaluate(claim(**keys), runs, missing).holds


def test_band_and_prediction(config):
    run = make(config, {"grad_norm": 0.0, "test/accuracy": 0.9})
    assert holds([run], measure={"largest": {"quantity": "grad_norm"}}, expect="== 0")
    assert not holds([run], measure={"largest": {"quantity": "grad_norm"}}, expect="> 0")
    accuracy = {"mean": {"quantity": "test/accuracy"}}
    assert holds(
        [run], measure=accuracy, predict={"configured": {"key": "model.width", "factor": 0.9 / WIDTH}}, tolerance=0.01
    )
    assert not holds([run], measure=accuracy, predict={"configured": {"key": "model.width"}}, tolerance="3 %")


def test_a_wrong_prediction_fails_and_the_right_one_holds(config):
    chi = mean_field.chi_1(run_activation(config), 1.5, mean_field.fixed_point(run_activation(config), 1.5))
    delta = chi ** (np.arange(5)[::-1] / 2)
    run = make(config, {"delta_rms": delta})
    rate = {"rate": {"quantity": "delta_rms"}}
    assert holds([run], measure=rate, predict="chi_1", tolerance="0.1 %")
    assert not holds([run], measure=rate, predict="sigma_w2", tolerance="3 %")
    assert not holds(
        [run], measure={"rate": {"quantity": "delta_rms", "towards": "output"}}, predict="chi_1", tolerance="3 %"
    )


def run_activation(config):
    return make(config, {}).activation


def test_nan_fails_even_where_it_would_not_compare(config):
    for expect in ("== 0", "> -1e300", "< 1e300"):
        run = make(config, {"grad_norm": np.where(np.arange(5) == 2, np.nan, 0.0)})
        assert not holds([run], measure={"largest": {"quantity": "grad_norm"}}, expect=expect)


def test_missing_runs_fail(config):
    run, node = make(config, {"grad_norm": 0.0}), {"measure": {"largest": {"quantity": "grad_norm"}}, "expect": "== 0"}
    assert holds([run], **node)
    assert evaluate(claim(**node), [], "").reason.startswith("missing runs")
    assert evaluate(claim(**node), [run], "missing runs: 1 of 2 are there").reason.startswith("missing runs")
    assert evaluate(claim(where={"activation.name": "relu"}, **node), [run]).reason.startswith("missing runs")
    with pytest.raises(LabError, match=r"activation\.nam"):
        evaluate(claim(where={"activation.nam": "relu"}, **node), [run])


def test_what_was_not_measured_fails(config):
    run = make(config, {"grad_norm": 0.0})
    for measure in ({"largest": {"quantity": "weight_rank"}}, {"largest": {"quantity": "grad_norm", "steps": 7}},
                    {"largest": {"quantity": "grad_norm", "layers": 9}}):  # fmt: skip
        result = evaluate(claim(measure=measure, expect="== 0"), [run])
        assert not result.holds
        assert result.reason


def test_a_diverged_replica_has_no_value_at_the_end_nor_over_all_steps(config):
    loss = np.array([[1.0, 1.0, 1.0], [1.0, np.nan, 1.0]])[..., None]
    run = make(config, {"train/loss": loss, "grad_norm": 0.0})
    for steps in ("last", "all", "second half"):
        assert not holds([run], measure={"largest": {"quantity": "grad_norm", "steps": steps}}, expect="== 0")
    assert holds([run], measure={"largest": {"quantity": "grad_norm", "steps": "first"}}, expect="== 0")
    assert holds([run], measure="diverged_share", expect="in [.3, .4]")


def test_every_run_must_hold_and_the_worst_is_shown(config):
    runs = [
        make(replace(config, seed=10 * i), {"test/loss": loss}, f"run {i}") for i, loss in enumerate((0.1, 0.9, 0.5))
    ]
    result = evaluate(claim(measure={"mean": {"quantity": "test/loss"}}, expect="< 0.6"), runs)
    assert not result.holds
    assert result.worst.run == "run 1"
    assert holds([runs[0], runs[2]], measure={"mean": {"quantity": "test/loss"}}, expect="< 0.6")


def test_every_layer_must_hold(config):
    run = make(config, {"weight_rank": np.array([1.0, 1.0, 2.0, 1.0, 1.0])})
    assert not holds([run], measure={"profile": {"quantity": "weight_rank"}}, expect="== 1")
    assert holds([run], measure={"profile": {"quantity": "weight_rank", "layers": [1, 2]}}, expect="== 1")


def test_a_claim_cannot_compare_a_number_with_itself(config):
    runs = [make(replace(config, seed=seed), {"test/loss": 1.0}) for seed in (0, 10)]
    of = {"mean": {"quantity": "test/loss"}}
    both = {"ratio_between": {"of": of, "above": {"seed": 0}, "below": {"seed": [0, 10]}}}
    with pytest.raises(LabError, match="with itself"):
        evaluate(claim(measure=both, expect="in [.9, 1.1]"), runs)
    measure = {"ratio_between": {"of": of, "above": {"seed": 0}, "below": {"seed": 10}}}
    assert holds(runs, measure=measure, expect="in [.9, 1.1]")
    with pytest.raises(LabError, match="predict mean: unknown"):
        claim(measure=of, predict=of, tolerance=0)


def test_what_theory_predicted_is_no_measurement(config):
    run = make(config, {"delta_rms": 2.0})
    rows = [("theory/delta_rms", 0, 0, layer, 2.0) for layer in range(1, 6)]
    trace = pd.concat([run.trace, pd.DataFrame(rows, columns=run.trace.columns)])
    run = replace(run, trace=trace)
    assert not holds([run], measure={"largest": {"quantity": "theory/delta_rms"}}, expect="== 2")
    assert run.predicted("delta_rms", [2, 3]).tolist() == [2.0, 2.0]
    with pytest.raises(Missing):
        run.predicted("grad_norm", "all")


def test_standard_errors(config):
    values = np.array([0.9, 1.0, 1.1])[None, :, None]
    run = make(config, {"test/loss": values})
    one = {"configured": {"key": "model.width", "factor": 1.1 / WIDTH}}
    assert holds([run], measure={"mean": {"quantity": "test/loss"}}, predict=one, tolerance="2 SE")
    assert not holds([run], measure={"mean": {"quantity": "test/loss"}}, predict=one, tolerance="1.5 SE")
    with pytest.raises(LabError, match="no standard error"):
        evaluate(claim(measure={"median": {"quantity": "test/loss"}}, predict=one, tolerance="3 SE"), [run])


def test_runs_that_differ_in_their_seed_are_replicas_of_one(config):
    parts = [make(replace(config, seed=seed), {"test/loss": float(seed)}, f"wide · seed={seed}") for seed in (0, 3)]
    (whole,) = pooled(parts)
    assert whole.config.replicas == 6
    assert whole.name == "wide"
    assert whole.get("test/loss", steps="last").values.ravel().tolist() == [0, 0, 0, 3, 3, 3]
    with pytest.raises(LabError, match="share some of their seeds"):
        pooled([parts[0], make(replace(config, seed=2), {})])


def test_measures_across_runs(config):
    deep = [replace(config, model=replace(config.model, depth=depth)) for depth in (2, 4, 8)]
    runs = [make(each, {"test/loss": each.model.depth**2.0}) for each in deep]
    of = {"mean": {"quantity": "test/loss"}}
    assert holds(runs, measure={"slope": {"of": of, "key": "model.depth"}}, expect="in [1.999, 2.001]")
    assert holds(runs, measure={"crossing": {"of": of, "key": "model.depth", "level": 10}}, expect="in [2.9, 3.1]")
    assert not holds(runs, measure={"crossing": {"of": of, "key": "model.depth", "level": 1}}, expect="> 0")
    ratio = {"ratio_between": {"of": of, "above": {"model.depth": "> 7"}, "below": {"model.depth": 2}}}
    assert holds(runs, measure=ratio, expect="== 16")
    assert not holds(runs[:1], measure={"slope": {"of": of, "key": "model.depth"}}, expect="> 0")


def test_predictions_are_computed_from_the_configuration(config):
    wide = replace(config, model=replace(config.model, width=4 * WIDTH, depth=8))
    nodes = ({"log_norm_variance": {"layers": "hidden"}}, "squared_ratio_moment", "layers_reached", "dead_probability")
    assert not any(np.array_equal(predicted(config, node), predicted(wide, node)) for node in nodes)
    assert predicted(config, {"beta": {"layers": [1, -1]}}) == pytest.approx(5 * 3 / WIDTH)


def predicted(config, node):
    return PREDICTIONS.call(node)(config)


@pytest.mark.parametrize("name", ["normal", "uniform", "lecun", "xavier", "he", "orthogonal", "mean_field", "zeros"])
def test_sigma_w2_of_every_initializer(name):
    from backscope.lab.predictions.configured import sigma_w2_of

    config = compose(f"init={name}", f"model.width={WIDTH}", "init.gain=2")
    expected = {"normal": WIDTH * 1e-4, "uniform": 1 / 3, "he": 2.0, "zeros": 0.0}.get(name, 1.0)
    assert sigma_w2_of(config) == pytest.approx(4 * expected)


MEAN = {"mean": {"quantity": "x"}}
BAD = [
    ({}, "claim, measure and source are needed"),
    ({"measure": "rate"}, "needs either"),
    ({"measure": {"rat": {}}, "expect": "== 0"}, "did you mean rate"),
    ({"measure": {"rate": {}}, "expect": "== 0"}, "missing a required argument"),
    ({"measure": {"mean": {"quantity": "x", "layer": 1}}, "expect": "== 0"}, "unexpected"),
    ({"measure": MEAN, "expect": "about 1"}, "allowed are"),
    ({"measure": MEAN, "expect": "in [1, 0]"}, "allowed are"),
    ({"measure": MEAN, "predict": "chi_1"}, "tolerance"),
    ({"measure": MEAN, "predict": "chi_1", "tolerance": "3 parts"}, "3 SE"),
    ({"measure": MEAN, "predict": {"beta": {"factor": "-.5"}}, "tolerance": 1}, "a number"),
]


@pytest.mark.parametrize(("node", "message"), BAD)
def test_bad_claims_are_one_line(node, message):
    with pytest.raises(LabError, match=re.escape(message)) as error:
        claim(**node)
    assert "\n" not in str(error.value)


def test_bands_and_tolerances():
    assert Band.parse("in [-1, 1e-3]").holds(1e-3)
    assert not Band.parse("> 0").holds(float("nan"))
    assert str(Tolerance.parse("3 SE")) == "± 3 SE"
    assert str(Tolerance.parse(0)) == "exactly"


def test_layers_and_steps(config):
    run = make(config, {"grad_norm": np.arange(1.0, 6.0)})
    expected = {"all": [1, 2, 3, 4, 5], "hidden": [1, 2, 3, 4], "first": [1], "last": [4], "head": [5], -2: [3]}
    for layers, values in expected.items():
        assert run.get("grad_norm", layers, "first").values[0, 0].tolist() == values
    assert run.get("grad_norm", [2, -1], "first").layers.tolist() == [2, 3, 4]
    with pytest.raises(Missing):
        run.get("grad_norm", [3, 2], "first")


def test_every_measure_prediction_and_figure_says_what_it_is():
    for registry in (OF_RUN, OF_RUNS, PREDICTIONS, figures.FIGURES):
        for call, sentence in registry.lines():
            assert sentence.endswith((".", ":")) or len(sentence) > 20, call
    assert main(["--list"]) == 0


@pytest.mark.parametrize("name", names())
def test_pages_of_the_book(name):
    """Claims and figures parse, the sweep composes, and the README has its parts."""
    found = read(book.BOOK / name)
    figures.parse(found.figures)
    experiment = ROOT / "conf" / "experiment" / f"{name}.yaml"
    text = experiment.read_text()
    assert re.match(rf"# @package _global_\n# make (ablation NAME={name}|sweep)\b", text)
    node = yaml.safe_load(text)
    assert node["hydra"]["mode"] == "MULTIRUN"
    assert node["tracking"]["experiment"] == name
    assert compose(f"experiment={name}", *first_values(node["hydra"]["sweeper"]["params"]))
    readme = (book.BOOK / name / "README.md").read_text()
    headings = re.findall(r"^## (Question|Method|Reading|Traps)$", readme, re.MULTILINE)
    assert headings == ["Question", "Method", "Reading", "Traps"]
    assert book.question(readme)
    assert book.SUMMARY.search(readme), "not run yet"
    assert all(f"]({figure}.png)" in readme for figure in found.figures)


def first_values(params):
    """One point of a sweep, as overrides; `range` and `choice` sweeps are composed by the sweep itself."""
    plain = {key: str(value) for key, value in params.items() if "(" not in str(value)}
    return [f"{key}={value.split(',')[0]}" for key, value in plain.items()]


FIGURE_NODES = [
    {"profile": {"quantity": "delta_rms", "color": "model.depth", "rate": "chi_1"}},
    {"profile": {"quantity": "delta_rms", "moments": [0, 200], "layers": "all"}},
    {"curves": {"quantity": "test/accuracy", "color": "model.depth"}},
    {"against": {"key": "model.depth", "of": {"mean": {"quantity": "test/accuracy"}}, "predict": "chi_1"}},
    {"histogram": {"quantity": "delta_rms", "layers": [1, -1], "mean": {"beta": {}}, "variance": {"beta": {}}}},
    {"heatmap": {"x": "init.sigma_w2", "y": "model.depth", "of": {"mean": {"quantity": "test/accuracy"}}, "log_y": True,
                 "curve": {"depth_scale": {"factor": 6}}}},
]  # fmt: skip


@pytest.mark.parametrize("node", FIGURE_NODES, ids=lambda node: next(iter(node)))
def test_figures_are_drawn(config, node):
    runs = []
    for depth in (4, 6):
        for sigma_w2 in (1.0, 2.5):
            model, init = replace(config.model, depth=depth), type(config.init)({**config.init, "sigma_w2": sigma_w2})
            delta = np.random.default_rng(depth).uniform(0.1, 1, (2, 3, depth + 1))
            quantities = {"delta_rms": delta, "test/accuracy": sigma_w2 / depth}
            runs.append(make(replace(config, model=model, init=init), quantities))
    files = figures.draw(figures.parse({"picture": node}), runs)
    assert files["picture.png"].startswith(b"\x89PNG")
    assert files["picture.svg"].startswith(b"<?xml")
    assert figures.draw(figures.parse({"picture": node}), []) == {}


@pytest.mark.slow
def test_command(tmp_path, monkeypatch):
    """A small real sweep: the command holds; a wrong prediction, another claim and a deleted run make it fail."""
    page = tmp_path / "zero_init"
    page.mkdir()
    monkeypatch.setattr(book, "BOOK", tmp_path)
    uri = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    right = {"claim": "the loss ends at H(y)", "source": "derived", "measure": {"mean": {"quantity": "train/loss"}},
             "predict": "constant_predictor_loss", "tolerance": "10 %"}  # fmt: skip
    write(page, right)
    shape = ["init=zeros", "activation=tanh,relu", "normalization=none", "loss=cross_entropy", "optimizer=sgd"]
    assert main(["zero_init", uri, *shape, "data.n_train=50", "training.steps=5"]) == 0
    assert not (page / "README.md").exists()  # overrides: not the committed ablation
    write(page, right | {"predict": {"configured": {"key": "model.depth"}}})
    assert main(["zero_init", "--again", uri]) == 1
    write(page, right)
    assert main(["zero_init", "--again", uri]) == 0
    sweep = sweeps.load("zero_init", [uri])
    assert len(sweep.runs) == sweep.jobs == 2
    assert {"claims.md", "results.json"} <= {file.path for file in sweep.client.list_artifacts(sweep.parent)}
    experiment = sweep.client.get_experiment_by_name("zero_init").experiment_id
    children = sweep.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{sweep.parent}'")
    sweep.client.delete_run(children[0].info.run_id)
    assert main(["zero_init", "--again", uri]) == 1
    assert sweeps.load("zero_init", [uri]).missing == "missing runs: 1 of 2 are there"
    assert main(["zero_ini", uri]) == 2
    shutil.rmtree(page)


def write(page, *claims):
    (page / "claims.yaml").write_text(yaml.safe_dump({"claims": list(claims)}))


def test_readme_keeps_what_a_person_wrote(tmp_path, monkeypatch, config):
    monkeypatch.setattr(book, "BOOK", tmp_path)
    folder = tmp_path / "x"
    folder.mkdir()
    readme = folder / "README.md"
    readme.write_text(f"# x\n\n## Question\n\nWhy?\n\n{book.BEGIN}\nstale\n{book.END}\n\n## Reading\n\nBecause.\n")
    run = make(config, {"test/loss": 1.0})
    results = [evaluate(claim(measure={"mean": {"quantity": "test/loss"}}, expect="== 1"), [run])]
    made_with = {"version.numpy": "2.4", "cpu": "AMD EPYC", "git.dirty": "false"}
    book.write(book.Page("x", results, 1, 12.0, ["picture"], made_with), {"picture.png": b"png"})
    text = readme.read_text()
    assert "stale" not in text
    assert text.startswith("# x\n\n## Question\n\nWhy?\n\n<!-- results: begin -->")
    assert text.endswith("<!-- results: end -->\n\n## Reading\n\nBecause.\n")
    assert "**1 of 1 claims hold**, 1 runs in 12 s" in text and "Made with numpy 2.4, AMD EPYC (" in text
    committed = json.loads((folder / "results.json").read_text())
    assert committed["made with"] == made_with
    assert [each["measured value"] for each in committed["claims"]] == [1.0]
    book.write_index(["x"])
    assert "| [x](x/README.md) | Why? | all 1 hold | 1 | 12 s |" in (tmp_path / "README.md").read_text()
    readme.write_text("# x\n")
    with pytest.raises(LabError, match="between which results are written"):
        book.write(book.Page("x", results, 1, 12.0, []), {})
