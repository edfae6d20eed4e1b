"""A run's network as an MLflow model, with `tracking.log_model=true`: `mlflow.pyfunc.load_model("runs:/ID/model")`.

It is arrays and text, never a pickle: `network.npz` holds the parameters, `network.json` what they are the parameters
of. Loading needs backscope, which is not among the model's requirements because it is not on a package index.
Inputs (N, n_in) are standardised as the configuration says; outputs (N, n_out) are the network's own, before a softmax.
Of several replicas the first is asked, or another: `model.predict(x, params={"replica": 3})`.
"""

import io
import json
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from backscope.config.schema import Model
from backscope.training import restore

if TYPE_CHECKING:
    from backscope.training import Record

Array = np.ndarray
NEEDED = ("numpy", "scipy", "mlflow")
PARTS = ("activation", "normalization", "loss", "model", "dtype")  # of the configuration


class Predictor:
    """What MLflow calls: the network of a record, from the folder in which `files` put it."""

    def __init__(self, folder: Path) -> None:
        self.parts: dict[str, Any] = json.loads((folder / "network.json").read_text())
        with np.load(folder / "network.npz", allow_pickle=False) as stored:
            self.theta, self.statistics = stored["theta"], stored["statistics"]
        self.config = SimpleNamespace(**self.parts["config"])
        self.config.model = Model(**self.config.model)

    def predict(self, inputs: Any, params: dict[str, Any] | None = None) -> Array:
        """The outputs (N, n_out) of one replica; raises ValueError for a replica that there is not."""
        replica, count = (params or {}).get("replica", 0), len(self.theta)
        if not 0 <= replica < count:
            raise ValueError(f"replica={replica}: allowed is an integer in [0, {count})")
        one = slice(replica, replica + 1)
        network = restore(self.config, self.parts["data"], self.theta[one], self.statistics[one])
        with np.errstate(all="ignore"):
            return network.predict(np.asarray(inputs, self.config.dtype)[None], self.parts["batch"])[0]


def _load_pyfunc(path: str) -> Predictor:
    """What MLflow looks for in a loader module."""
    return Predictor(Path(path))


def files(record: "Record") -> dict[str, bytes]:
    """The model's files, by their name below the run's artifacts."""
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "network"
        folder.mkdir()
        for name, content in _network(record).items():
            (folder / name).write_bytes(content)
        model = Path(temporary) / "model"
        mlflow.pyfunc.save_model(
            model,
            loader_module=__name__,
            data_path=str(folder),
            signature=_signature(record),
            input_example=record.example,
            pip_requirements=[f"{name}=={version(name)}" for name in NEEDED],
        )
        found = [path for path in model.rglob("*") if path.is_file()]
        return {f"model/{path.relative_to(model).as_posix()}": path.read_bytes() for path in found}


def _network(record: "Record") -> dict[str, bytes]:
    """What `Predictor` reads."""
    arrays = io.BytesIO()
    np.savez(arrays, theta=record.theta, statistics=record.statistics)
    config = {name: part for name, part in asdict(record.config).items() if name in PARTS}
    batch = record.config.training.batch_size or record.data["n_train"]  # products of other sizes round differently
    parts = {"config": config, "data": record.data, "batch": batch}
    return {"network.npz": arrays.getvalue(), "network.json": json.dumps(parts, indent=1).encode()}


def _signature(record: "Record") -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    dtype = np.dtype(record.config.dtype)
    inputs, outputs = (Schema([TensorSpec(dtype, (-1, record.data[size]))]) for size in ("n_in", "n_out"))
    return ModelSignature(inputs, outputs, ParamSchema([ParamSpec("replica", "long", 0)]))
