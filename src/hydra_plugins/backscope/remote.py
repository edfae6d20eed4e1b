"""What the launchers beyond joblib share: an extra that must be installed, options that are checked, one attempt."""

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from hydra.core.utils import JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from backscope.app import Outcome, RunFailed, start_worker, work
from backscope.config import Config, ConfigError, check_values
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


def attempt(config: Config, overrides: Sequence[str]) -> tuple[JobStatus, Outcome | RunFailed]:
    """One run in a worker, which is prepared for its first; an exception of the run is returned, not raised."""
    prepare()
    try:
        return JobStatus.COMPLETED, work(config, overrides)
    except RunFailed as error:
        return JobStatus.FAILED, error


@cache
def prepare() -> None:
    """Prepare this worker, once."""
    start_worker()
