"""Hydra's exceptions, said in one line that names the key, its value and what is allowed."""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn, get_type_hints

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from yaml import MarkedYAMLError

from backscope.config.checks import ConfigError, refuse, unknown
from backscope.config.composing import CONF
from backscope.config.schema import GROUPS, SECTIONS, Config, parameters
from backscope.nn.domains import refusal


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse unknown flags, and overrides that bring code before Hydra sees them: it runs a callback's `_target_`."""
    parser = get_args_parser()
    parser.error = _bad_flag  # type: ignore[method-assign]
    flags = parser.parse_args(arguments)
    if flags.config_dir or flags.config_path or flags.config_name:
        raise ConfigError("--config-dir, --config-path, --config-name: not allowed: what can be chosen stands in conf/")
    for override in flags.overrides:
        if override.lstrip("+~").startswith(("hydra.searchpath", "hydra.callbacks", "hydra/callbacks")):
            raise ConfigError(f"{override}: not allowed: what can be chosen stands in conf/")
        if override.startswith("hydra.sweeper.storage"):
            raise ConfigError(f"{override}: not allowed: the seed of its sampler repeats a study")
        if "_target_" in override or "custom_search_space" in override:
            raise ConfigError(f"{override}: not allowed: a configuration chooses code by name, it never brings its own")


def _bad_flag(message: str) -> NoReturn:
    raise ConfigError(f"{message}; `backscope --help` shows what can be chosen")


def explain(error: Exception, overrides: Sequence[str]) -> str | None:
    """What is wrong with the configuration, in one line; None if the error is about something else.

    >>> from hydra.errors import ConfigCompositionException
    >>> explain(ConfigCompositionException("Could not override 'init.std'.\\nTo append …"), [])
    'init.std: no such key for the chosen init; it belongs to init=normal'
    >>> explain(ConfigCompositionException("Could not find 'hydra/sweeper/optuna'"), [])
    'hydra/sweeper=optuna: needs `.venv/bin/pip install -e .[optuna]`'
    """
    text = str(error)
    if isinstance(error, ConfigError):
        return text
    if "Config group override must be a string" in text:
        return str(_bad_group(overrides))
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark):
        return f"{mark.name}: line {mark.line + 1}, column {mark.column + 1}: not YAML: {error.problem}"
    if text.startswith("Invalid defaults list in"):
        return text
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not an override: allowed is key=value"
    for pattern, say in _PATTERNS.items():
        if match := re.search(pattern, text):
            return str(say(*match.groups(), text, error.__cause__ or error.__context__))
    return " ".join((text or str(error.__cause__)).split())[:300]


def _no_key(key: str, text: str, cause: Any) -> ConfigError:
    """A key that is not there: of another option, misspelt, or unheard of."""
    head, _, name = key.partition(".")
    if head in GROUPS and name:
        owners = [option for option in GROUPS[head] if name in parameters(head, option)]
        if owners:
            return ConfigError(f"{key}: no such key for the chosen {head}; it belongs to {head}={'|'.join(owners)}")
        return unknown(key, sorted({f"{head}.{each}" for option in GROUPS[head] for each in parameters(head, option)}))
    if head in SECTIONS and name:
        return unknown(key, [f"{head}.{each}" for each in get_type_hints(SECTIONS[head])])
    if head == "hydra":
        return ConfigError(f"{key}: no such key; `backscope --cfg hydra` prints Hydra's own")
    return unknown(key.partition("@")[0], [*get_type_hints(Config), "experiment"])


def _bad_value(override: str, text: str, cause: Any) -> ConfigError:
    """A value that the schema refused."""
    key, _, value = override.lstrip("+~").partition("=")
    head, _, name = key.partition(".")
    hints = get_type_hints(SECTIONS.get(head, Config), include_extras=True)
    allowed = refusal(object(), hints.get(name or head))
    if head in SECTIONS and not name:
        allowed = f"set key by key: {', '.join(f'{head}.{each}' for each in hints)}"
    return refuse(key, value, allowed) if allowed else ConfigError(f"{key}={value}: {str(cause).splitlines()[0]}")


def _bad_file(option: str, text: str, cause: Any) -> ConfigError:
    """A key or a value in the file of an option that the schema refused."""
    file, key = CONF / f"{option}.yaml", getattr(cause, "full_key", None) or ""
    if key == option.partition("/")[0] == "experiment":
        return ConfigError(f"{file}: an experiment is a mapping, and begins with `# @package _global_`")
    if isinstance(cause, ConfigKeyError):
        return ConfigError(f"{file}: {_no_key(key, text, cause)}")
    if key and (value := re.search(r"[Vv]alue '(.*?)'", text)):
        shown = "null" if value[1] == "None" else value[1]
        return ConfigError(f"{file}: {_bad_value(f'{key}={shown}', text, cause)}")
    return ConfigError(f"{file}: {key or option}: {str(cause).splitlines()[0]}")


def _no_option(group: str, option: str, text: str, cause: Any) -> ConfigError:
    """An option that is not there, or not yet."""
    if (group, option) == ("hydra/sweeper", "optuna"):
        return ConfigError("hydra/sweeper=optuna: needs `.venv/bin/pip install -e .[optuna]`")
    options = re.findall(r"^\t([^\s=]+)$", text, re.MULTILINE) or sorted(
        each.stem for each in (CONF / group).glob("*.yaml")
    )
    near = get_close_matches(option, options, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigError(f"{group}={option}: no such option{hint or ':'} allowed is one of {', '.join(options)}")


def _needs_sweep(override: str, text: str, cause: Any) -> ConfigError:
    return ConfigError(f"{override}: several values are a sweep: allowed is one value, or `backscope -m`")


def _bad_group(overrides: Sequence[str]) -> ConfigError:
    """A group was given something that is no name."""
    known = "|".join([*GROUPS, "probes", "tracking", "experiment", ""])
    culprit = next((each for each in overrides if re.match(rf"\+*({known})=", each)), "a group")
    return ConfigError(f"{culprit}: allowed is the name of an option; `backscope --help` lists them")


_PATTERNS: dict[str, Callable[..., ConfigError]] = {
    r"Could not override '([^']*)'": _no_key,
    r"Error merging override (\S+)": _bad_value,
    r"Could not find '(.*)/([^/']*)'": _no_option,
    r"Ambiguous value for argument '(.*?)'\n": _needs_sweep,
    r"Sweep parameters '(.*)' requires": _needs_sweep,
    r"^In '([^']*)': ": _bad_file,
}
