"""Bad input: one line that names the key, its value and what is allowed; status 2; nothing trained or tracked."""

import shutil
import subprocess
import sys
import time

import hydra
import pytest

from backscope import app
from backscope.__main__ import main
from backscope.config import CONF, ConfigError, check_values, errors
from backscope.config.schema import GROUPS, parameters

BAD = {
    # misspelt keys and names
    "model.dept=3": "model.dept: no such key; did you mean model.depth?",
    "activaton=relu": "activaton: no such key; did you mean activation?",
    "foo.bar=3": "foo.bar: no such key",
    "+foo=3": "foo: no such key",
    "+model.foo=3": "model.foo: no such key",
    "init.std=3": "init.std: no such key for the chosen init; it belongs to init=normal",
    "+init.std=3": "init.std: no such key for init=xavier",
    "activation=tanh +activation.beta=1": "activation.beta: no such key for activation=tanh, which takes no parameters",
    "optimizer.momentum=0.9": "it belongs to optimizer=momentum|nesterov",
    "init=xaviar": "init=xaviar: no such option; did you mean xavier?",
    "data=digit": "data=digit: no such option; did you mean digits?",
    "experiment=nope": "experiment=nope: no such option",
    "probes=all": "one of economy, full, none, standard",
    "hydra/launcher=nope": "hydra/launcher=nope: no such option",
    "hydra.foo=3": "hydra.foo: no such key",
    "tracking.series=[foo]": "grad_norm",
    # wrong types
    "model.depth=abc": "model.depth=abc: allowed is an integer in [1, 999]",
    "model.depth=2.5": "model.depth=2.5: allowed is an integer",
    "model.depth=null": "model.depth=null: allowed is an integer",
    "model.depth=true": "model.depth=true: allowed is an integer",
    "model.depth=[1,2]": "model.depth=[1,2]: allowed is an integer",
    "model=3": "model=3: allowed is set key by key",
    "init=null": "init=null: allowed is the name of an option",
    "~init": "init.name=null: allowed is one of zeros",
    "~init.gain": "init.gain=null: allowed is a finite number",
    "optimizer.lr=fast": "optimizer.lr=fast: allowed is a number > 0",
    "activation=step activation.straight_through=1": "activation.straight_through=1: allowed is true or false",
    "seed=abc": "seed=abc: allowed is an integer",
    "tracking.series=grad_norm": "tracking.series=grad_norm: allowed is a list",
    # impossible values
    "model.depth=-1": "model.depth=-1: allowed is an integer in [1, 999]",
    "model.depth=0": "model.depth=0: allowed is an integer in [1, 999]",
    "model.depth=99999999999999999999": "allowed is an integer in [1, 999]",
    "model.width=0": "model.width=0: allowed is an integer in [1, 16384]",
    "model.dropout=1": "allowed is a number in [0, 1)",
    "model.residual=sum": "model.residual=sum: allowed is one of none, plain, scaled, zero",
    "training.steps=-1": "training.steps=-1: allowed is an integer in [0,",
    "training.batch_size=0": "training.batch_size=0: allowed is an integer >= 1 or null",
    "training.clip_norm=0": "allowed is a number > 0 or null",
    "replicas=0": "replicas=0: allowed is an integer in [1, 4096]",
    "replicas=1000000": "replicas=1000000: allowed is an integer in [1, 4096]",
    "seed=-1": "seed=-1: allowed is an integer in [0,",
    "dtype=float16": "dtype=float16: allowed is one of float64, float32",
    "optimizer.lr=nan": "optimizer.lr=nan: allowed is a number > 0",
    "optimizer.lr=inf": "optimizer.lr=inf: allowed is a number > 0",
    "optimizer.lr=0": "allowed is a number > 0",
    "optimizer=momentum optimizer.momentum=1": "optimizer.momentum=1: allowed is a number in [0, 1)",
    "init=constant init.value=null": "init.value=null: allowed is a finite number",
    "init=constant init.value=nan": "init.value=nan: allowed is a finite number",
    "init=mean_field init.sigma_w2=-1": "init.sigma_w2=-1: allowed is a number >= 0",
    "data.test_fraction=1": "data.test_fraction=1: allowed is a number in (0, 1)",
    "schedule=step schedule.every=0": "schedule.every=0: allowed is an integer >= 1",
    # values that do not go together
    "data=diabetes loss=cross_entropy": "loss=cross_entropy: allowed is squared_error",
    "training.batch_size=5000": "training.batch_size=5000: allowed is null or 1 to 1437",
    "data.n_train=100000": "data.n_train=100000: allowed is 1 to 1437",
    "normalization=batch_norm training.batch_size=1": "training.batch_size=1: allowed is at least 2 with normalization",
    "init.zero_layers=[99]": "init.zero_layers=[99]: allowed is layers from 1 to 9",
    "model.width=16384 model.depth=999": "this machine's memory",
    # overrides that are none, code that is brought along
    "model.depth=[1,": "model.depth=[1,: not an override: allowed is key=value",
    "--nope": "unrecognized arguments: --nope",
    "foo": "foo: not an override: allowed is key=value",
    "optimizer.lr=${nothing}": "optimizer.lr: Interpolation key 'nothing' not found",
    "+init._target_=os.system": "+init._target_=os.system: not allowed",
    "+hydra.callbacks.x._target_=os.system": "not allowed",
    "+init={_target_:os.system}": "not allowed",
    # sweeps
    "init=normal,he": "init=normal,he: several values are a sweep: allowed is one value, or `backscope -m`",
    "-m init=xavier,nope": "init=nope: no such option",
    "-m model.depth=2,3,-1": "model.depth=-1: allowed is an integer in [1, 999]",
    "-m experiment=default_study,default_study": "allowed in a sweep is one value",
    "-m model.depth=interval(1,2)": "model.depth=interval(1,2): allowed is a list of values",
    "-m model.depth=range(1,999) seed=range(1,999)": "allowed in one sweep are 100,000",
    # stores
    "tracking.uri=ftp://x": "tracking.uri=ftp://x: not a tracking store; allowed: sqlite:///path.db",
    "tracking.uri=sqlite:////proc/nope/mlflow.db": "tracking.uri=sqlite:////proc/nope/mlflow.db: cannot be used",
    "-m tracking.uri=sqlite:////proc/nope/mlflow.db": "tracking.uri=sqlite:////proc/nope/mlflow.db: cannot be used",
}


