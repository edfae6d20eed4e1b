"""The launcher `hydra/launcher=ray`: runs jobs on a Ray of its own on this machine, or on a running cluster.

Ray keeps its workers from one job to the next, so imports are paid once a worker. A Ray of its own listens on the
loopback address only, and asks for a token that is in the user's home; a cluster's nodes need this project installed.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from typing import Any, ClassVar

from backscope.app import RunFailed
from backscope.config import ConfigError
from backscope.nn.domains import Count
from backscope.process import ONE_THREAD
from backscope.share import attempt
from backscope.sweep import Job
from hydra_plugins.backscope.remote import RemoteLauncher

OF_ITS_OWN = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # 0: all of Ray on the loopback address, as it is on those systems
}
OBJECT_STORE = 100_000_000  # bytes; a configuration has some thousands


class RayLauncher(RemoteLauncher):
    """Runs each job as a task of Ray's, on one core."""

    library, extra = "ray", "ray"
    domains: ClassVar = {"address": str | None, "num_cpus": Count | None}

    def start(self) -> None:
        """Start a Ray of its own, or connect to the cluster; raises ConfigError if there is none."""
        address = self.options["address"]
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if address is None:
            os.environ.update(OF_ITS_OWN)
        import ray

        if ray.is_initialized():
            return
        if address is None:
            settings |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            settings |= {"num_cpus": self.options["num_cpus"], "object_store_memory": OBJECT_STORE}
            ray.init("local", **settings)
            return
        try:
            if address != "auto":  # where nothing listens, Ray itself would wait for a quarter of an hour
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=5).close()
            ray.init(address, runtime_env={"env_vars": ONE_THREAD}, **settings)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"hydra.launcher.address={address}: {str(error).splitlines()[0]}; allowed is null, auto or HOST:PORT "
                "of a running cluster"
            ) from error

    def stop(self) -> None:
        """End a Ray of its own, or leave the cluster; what still runs ends with it."""
        import ray

        ray.shutdown()

    def _outcomes(self, jobs: Sequence[Job], indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
        self.start()
        import ray

        task = ray.remote(num_cpus=1, max_retries=0)(attempt)
        waiting = {task.remote(jobs[index].config, jobs[index].overrides).future(): index for index in indices}
        try:
            for future in as_completed(waiting):
                try:
                    yield waiting[future], future.result()
                except ray.exceptions.RayTaskError as error:  # not the run's, such as a project that is not there
                    yield waiting[future], RunFailed(str(error).splitlines()[-1], str(error))
                except ray.exceptions.RayError:
                    continue  # its worker died, or its node
        except BaseException:
            self.stop()
            raise
