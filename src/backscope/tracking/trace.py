"""The trace: every measurement of a run as one tidy Parquet table, a number a row.

Columns: quantity, step (after how many updates), replica, layer (1 = nearest the input; 0 = the whole network),
value; quantity theory/… is what theory predicts for the initialization. What was not measured, or is not defined for
a layer, has no row.
"""

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from backscope.training import Record

INDEX = ("quantity", "step", "replica", "layer")


class Rows(NamedTuple):
    """One quantity's rows: four arrays of the same length."""

    step: np.ndarray
    replica: np.ndarray
    layer: np.ndarray
    value: np.ndarray


def to_parquet(record: "Record") -> bytes:
    """The record's trace, compressed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {name: _rows(record.steps, values, 1) for name, values in record.layers.items()}
    rows |= {name: _rows(steps, values[..., None], 0) for name, (steps, values) in record.scalars.items()}
    rows |= {f"theory/{name}": _rows(np.zeros(1), values[None, None], 1) for name, values in record.theory.items()}
    step, replica, layer, value = (np.concatenate(column) for column in zip(*rows.values(), strict=True))
    code = np.repeat(np.arange(len(rows), dtype=np.int16), [len(each.value) for each in rows.values()])
    quantity = pa.DictionaryArray.from_arrays(code, list(rows))
    table = pa.table({"quantity": quantity, "step": step, "replica": replica, "layer": layer, "value": value})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=list(INDEX), write_statistics=False)
    return buffer.getvalue()


def _rows(steps: np.ndarray, values: np.ndarray, first_layer: int) -> Rows:
    """The measured entries of values (T, R, L), in order."""
    moment, replica, layer = np.nonzero(~np.isnan(values))
    return Rows(
        np.asarray(steps, np.int32)[moment],
        replica.astype(np.int16),
        (layer + first_layer).astype(np.int16),
        values[moment, replica, layer].astype(np.float64),
    )
