"""Configurations: every option composes and trains; a sweep's jobs are composed as Hydra composes them."""

from dataclasses import replace

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import OmegaConf, flag_override

from backscope.app import measure
from backscope.config import CONF, Composer, check, compose, quiet
from backscope.config.composing import parse
from backscope.config.schema import GROUPS, parameters
from backscope.sweep import expand

SMALL = ("model.depth=2", "model.width=16", "training.steps=2", "tracking=none")
OPTIONS = [
    (group.name, option.stem)
    for group in CONF.iterdir()
    for option in sorted(group.glob("*.yaml"))
    if group.is_dir() and group.name not in ("hydra", "experiment")
]


@pytest.fixture
def loader():
    with quiet():
        yield ConfigLoaderImpl(create_config_search_path(str(CONF)))


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_trains_two_steps(group, option):
    record, verdict = measure(compose(*SMALL, f"{group}={option}"))
    assert record.scalars["train/loss"][0].tolist() == [0, 1, 2]
    assert verdict.name != "diverged"
    if group in GROUPS:
        assert getattr(record.config, group).name == option


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_every_run_of_every_experiment_is_allowed(loader, experiment):
    master = loader.load_configuration("config", [f"experiment={experiment}"], RunMode.MULTIRUN)
    swept = [f"{key}={values}" for key, values in (master.hydra.sweeper.params or {}).items()]
    composer = Composer(loader, master)
    _, jobs = expand([parse(each) for each in (*swept, f"experiment={experiment}")])
    configs = [check(composer(job)) for job, _ in jobs]
    assert {config.tracking.experiment for config in configs} == {experiment}
    assert len({config.hash() for config in configs}) == len(configs)


@pytest.mark.parametrize("group", GROUPS)
def test_options_are_those_of_the_registry(group):
    assert {option for folder, option in OPTIONS if folder == group} == set(GROUPS[group])


def test_parameters_come_from_signatures():
    assert list(parameters("optimizer", "momentum")) == ["lr", "momentum", "weight_decay"]
    assert "n_out" not in parameters("init", "normal")


def test_whole_numbers_are_real_where_real_numbers_are_meant():
    config = compose("optimizer.lr=1", "init=normal", "init.std=2")
    assert isinstance(config.optimizer["lr"], float) and isinstance(config.init["std"], float)
    assert config.hash() == compose("optimizer.lr=1.0", "init=normal", "init.std=2.0").hash()


def test_hash_ignores_only_tracking():
    config = compose()
    assert compose("tracking.experiment=elsewhere").hash() == config.hash()
    assert compose("seed=1").hash() != config.hash()
    assert replace(config, dtype="float32").hash() != config.hash()


def test_a_recorded_configuration_reads_back():
    config = compose("init=mean_field", "activation=leaky_relu", "schedule=cosine", "training.batch_size=null")
    assert check(OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(config)))) == config


JOBS = [
    ["init=he", "activation=relu", "model.depth=3", "optimizer=adam"],
    ["init=normal", "activation=tanh", "model.depth=4", "optimizer=sgd", "init.std=0.2", "optimizer.lr=1"],
    ["init=he", "activation=relu", "model.depth=2", "optimizer=momentum", "optimizer.momentum=0.5"],
    ["init=he", "activation=elu", "optimizer=sgd", "training.batch_size=null"],
    ["init=he", "activation=relu", "optimizer=sgd", "data=diabetes"],  # brings its own loss
    ["experiment=default_study", "init=zeros", "model.depth=8"],
    ["~schedule", "init=he"],
    [],
]


def test_jobs_are_composed_as_by_hydra(loader):
    master = loader.load_configuration("config", [], RunMode.MULTIRUN)
    composer = Composer(loader, master)
    for job in JOBS + JOBS:  # the second time from what the first left behind
        by_hydra = loader.load_sweep_config(master, job)
        with flag_override(by_hydra, ["struct", "readonly"], False):
            del by_hydra["hydra"]
        assert composer(job) == by_hydra, job
