"""What the launchers beyond joblib share: an extra that must be installed, and options that are checked."""

import importlib.util
from typing import Any, ClassVar

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from backscope.config import ConfigError, check_values
from hydra_plugins.backscope.launcher import BackscopeLauncher


class RemoteLauncher(BackscopeLauncher):
    """Runs jobs with a library that is an optional extra; `hydra.launcher` holds its options."""

    library: ClassVar[str]
    extra: ClassVar[str]
    domains: ClassVar[dict[str, Any]]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """What Hydra calls before anything else; raises ConfigError without the extra, or for a bad option."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        given = OmegaConf.to_container(OmegaConf.create(self.joblib))
        assert isinstance(given, dict)
        known = {key: domain for key, domain in self.domains.items() if key in given}
        self.options = check_values("hydra.launcher", given, known)
        if importlib.util.find_spec(self.library) is None:
            choice = config.hydra.runtime.choices["hydra/launcher"]
            raise ConfigError(f"hydra/launcher={choice}: needs `.venv/bin/pip install -e .[{self.extra}]`")
