"""The checks a configuration passes before anything is trained or tracked: every value by itself, then all together."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from backscope.config.schema import GROUPS, SECTIONS, Choice, Config, parameters
from backscope.data import ARRAYS, Shape, Source, describe
from backscope.nn.domains import refusal
from backscope.probes import of_tier


class ConfigError(ValueError):
    """A bad configuration; the message is one line that names the key, its value and what is allowed."""


def refuse(key: str, value: Any, allowed: str) -> ConfigError:
    """The error for a value.

    >>> refuse("training.clip_norm", None, "a number > 0")
    ConfigError('training.clip_norm=null: allowed is a number > 0')
    """
    words = {None: "null", True: "true", False: "false"}
    shown = words.get(value, value) if value is None or isinstance(value, bool) else str(value)[:60]
    return ConfigError(f"{key}={shown}: allowed is {allowed}")


def unknown(key: str, known: list[str], where: str = "") -> ConfigError:
    """The error for a key or an option that does not exist, with the nearest that does.

    >>> unknown("model.dept", ["model.depth", "model.width"])
    ConfigError('model.dept: no such key; did you mean model.depth? Known are model.depth, model.width')
    """
    if not known:
        hint = "an argument is one if its annotation says what is allowed, such as Positive of nn/domains.py"
        return ConfigError(f"{key}: no such key{where}, which takes no parameters; {hint}")
    near = get_close_matches(key, known, 1, 0.6)
    hint = f"; did you mean {near[0]}?" if near else "."
    return ConfigError(f"{key}: no such key{where}{hint} Known are {', '.join(known)}")


def check(config: DictConfig | Mapping[str, Any], own: Source | None = None) -> Config:
    """The typed configuration, if all its values are allowed and fit together; of one's own data if there are some.

    Raises ConfigError for the first that is not.
    """
    plain = _plain(config)
    top = get_type_hints(Config, include_extras=True)
    for key in plain:
        if key not in top:
            raise unknown(key, list(top))
    for key in top:
        if key not in plain:
            raise refuse(key, None, "a value")
    values: dict[str, Any] = {group: _choice(group, plain[group]) for group in GROUPS}
    if own is not None:
        values["data"] = Choice(values["data"] | {"name": ARRAYS, "digest": own.digest})
    for name, section in SECTIONS.items():
        values[name] = section(**check_values(name, plain[name], get_type_hints(section, include_extras=True)))
    scalars = {key: top[key] for key in top if key not in values}
    checked = Config(**values, **check_values("", {key: plain[key] for key in scalars}, scalars))
    _check_together(checked, own)
    return checked


def misfit(plain: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The keys that a configuration has and may not have, and those that it lacks: it belongs to another version.

    >>> misfit({"seed": 0, "speed": 1, "activation": {"name": "elu"}})[0], misfit({})[1][:3]
    (['speed'], ['data.name', 'init.name', 'activation.name'])
    """
    present = {f"{key}.{inner}" for key, value in plain.items() if isinstance(value, Mapping) for inner in value}
    present |= {key for key, value in plain.items() if not isinstance(value, Mapping)}
    known = dict.fromkeys(f"{group}.name" for group in GROUPS)
    for group in GROUPS:
        name = plain[group].get("name") if isinstance(plain.get(group), Mapping) else None
        known |= dict.fromkeys(f"{group}.{key}" for key in (parameters(group, name) if name in GROUPS[group] else ()))
    known |= dict.fromkeys(f"{name}.{key}" for name, section in SECTIONS.items() for key in get_type_hints(section))
    known |= dict.fromkeys(key for key in get_type_hints(Config) if key not in GROUPS and key not in SECTIONS)
    return sorted(present - known.keys()), [key for key in known if key not in present]


