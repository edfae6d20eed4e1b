"""Hydra's part: where the YAML files are, and how a sweep's configurations are composed without composing each anew."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from backscope.config.checks import ConfigError, check
from backscope.config.schema import Config
from backscope.data import Source

ROOT = Path(__file__).resolve().parents[3]
CONF = ROOT / "conf"


def compose(*overrides: str, own: Source | None = None) -> Config:
    """The checked configuration that these overrides choose, of a network for one's own data if there are some.

    Hydra's global state stays as it is, so that this can be called from anywhere. Raises ConfigError or Hydra's
    exceptions for what is not allowed.

    >>> compose("init=he", "model.depth=3").init.name
    'he'
    """
    parsed = [parse(override) for override in overrides]
    for override in parsed:
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: several values are a sweep: allowed is one, or `backscope -m`")
    keys = frozenset(override.key_or_group for override in parsed if "." not in override.key_or_group)
    with quiet(), _version_base("1.3"):
        return check(_composer(keys)(overrides), own)


@cache
def _composer(keys: frozenset[str]) -> "Composer":
    """The composer for overrides with these keys, which from its second call on only copies."""
    return Composer(*_loaded())


@cache
def _loaded() -> tuple[ConfigLoaderImpl, DictConfig]:
    loader = ConfigLoaderImpl(create_config_search_path(str(CONF)))
    return loader, loader.load_configuration("config", [], RunMode.RUN)


@contextmanager
def _version_base(base: str) -> Iterator[None]:
    """Whatever version of Hydra's behaviour another program in this process has asked for."""
    before = version.getbase()
    version.setbase(base)
    try:
        yield
    finally:
        version.VersionBase.instance().version_base = before


@contextmanager
def quiet() -> Iterator[None]:
    """Without Hydra's warning that our joblib.yaml has a schema in its joblib plugin: it has one on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*'hydra/launcher/joblib' is validated against ConfigStore schema")
        yield


@cache
def parse(override: str) -> Override:
    """One override, parsed once: a sweep repeats a few of them over and over; raises OverrideParseException."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise OverrideParseException(override, str(error)) from error


class Composer:
    """Composes jobs as Hydra does, but every option of a group only once.

    A group's option fills the group's own node and nothing else; whether that holds is checked for every option.
    Then a job is a copy of the first job with its options' nodes put in and its values set by Hydra's own function.
    Jobs of another kind (a package, an added or deleted group, an option that reaches elsewhere) go to Hydra.
    """

    def __init__(self, loader: Any, master: DictConfig) -> None:
        self.loader, self.master = loader, master
        self.base: DictConfig | None = None
        self.base_groups: dict[str, str] = {}
        self.nodes: dict[tuple[str, str], Any] = {}
        self.groups: dict[str, bool] = {}  # whether a key names a group

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of one job, not yet checked.

        Raises Hydra's exceptions for overrides that it refuses.
        """
        parsed = [parse(override) for override in overrides]
        groups = {each.key_or_group: str(each.value()) for each in parsed if self._selects(each)}
        values = [each for each in parsed if each.key_or_group not in groups]
        if self.base is None:
            self.base, self.base_groups = self._hydra(groups), groups
        if groups.keys() != self.base_groups.keys() or any(map(self._is_exotic, values)):
            return self._hydra_whole(overrides)
        config = deepcopy(self.base)
        for group, option in groups.items():
            if option != self.base_groups[group]:
                node = self._node(group, option)
                if node is None:
                    return self._hydra_whole(overrides)
                config._set_item_impl(group, deepcopy(node))
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        return config

    def _selects(self, override: Override) -> bool:
        """Whether this is a plain `group=option`."""
        plain = not (override.package or override.is_add() or override.is_force_add() or override.is_delete())
        return plain and self._is_group(override.key_or_group) and isinstance(override.value(), str)

    def _is_exotic(self, override: Override) -> bool:
        return override.package is not None or self._is_group(override.key_or_group)

    def _is_group(self, key: str) -> bool:
        if key not in self.groups:
            self.groups[key] = bool(self.loader.repository.group_exists(key))
        return self.groups[key]

    def _node(self, group: str, option: str) -> Any:
        """What an option puts into its group's node; None if it changes anything else."""
        if (group, option) not in self.nodes:
            config = self._hydra(self.base_groups | {group: option})
            alone = _without(config, group) == _without(self.base, group)
            self.nodes[group, option] = config._get_node(group) if alone else None
        return self.nodes[group, option]

    def _hydra(self, groups: dict[str, str]) -> DictConfig:
        return self._hydra_whole([f"{group}={option}" for group, option in groups.items()])

    def _hydra_whole(self, overrides: Sequence[str]) -> DictConfig:
        config = self.loader.load_sweep_config(self.master, list(overrides))
        with flag_override(config, ["struct", "readonly"], False):
            del config["hydra"]
        return config


def _without(config: DictConfig | None, group: str) -> Any:
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    plain.pop(group, None)
    return plain
