"""Configuration: what can be chosen (`schema`), what is refused (`checks`), and Hydra's part of it (`composing`)."""

from backscope.config.checks import ConfigError, check, check_values
from backscope.config.composing import CONF, ROOT, Composer, compose, quiet
from backscope.config.schema import Choice, Config, Model, Probes, Tracking, Training

__all__ = [
    "CONF",
    "ROOT",
    "Choice",
    "Composer",
    "Config",
    "ConfigError",
    "Model",
    "Probes",
    "Tracking",
    "Training",
]
__all__ += ["check", "check_values", "compose", "quiet"]