def _plain(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    try:
        node = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
        resolved: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    for path in _targets(resolved):
        raise ConfigError(f"{path}: not allowed: a configuration chooses code by name and never brings its own")
    return dict(resolved)


def _targets(node: Any, path: str = "") -> Iterator[str]:
    """Where a `_target_` stands."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        here = f"{path}.{key}" if path else str(key)
        yield from (here,) if key == "_target_" else _targets(value, here)


def _choice(group: str, values: Any) -> Choice:
    """One option of a group, with each of its parameters, and no other, in its domain."""
    if not isinstance(values, dict) or values.get("name") not in GROUPS[group]:
        name = values.get("name") if isinstance(values, dict) else values
        raise refuse(f"{group}.name", name, f"one of {', '.join(GROUPS[group])}")
    name, rest = values["name"], {key: value for key, value in values.items() if key != "name"}
    return Choice(name=name, **check_values(group, rest, parameters(group, name), f" for {group}={name}"))


def check_values(prefix: str, values: Any, domains: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The values, if there is one for each domain and all are in theirs.

    Raises ConfigError for the first that is not.
    """
    dotted = {key: f"{prefix}.{key}" if prefix else key for key in domains}
    if not isinstance(values, dict):
        raise refuse(prefix, values, f"a mapping of {', '.join(domains)}")
    for key in values:
        if key not in domains:
            raise unknown(f"{prefix}.{key}", list(dotted.values()), where)
    for key, domain in domains.items():
        allowed = refusal(values.get(key), domain)
        if key not in values or allowed is not None:
            raise refuse(dotted[key], values.get(key), allowed or "a value")
    return {
        key: float(value) if _is_integer(value) and _is_real(domains[key]) else value for key, value in values.items()
    }


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(domain: Any) -> bool:
    """Whether the domain is one of real numbers, so that 1 means 1.0 there."""
    return domain is float or any(_is_real(each) for each in get_args(domain))


def _check_together(config: Config, own: Source | None) -> None:
    """What no value shows by itself."""
    try:
        data = describe(**config.data, own=own)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    batch, training = config.training.batch_size, f"the training part of {config.data.name}"
    if data.task == "regression" and config.loss.name == "cross_entropy":
        raise refuse(
            "loss",
            config.loss.name,
            f"squared_error, since the targets of data={config.data.name} are numbers",
        )
    if batch is not None and batch > data.n_train:
        raise refuse("training.batch_size", batch, f"null or 1 to {data.n_train}, {training}")
    if config.normalization.name == "batch_norm" and (batch or data.n_train) == 1:
        raise refuse(
            "training.batch_size",
            batch,
            "at least 2 with normalization=batch_norm: it averages over the batch",
        )
    last = config.model.depth + 1
    if any(layer > last for layer in config.init["zero_layers"]):
        raise refuse("init.zero_layers", config.init["zero_layers"], f"layers from 1 to {last}, the head")
    _check_memory(config, data)


def _check_memory(config: Config, data: Shape) -> None:
    """A rough estimate, to refuse at once what could not end well."""
    model, probes, itemsize = config.model, config.probes, 8 if config.dtype == "float64" else 4
    weights = data.n_in * model.width + (model.depth - 1) * model.width**2 + model.width * data.n_out
    parameters = 6 * weights  # θ, its gradient, the optimizer's state, temporaries
    activations = 6 * (config.training.batch_size or data.n_train) * model.depth * model.width
    samples = 2 * (data.n_train + data.n_test) * (data.n_in + data.n_out)
    measured = len(of_tier(probes.tier)) * (model.depth + 1) * 8
    moments = config.training.steps / probes.every if probes.schedule == "every" else probes.points
    record = measured * moments + 16 * config.training.steps
    needed = config.replicas * (itemsize * (parameters + activations + samples) + record) + 200 * config.training.steps
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > available:
        chosen = f"model.depth={model.depth} model.width={model.width} replicas={config.replicas}"
        raise ConfigError(
            f"{chosen} training.steps={config.training.steps}: need about {needed / 1e9:.0f} GB; "
            f"allowed is {available / 1e9:.0f} GB, this machine's memory"
        )
