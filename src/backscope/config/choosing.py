"""Choosing from Python: keywords that say what overrides say on the command line, with the same checks and errors."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_type_hints

from backscope.config.checks import ConfigError, refuse, unknown
from backscope.config.composing import compose
from backscope.config.errors import explain
from backscope.config.schema import GROUPS, SECTIONS, Config, parameters
from backscope.data import Source

GROUP_NAMES = (*GROUPS, "probes", "tracking", "experiment")
FIRST = ("model", "training")  # whose keys go before those of the same name elsewhere: depth is the network's


def choose(overrides: Sequence[str] = (), own: Source | None = None, **choices: Any) -> Config:
    """The checked configuration that keywords choose, then overrides as on the command line.

    A keyword is a group (`init="he"`, `init={"name": "normal", "std": 0.1}`), a part (`model={"depth": 8}`), a whole
    key (`**{"optimizer.lr": 0.1}`), or the end of a key where only one has it (`depth=8`, `lr=0.1`). `own` is data of
    one's own; a regression brings its own loss. Raises ConfigError for what is not allowed.

    >>> config = choose(init={"name": "normal", "std": 0.1}, depth=3, batch_size=None)
    >>> config.init["std"], config.model.depth, config.training.batch_size
    (0.1, 3, None)
    """
    lines = [*written(choices), *overrides]
    if own is not None and own.task == "regression":
        lines.insert(0, "loss=squared_error")
    if sweep := next((line for line in lines if line.lstrip("+").startswith("experiment=")), None):
        raise ConfigError(f"{sweep}: an experiment is a sweep; allowed is one configuration, or `backscope {sweep}`")
    try:
        return compose(*lines, own=own)
    except Exception as error:
        if (line := explain(error, lines)) is None:
            raise
        raise ConfigError(line) from None


def written(choices: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The choices as overrides, a group before its parameters."""
    for key, value in choices.items():
        whole = f"{prefix}.{key}" if prefix else _whole(key)
        if whole in GROUP_NAMES and value is None and "none" in GROUPS.get(whole, ("none",)):
            value = "none"
        if isinstance(value, Mapping) and (whole in GROUP_NAMES or whole in SECTIONS):
            if "name" in value:
                yield f"{whole}={value['name']}"
            yield from written({inner: each for inner, each in value.items() if inner != "name"}, whole)
        elif whole in GROUP_NAMES:
            if not isinstance(value, str):
                raise refuse(whole, value, "the name of an option, or a mapping with its name and parameters")
            yield f"{whole}={value}"
        else:
            yield f"{whole}={_text(value)}"


def _whole(key: str) -> str:
    """The whole key that a keyword means."""
    top = [*get_type_hints(Config), "experiment"]
    if "." in key or key in top:
        return key
    found = _ends().get(key, [])
    first = [each for each in found if each.partition(".")[0] in FIRST] or found
    if not first:
        raise unknown(key, [*top, *_ends()])
    if len(first) > 1:
        raise ConfigError(f"{key}: one of several keys; allowed are {', '.join(first)}, each as **{{'{first[0]}': …}}")
    return first[0]


@cache
def _ends() -> dict[str, list[str]]:
    """Every key but those that say where to track, by its end."""
    keys = [f"{name}.{key}" for name, section in SECTIONS.items() for key in get_type_hints(section)]
    keys += [f"{group}.{key}" for group in GROUPS for option in GROUPS[group] for key in parameters(group, option)]
    ends: dict[str, list[str]] = defaultdict(list)
    for key in dict.fromkeys(keys):
        if not key.startswith("tracking."):
            ends[key.partition(".")[2]].append(key)
    return dict(ends)


def _text(value: Any) -> str:
    """A value as Hydra reads it."""
    plain = value.tolist() if hasattr(value, "tolist") else value  # NumPy's numbers and arrays
    plain = list(plain) if isinstance(plain, tuple | range) else plain
    return json.dumps(plain, ensure_ascii=False, default=str, separators=(",", ":"))
