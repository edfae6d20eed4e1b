"""The sweeper `hydra/sweeper=backscope`: every combination of the values given, checked as a whole before any runs.

Hydra's basic sweeper composes a job twice and stops at the first failure that it meets. This one composes once and
cheaply, lets every job run to its end, and works with any of Hydra's launchers.
"""

import signal
from contextlib import ExitStack

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn

from backscope.config import Composer
from backscope.sweep import Sweep, prepare
from hydra_plugins.backscope.launcher import BackscopeLauncher


class BackscopeSweeper(BasicSweeper):
    """Sweeps over the values in `hydra.sweeper.params` and on the command line."""

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run all combinations; the program ends with status 1 if one failed, 130 if it was interrupted."""
        try:
            with ExitStack() as on_exit:
                before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a sweep as Ctrl-C does
                on_exit.callback(signal.signal, signal.SIGTERM, before)
                if isinstance(self.launcher, BackscopeLauncher):
                    self.launcher.start()  # workers import while jobs are composed
                    on_exit.callback(self.launcher.stop)
                with self._prepare(arguments) as sweep:
                    returns = self._launch(sweep)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        if sweep.failures or sweep.unsent:
            raise SystemExit(1)
        return returns

    def _prepare(self, arguments: list[str]) -> Sweep:
        assert self.hydra_context is not None, "Hydra calls setup first"
        assert self.config is not None
        loader, title = self.hydra_context.config_loader, self.config.hydra.runtime.choices.get("experiment")
        lines = [f"{key}={values}" for key, values in self.params.items()] + arguments
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(lines)
        return prepare(overrides, Composer(loader, self.config), title or "sweep")

    def _launch(self, sweep: Sweep) -> list[JobReturn]:
        jobs = [sweep.jobs[index] for index in sweep.left]
        if isinstance(self.launcher, BackscopeLauncher):
            return self.launcher.run(jobs, sweep.end)
        assert self.launcher is not None, "Hydra calls setup first"
        returns = list(self.launcher.launch([sweep.overrides(job) for job in jobs], 0)) if jobs else []
        for index, each in enumerate(returns):
            sweep.end(index, each)
        return returns