@pytest.mark.parametrize(("arguments", "said"), BAD.items(), ids=BAD)
def test_one_line_and_status_2(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(app, "measure", lambda config: pytest.fail("it was trained"))
    store = [] if "tracking.uri" in arguments else [f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    assert main([*arguments.split(), *store]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("backscope: ") and captured.err.count("\n") == 1, captured.err
    assert said in captured.err and captured.out == ""
    assert list(tmp_path.iterdir()) == []


GLOBAL = "# @package _global_\n"
BAD_FILES = {
    "experiment/bad: seed: [1, 2\ndtype: float32": "bad.yaml: line 2, column 6: not YAML: expected ',' or ']'",
    "experiment/bad: seed: 1\nseed: 2": "bad.yaml: line 2, column 1: not YAML: found duplicate key seed",
    "experiment/bad: seed: 1": "bad.yaml: an experiment is a mapping, and begins with `# @package _global_`",
    f"experiment/bad: {GLOBAL}training: {{stepz: 40}}": "bad.yaml: training.stepz: no such key; did you mean",
    f"experiment/bad: {GLOBAL}modell: {{depth: 3}}": "bad.yaml: modell: no such key; did you mean model?",
    f"experiment/bad: {GLOBAL}training: {{steps: abc}}": "bad.yaml: training.steps=abc: allowed is an integer in [0, ",
    f"experiment/bad: {GLOBAL}training: {{steps: null}}": "bad.yaml: training.steps=null: allowed is an integer in [0,",
    f"experiment/bad: {GLOBAL}model: 3": "bad.yaml: experiment/bad: Merge error: int is not a subclass of Model",
    f"experiment/bad: {GLOBAL}hydra: {{mode: NOPE}}": "bad.yaml: hydra.mode=NOPE: Invalid value 'NOPE', expected",
    f"experiment/bad: {GLOBAL}defaults: 3": "Invalid defaults list in 'experiment/bad', defaults must be a list",
    "init/bad: name: [he": "bad.yaml: line 1, column 10: not YAML: expected ',' or ']'",
    "init/bad: name: hee": "init.name=hee: allowed is one of zeros",
    "tracking/bad: urii: x": "bad.yaml: tracking.urii: no such key; did you mean tracking.uri?",
}


@pytest.mark.parametrize("mode", ["", "-m"])
@pytest.mark.parametrize(("file", "said"), BAD_FILES.items(), ids=BAD_FILES)
def test_a_bad_file_is_named_in_one_line(file, said, mode, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [])
    folder = shutil.copytree(CONF, tmp_path / "conf")
    option, _, text = file.partition(": ")
    (folder / f"{option}.yaml").write_text(text)
    there = hydra.main(config_path=str(folder), config_name="config", version_base="1.3")
    monkeypatch.setattr(app, "hydra_main", there(app.hydra_main.__wrapped__))
    monkeypatch.setattr(errors, "CONF", folder)
    group, _, name = option.partition("/")
    assert main([*mode.split(), f"{group}={name}", *["tracking=none"] * (group != "tracking")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("backscope: ") and captured.err.count("\n") == 1 and captured.out == ""
    assert said in captured.err
    assert said[:4] != "bad." or f" {folder / option}.yaml: " in captured.err


def test_an_option_without_parameters_says_how_it_gets_one(monkeypatch):
    def swish(beta: float = 1.0):
        pass

    monkeypatch.setitem(GROUPS["activation"], "swish", swish)
    with pytest.raises(ConfigError, match=r"beta: no such key for it, which takes no parameters; .* such as Positive"):
        check_values("activation", {"beta": 1.0}, parameters("activation", "swish"), " for it")


def test_an_unreachable_server_is_refused_within_seconds(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    started = time.monotonic()
    assert main(["tracking.uri=http://127.0.0.1:9", "training.steps=0"]) == 2
    assert time.monotonic() - started < 15
    assert capsys.readouterr().err.startswith("backscope: tracking.uri=http://127.0.0.1:9: cannot be used")


@pytest.mark.parametrize("arguments", ["model.depth=-1", "-m model.depth=2,-1"])
def test_exit_status_of_the_command(arguments, tmp_path):
    command = [
        sys.executable,
        "-m",
        "backscope",
        *arguments.split(),
        f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "backscope: model.depth=-1: allowed is an integer in [1, 999]\n"
    assert list(tmp_path.iterdir()) == []
