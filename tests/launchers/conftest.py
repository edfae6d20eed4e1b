"""What the tests of launchers share: a sweep as a user starts it, and a real Slurm cluster of one node."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from mlflow.tracking import MlflowClient

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4096 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="session")
def slurm(tmp_path_factory, free_port):
    """The environment in which the commands of Slurm speak to a cluster of one node, this machine, on loopback."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if missing := [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name, path=path)]:
        pytest.skip(f"{', '.join(missing)}: not installed (Debian: apt-get install slurm-wlm munge)")
    folder, host = tmp_path_factory.mktemp("slurm"), socket.gethostname().split(".")[0]
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    ports = [free_port(), free_port()]
    (folder / "slurm.conf").write_text(SLURM_CONF.format(folder=folder, host=host, ports=ports, user=getpass.getuser()))
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    files = [f"--{name}-file={folder / name}" for name in ("key", "pid", "log", "seed")]
    munged = ["munged", "--foreground", "--force", f"--socket={folder / 'munge.socket'}", *files]
    daemons, variables = [], os.environ | environment
    with open(folder / "daemons.log", "wb") as log:
        for command, ready in (
            (munged, ["munge", f"--socket={folder / 'munge.socket'}", "-n"]),
            (["slurmctld", "-D"], ["sinfo"]),
            (["slurmd", "-D"], ["sinfo", "--noheader", "--format=%T", "--states=idle"]),
        ):
            daemons.append(subprocess.Popen(command, env=variables, stdout=log, stderr=log))
            for _ in range(300):
                answer = subprocess.run(ready, env=variables, capture_output=True)
                if answer.returncode == 0 and answer.stdout.strip():
                    break
                assert daemons[-1].poll() is None, (folder / "daemons.log").read_text()
                time.sleep(0.1)
            else:
                raise TimeoutError((folder / "daemons.log").read_text())
    yield environment
    for daemon in reversed(daemons):
        daemon.terminate()
        daemon.wait()


@pytest.fixture(scope="session")
def start():
    """start(folder, "ray", *arguments): a sweep with this launcher and its store in this folder, running."""
    started = []

    def start(folder, launcher, *arguments, **environment):
        store = f"tracking.uri=sqlite:///{folder}/mlflow.db"
        command = [sys.executable, "-m", "backscope", "-m", f"hydra/launcher={launcher}", store, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        variables = os.environ | {"PYTHONUNBUFFERED": "1"} | environment
        started.append(subprocess.Popen(command, cwd=folder, env=variables, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def outcome(content):
    """outcome(sweep, folder): what a sweep that was started comes to: its status, what it says, all that it tracked."""

    def outcome(process, folder):
        printed, errors = process.communicate(timeout=300)
        client = MlflowClient(uri := f"sqlite:///{folder}/mlflow.db")
        runs = client.search_runs([client.get_experiment_by_name("launched").experiment_id], max_results=1000)
        lines = [re.sub(r" in [\d.]+ s$|; log: .*/error.txt$", "", line) for line in printed.splitlines()]
        return SimpleNamespace(
            status=process.returncode,
            errors=errors,
            summary=[line for line in lines if not re.match(r"\d+/\d+ |failed|report: |to see them", line)],
            failed=sorted(line for line in lines if line.startswith("failed: ")),
            states=sorted((run.info.status, run.info.run_name, run.data.tags.get("error", "")) for run in runs),
            finished=content(uri, "launched"),
        )

    return outcome
