"""Registries: functions that a YAML file calls by their name, with parameters that are checked before anything runs."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


class LabError(ValueError):
    """A claims.yaml or a command that asks for what does not exist; the message is one line."""


def pick(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """The entry of this name.

    Raises LabError, with the nearest name, if there is none.
    """
    if name not in known:
        near = get_close_matches(str(name), known, 1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise LabError(f"{kind} {name}: unknown{hint} Known are {', '.join(known)}")
    return known[name]


class Registry(dict[str, Callable[..., Any]]):
    """Functions by name; each takes its subject first (a run, runs, a configuration) and then named parameters."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Register a function, as a decorator."""
        self[function.__name__] = function
        return function

    def call(self, node: Any) -> "Call":
        """The call that a YAML node asks for: `{name: {parameter: value}}`, or `name` alone.

        Raises LabError for an unknown function, an unknown parameter, or a missing one.
        """
        if isinstance(node, str):
            node = {node: {}}
        if not isinstance(node, dict) or len(node) != 1:
            raise LabError(
                f"{self.kind} {node}: allowed is one name with its parameters, such as {{name: {{key: value}}}}"
            )
        ((name, given),) = node.items()
        function = pick(self.kind, name, self)
        try:
            inspect.signature(function).bind(None, **(given or {}))
        except TypeError as error:
            raise LabError(f"{self.kind} {name}: {error}; allowed are {', '.join(parameters(function))}") from error
        for key, value in (given or {}).items():
            if inspect.signature(function).parameters[key].annotation is float and not isinstance(value, (int, float)):
                raise LabError(f"{self.kind} {name}: {key}={value}: allowed is a number (YAML 1.1 wants -0.5, 1.0e-4)")
        return Call(name, function, given or {})

    def lines(self) -> Iterator[tuple[str, str]]:
        """Each function as it is called and its first sentence: the reference that `--list` prints."""
        for name, function in self.items():
            yield (
                f"{name}: {{{', '.join(parameters(function))}}}",
                (inspect.getdoc(function) or "").split("\n\n")[0],
            )


def parameters(function: Callable[..., Any]) -> list[str]:
    """What a YAML file may give: the parameters after the subject, with their defaults.

    >>> parameters(lambda run, quantity, steps="last": 0)
    ['quantity', 'steps=last']
    """
    _, *rest = inspect.signature(function).parameters.values()
    return [each.name if each.default is each.empty else f"{each.name}={each.default}" for each in rest]


@dataclass(frozen=True)
class Call:
    """A registered function with the parameters that a YAML file gave it."""

    name: str
    function: Callable[..., Any]
    given: dict[str, Any]

    def __call__(self, subject: Any) -> Any:
        return self.function(subject, **self.given)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.given.items())})"
