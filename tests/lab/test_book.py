"""The lab book: every page is right, figures are drawn, and one small real sweep goes through the command."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from backscope.config import ROOT, compose
from backscope.lab import book, figures, sweeps
from backscope.lab.__main__ import main
from backscope.lab.book import names
from backscope.lab.claims import evaluate, read
from backscope.lab.measures import OF_RUN, OF_RUNS
from backscope.lab.predictions import PREDICTIONS
from backscope.lab.registry import LabError


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
def test_figures_are_drawn(config, node, make):
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


def test_readme_keeps_what_a_person_wrote(tmp_path, monkeypatch, config, make, claim):
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
