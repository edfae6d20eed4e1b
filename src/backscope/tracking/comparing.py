"""Two recordings of one configuration, compared to the last bit: which values differ, where first, and by how much."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backscope.tracking.trace import INDEX
from backscope.training.record import TIMES

LIBRARY = "version."
PROFILE = "/log10_"  # in the names of metrics that are logarithms, and whose step is a layer


@dataclass(frozen=True)
class Comparison:
    """How many names and values were compared, and a row for each value that differs, the earliest step first."""

    names: int
    values: int
    differing: pd.DataFrame

    @property
    def unpaired(self) -> int:
        """How many of the values that differ only one side has."""
        return int((self.differing["no_recorded"] | self.differing["no_now"]).sum())

    @property
    def largest(self) -> float:
        """The largest relative difference of those that both sides have."""
        both = self.differing[~(self.differing["no_recorded"] | self.differing["no_now"])]
        return float(both["relative"].max()) if len(both) else 0.0

    @property
    def first(self) -> str:
        """Where the first difference is, and its size."""
        row = self.differing.iloc[0]
        places = [f"{key} {row[key]}" for key in ("layer", "step", "replica") if key in row]
        if PROFILE in row["quantity"]:
            places = [f"layer {row['step']}"]
        elif "layer 0" in places:
            places.remove("layer 0")  # which stands for the whole network
        recorded, now = ("nothing" if row[f"no_{side}"] else repr(float(row[side])) for side in ("recorded", "now"))
        size = f", {abs(row['now'] - row['recorded']):.2g} apart, {row['relative']:.2g} relative"
        missing = row["no_recorded"] or row["no_now"]
        return f"{row['quantity']}, {', '.join(places)}: {recorded} recorded, {now} now{'' if missing else size}"


def compare(recorded: pd.DataFrame, now: pd.DataFrame) -> Comparison:
    """Compare two tables of quantity, step, perhaps replica and layer, and value, whatever the order of their rows.

    Times are left out. Of two values that have one key, each has its own partner or none.
    """
    tables = [_untimed(frame) for frame in (recorded, now)]
    keys = [key for key in INDEX if key in now]
    if all(np.array_equal(tables[0][key], tables[1][key]) for key in keys):
        joined = tables[0].rename(columns={"value": "recorded"}).assign(now=tables[1]["value"], no_recorded=False)
        joined["no_now"] = False
    else:
        joined = _joined(tables, keys)
    old, new = joined["recorded"].to_numpy(), joined["now"].to_numpy()
    same = (old.view(np.int64) == new.view(np.int64)) | (np.isnan(old) & np.isnan(new))
    differing = joined[~same | joined["no_recorded"] | joined["no_now"]].copy()
    differing["relative"] = relative(differing)
    order = {name: i for i, name in enumerate(pd.concat(tables[::-1])["quantity"].unique())}
    differing["order"] = differing["quantity"].map(order).astype(int)
    by = ["step", "order", *(key for key in ("layer", "replica") if key in keys)]
    return Comparison(joined["quantity"].nunique(), len(joined), differing.sort_values(by, ignore_index=True))


def _untimed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are no times."""
    named = table.assign(quantity=table["quantity"].astype(str), value=table["value"].astype(float))
    return named[~named["quantity"].str.startswith(TIMES)].reset_index(drop=True)


def _joined(tables: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """The rows of both tables with one key beside each other, and those that have no partner."""
    recorded, now = (table.assign(nth=table.groupby(keys, observed=True).cumcount()) for table in tables)
    both = recorded.rename(columns={"value": "recorded"}).merge(
        now.rename(columns={"value": "now"}), "outer", [*keys, "nth"], indicator=True
    )
    return both.assign(no_recorded=both["_merge"] == "right_only", no_now=both["_merge"] == "left_only")


def relative(differing: pd.DataFrame) -> np.ndarray:
    """|a − b| / max(|a|, |b|) of values that differ; of a logarithm, that of what it is the logarithm of."""
    old, new = differing["recorded"].to_numpy(), differing["now"].to_numpy()
    logarithm = differing["quantity"].str.contains(PROFILE, regex=False)
    with np.errstate(all="ignore"):
        gap = np.abs(old - new)
        found = np.where(logarithm, -np.expm1(-gap * np.log(10)), gap / np.maximum(np.abs(old), np.abs(new)))
    return np.where(gap == 0, 0.0, np.where(np.isnan(found), np.inf, found))


def metrics(points: Iterable[tuple[str, int, float]]) -> pd.DataFrame:
    """Metrics as a table; sent twice they count once, and a zero has no sign, since not every store keeps it."""
    table = pd.DataFrame(list(points), columns=["quantity", "step", "value"])
    table["value"] = table["value"].astype(float) + 0.0
    return table.astype({"quantity": str, "step": np.int64}).drop_duplicates(ignore_index=True)


def circumstances(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Which of code, libraries, BLAS, CPU and threads are others than those of the tags.

    The digest of the code says whether it is the same; without it, the commit does, unless there were changes to it.

    >>> circumstances({"blas": "openblas", "version.numpy": "2.3"}, {"blas": "openblas", "version.numpy": "2.4"})
    ['numpy 2.3 then, 2.4 now']
    >>> circumstances({"git.commit": "c0ffee", "git.dirty": "true"}, {"git.commit": "c0ffee", "git.dirty": "true"})
    ['code unknown: it was commit c0ffee with changes']
    """
    ignored = {"git.commit", "git.dirty"}
    others = []
    if "code" not in recorded:
        ignored = {"code", "git.dirty"}
        if recorded.get("git.dirty") == "true":
            ignored |= {"git.commit"}
            others = [f"code unknown: it was commit {recorded.get('git.commit', '')[:12]} with changes"]
    return others + [
        f"{key.removeprefix(LIBRARY)} {recorded.get(key, 'unknown'):.40} then, {now[key]:.40} now"
        for key in now
        if key not in ignored and recorded.get(key) != now.get(key)
    ]
