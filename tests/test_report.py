"""The report of a sweep: that it says what was tracked, whatever was swept, and that no name can do harm in it."""

import io
import json
import re
from html.parser import HTMLParser
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backscope.analysis.diagnosis import diagnose
from backscope.analysis.frames import cube, varying
from backscope.analysis.report import page, study
from backscope.analysis.report.configurations import configurations
from backscope.analysis.report.grid import grid
from backscope.tracking import reader, sweeps
from backscope.tracking.recorder import flatten
from backscope.tracking.trace import to_parquet

SMALL = "model.width=16 training.steps=10"
NASTY = """</script><script>alert(1)</script>"'&<b onclick="x">{{ 7*7 }}"""
BASIC = {"init": ["zeros", "xavier"], "activation": ["tanh", "sigmoid"], "model.depth": [2, 6]}


class Page(HTMLParser):
    """What a page says, its elements, and the data of its script."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.words, self.data, self.inside = [], [], "", []
        self.feed(content.decode())
        self.data = json.loads(self.data)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tag, attributes = self.inside[-1] if self.inside else ("", {})
        if attributes.get("id") == "data":
            self.data += data
        elif tag not in ("script", "style"):
            self.words.append(data)

    def all(self, tag, **attributes):
        """The attributes of elements of this kind that have these."""
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]


@pytest.fixture(scope="module")
def sweep(run):
    """sweep({"init": ["he"], "model.depth": [2, 4]}, "fixed=choice", replicas=2): the study of these runs."""

    def sweep(axes, fixed="", replicas=1, name=" · ".join):
        rows, traces = [], {}
        for number, point in enumerate(product(*axes.values())):
            chosen = dict(zip(axes, point, strict=True))
            overrides = [f"{key}={value}" for key, value in chosen.items()]
            seed = int(chosen.pop("seed", 0))
            choices = " ".join([SMALL, fixed, *(f"{key}={value}" for key, value in chosen.items())])
            record = run(choices, seed, replicas)
            verdict, run_id = diagnose(record), f"{number:032x}"
            numbers = {f"summary/{key}": value for key, value in verdict.numbers.items()}
            for key in ("test/accuracy", "test/r2", "test/loss"):
                if key in record.scalars and np.isfinite(record.final(key)).any():
                    numbers["summary/" + key.replace("/", "_")] = np.nanmedian(record.final(key))
            labels = {"name": name(map(str, point)), "verdict": verdict.name, "evidence": verdict.evidence}
            labels |= {"status": "FINISHED", "artifacts": "", "version.numpy": "2.0", "blas": "openblas"}
            labels["overrides"] = " ".join(overrides)
            rows.append({"run_id": run_id} | labels | flatten(record.config) | numbers)
            traces[run_id] = pd.read_parquet(io.BytesIO(to_parquet(record)))
        return of(pd.DataFrame(rows).set_index("run_id"), traces, axes)

    return sweep


@pytest.fixture(scope="module")
def basic(sweep):
    """A small sweep of three choices."""
    return sweep(BASIC)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Without the second that it takes to bundle Vega."""
    monkeypatch.setattr(page, "BUNDLE", "print('window.vegaEmbed = null</script>')")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def of(runs, traces, axes, title="a sweep", uri="sqlite:////lab/mlflow.db"):
    """The study of these runs."""
    given = json.dumps({key: list(map(str, values)) for key, values in axes.items()})
    info = SimpleNamespace(run_name=title, experiment_id="7", start_time=1_767_000_000_000)
    tags = {"sweep_id": "20260101-abcd", sweeps.AXES: given, sweeps.JOBS: str(len(runs))}
    parent = SimpleNamespace(info=info, data=SimpleNamespace(tags=tags))
    return study.Study(parent, title, uri, study._completed(runs.apply(reader.numeric)), traces)


def test_what_varies_names_before_numbers_in_the_order_given(basic):
    assert varying(basic.runs) == ["init.name", "activation.name", "model.depth"]
    assert [(axis.label, axis.values) for axis in basic.axes] == [
        ("init", ["zeros", "xavier"]),
        ("activation", ["tanh", "sigmoid"]),
        ("depth", [2, 6]),
    ]


def test_the_page_says_the_verdict_of_every_run_with_its_evidence(basic):
    made = Page(page.render(basic))
    for _, run in basic.runs.iterrows():
        assert run["evidence"] in made.text
    assert made.data["verdicts"] == basic.runs["verdict"].tolist()
    cells = grid(basic.axes, configurations(basic))
    assert len(made.all("button", type="button")) > len(basic.runs)
    assert [each["class"] for each in made.all("button") if "data-configuration" in each] == [
        f"v-{basic.runs['verdict'].iloc[cells.cells[i, j]]}" for i in range(2) for j in range(4)
    ]
    assert "symmetric" in made.text and "4 runs, only with init zeros" in made.text
    assert "one seed a configuration" in made.text


def test_every_number_in_the_heat_maps_is_that_of_the_run(basic):
    data = Page(page.render(basic)).data
    for name, shown in (("grad_ratio", np.log10), ("delta_ratio", np.log10), ("test_accuracy", float)):
        for cell, value in zip(data["maps"][name], basic.runs[f"summary/{name}"], strict=True):
            if np.isnan(value):
                assert cell is None
            elif value > 0 or "ratio" not in name:
                assert cell["value"] == pytest.approx(shown(value), rel=1e-3)
            else:
                assert cell["exact"] and cell["value"] is None and cell["text"] == "0"


def test_profiles_are_the_trace_with_theory_and_a_row_for_exact_zeros(basic):
    data = Page(page.render(basic)).data
    kinds = set()
    for index, lines in data["lines"]["profiles"].items():
        trace = basic.traces[basic.runs.index[int(index)]]
        expected = {
            ("at initialization", False): cube(trace, "grad_norm").values[0, 0],
            ("at the last step", False): cube(trace, "grad_norm").values[-1, 0],
        }
        if (trace["quantity"] == "theory/grad_norm").any():
            expected["at initialization", True] = cube(trace, "theory/grad_norm").values[0, 0]
        assert {(line["moment"], line["theory"]) for line in lines} == set(expected)
        for line in lines:
            values = expected[line["moment"], line["theory"]]
            drawn = [10**y if y is not None else 0 for y in line["y"]]
            assert drawn == pytest.approx(values, rel=5e-3)
            assert line.get("zeros", []) == [x for x, value in zip(line["x"], values, strict=True) if value == 0]
            kinds.add((line["theory"], "zeros" in line))
    assert kinds >= {(False, True), (False, False), (True, False)}
    assert data["zeros"]["profiles"]["0"] is not None and data["zeros"]["profiles"]["1"] is None


def test_no_name_does_harm(sweep):
    study_ = sweep({"init": ["he", "zeros"]}, name=lambda point: NASTY + next(point))
    study_.runs.loc[study_.runs.index[0], ["verdict", "evidence"]] = ["failed", f"ValueError: {NASTY}"]
    study_ = of(study_.runs, study_.traces, {"init": ["he", "zeros"]}, title=NASTY, uri="https://me:secret@lab:5000")
    content = page.render(study_)
    made = Page(content)
    assert b"<script>alert" not in content and b"<b onclick" not in content
    assert not [attributes for _, attributes in made.elements if "onclick" in attributes]
    assert NASTY in made.text and "49" not in made.text.replace(NASTY, "")
    assert content.count(b"</script>") == 3, "data, libraries and script; the bundle's own is escaped"
    assert b"secret" not in content
    links = [found["href"] for found in made.all("a") if not found["href"].startswith("#")]
    assert links and all(link.startswith("https://lab:5000/#/experiments/7/runs/0000") for link in links)


def test_the_page_asks_nothing_of_the_network(basic):
    made = Page(page.render(basic))
    policy = made.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'") and "http" not in policy
    assert not [found for _, found in made.elements if str(found.get("src", "")).strip()]
    assert all(found["href"] == "data:," for found in made.all("link"))


def test_the_command_repeats_the_sweep(basic):
    assert basic.command == "backscope -m init=zeros,xavier activation=tanh,sigmoid model.depth=2,6"
    less = study.Study(basic.parent, "", basic.uri, basic.runs.iloc[1:], basic.traces)
    assert less.command is None and less.unfinished == 1 and basic.unfinished == 0
    assert "1 of the sweep's runs are not here" in Page(page.render(less)).text


@pytest.mark.parametrize(
    ("axes", "fixed", "replicas", "said"),
    [
        ({"init": ["he", "xavier"]}, "model.depth=3", 1, "2 runs: init (2)"),
        ({"model.depth": [2, 3]}, "training.steps=0", 1, "2 runs: depth (2)"),
        ({"model.depth": [2, 4]}, "data=diabetes loss=squared_error", 1, "test R²"),
        ({"init": ["he", "lecun"], "model.depth": [2, 3]}, "", 3, "medians over 3 networks a configuration"),
        ({"init": ["he"], "seed": [0, 1, 2, 3, 4]}, "", 1, "5 runs: seed (5)"),
        ({"init": ["he", "lecun"], "seed": [0, 1, 2, 3, 4]}, "model.depth=2", 1, "a 90 % bootstrap interval"),
        ({"training.clip_norm": ["null", 1.0], "optimizer.lr": [0.1, 1e9]}, "data=diabetes", 2, "clip_norm null"),
        ({"init": ["he", "zeros"]}, "probes.tier=none", 1, "not probed"),
        ({"init": ["he"]}, "model.depth=1", 1, "1 runs: name (1)"),
    ],
)  # fmt: skip
def test_whatever_was_swept(sweep, axes, fixed, replicas, said):
    made = Page(page.render(sweep(axes, fixed, replicas)))
    assert said in made.text
    assert ("gradients by layer" in made.text.lower()) == ("none" not in fixed)
    json.dumps(made.data, allow_nan=False)


def test_seeds_are_networks_of_one_configuration(sweep):
    made = sweep({"init": ["he", "xavier"], "seed": [0, 1, 2, 3, 4]}, "model.depth=2")
    found = configurations(made)
    assert [each.rows for each in found] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    accuracy, known = found[0].number("test_accuracy"), made.runs["summary/test_accuracy"].iloc[:5]
    assert accuracy.median == known.median() and known.min() - 1e-9 < accuracy.low < accuracy.high < known.max() + 1e-9
    measured = np.concatenate([cube(made.traces[run], "grad_norm").values[0] for run in made.runs.index[:5]])
    profile = found[0].profile(0)
    assert np.array_equal(profile.middle, np.median(measured, axis=0)) and (profile.low < profile.high).all()


def test_a_sweep_in_which_all_failed_is_a_list_of_reasons(basic):
    names = ["name", "init.name", "model.depth"]
    failed = basic.runs[names].assign(status="FAILED", artifacts="", evidence="MemoryError: too large", replicas=1)
    failed.loc[failed.index[-1], ["status", "evidence"]] = ["KILLED", np.nan]
    made = Page(page.render(of(failed, {}, {})))
    assert made.text.count("MemoryError: too large") >= 7 and "killed before its end" in made.text
    assert set(made.data["verdicts"]) == {"failed"} and not made.data["maps"] and not made.data["lines"]


def test_the_last_attempt_at_a_configuration_counts(basic):
    again = basic.runs.iloc[[0, 1, 1]].assign(config_hash=["a", "b", "b"], status=["FINISHED", "FINISHED", "FAILED"])
    again.index = pd.Index(["first", "finished", "failed"], name="run_id")
    assert list(study._completed(again).index) == ["first", "finished"]
    assert list(study._completed(again.iloc[[0, 2]]).index) == ["first", "failed"]


def test_two_thousand_runs_are_all_in_the_table_and_fit(basic):
    depths, stds = range(2, 42), np.geomspace(0.01, 1, 50)
    points = [(depth, std) for depth in depths for std in stds]
    rows = basic.runs.iloc[[0] * 2000].reset_index(drop=True)
    rows = rows.assign(**{"model.depth": [d for d, _ in points], "init.std": [s for _, s in points]})
    rows = rows.assign(**{"init.name": "normal", "activation.name": "tanh", "overrides": ""})
    rows["summary/grad_ratio"] = np.geomspace(1e-9, 1e9, 2000)
    rows.index = pd.Index([f"{i:032x}" for i in range(2000)], name="run_id")
    trace = basic.traces[basic.runs.index[-1]]
    content = page.render(of(rows, dict.fromkeys(rows.index, trace), {}))
    made = Page(content)
    assert len(content) < 5e6
    assert len(made.all("tr")) > 2000 and "are left out here" in made.text
    assert len(made.data["panels"]) <= 12 and sum(map(len, made.data["panels"])) <= 100


def test_a_search_is_no_grid(basic):
    rng, count = np.random.default_rng(0), 30
    rows = basic.runs.iloc[[0] * count].assign(**{"optimizer.lr": rng.random(count), "init.gain": rng.random(count)})
    rows = rows.assign(**{"init.name": rng.choice(["he", "xavier"], count), "activation.name": "tanh"})
    rows.index = pd.Index([f"{i:032x}" for i in range(count)], name="run_id")
    trace = basic.traces[basic.runs.index[-1]]
    made = Page(page.render(of(rows, dict.fromkeys(rows.index, trace), {})))
    assert len(made.all("button", **{"class": f"v-{rows['verdict'].iloc[0]}"})) == count
    assert [len(inside) for inside in made.data["panels"]] == [1] * 12 and "18 of 30 configurations" in made.text


def test_columns_sort_by_what_their_cells_say(basic):
    made = Page(page.render(basic))
    headers = re.findall(r'data-column="\d+">([^<]*)<', page.render(basic).decode())
    assert headers == ["run", "init", "activation", "depth", "verdict", "log₁₀ ratio", "accuracy", "loss", "evidence"]
    ratios = made.data["columns"][headers.index("log₁₀ ratio")]
    for order, value in zip(ratios, basic.runs["summary/grad_ratio"], strict=True):
        assert (order is None) == np.isnan(value)
    assert made.data["columns"][headers.index("init")] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_vega_is_bundled_once(basic, monkeypatch, tmp_path):
    made = page.render(basic)
    assert b"vegaEmbed = null<\\/script>" in made
    (kept,) = (tmp_path / "backscope").iterdir()
    monkeypatch.setattr(page.subprocess, "run", None)
    assert page.render(basic) == made
    kept.unlink()
    with pytest.raises(TypeError):
        page.render(basic)
