"""Settings from a YAML file and a command line: the same schema, and the command line wins.

Knows how both write numbers and "auto"; what the settings mean stands in `tuner.settings`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import yaml

from tuner.auto import is_auto, resolve
from tuner.errors import SettingsError
from tuner.settings import TuningSettings

_EXCLUSIVE = (("learning_rate", "learning_rate_multiplier"), ("epochs", "max_steps"))
"""Of two that say the same in other words, the one on the command line puts out the file's."""
_KINDS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}
_ON_OR_OFF = {True: "on", False: "off"}


def add_settings(parser: argparse.ArgumentParser, groups: Mapping[str, Any]) -> None:
    """One option for each setting; those in `groups` go into their group."""
    for setting in fields(TuningSettings):
        reads: dict[str, Any] = (
            {"action": argparse.BooleanOptionalAction}
            if _kind(setting) == "bool"
            else {"type": _reader(_kind(setting)), "metavar": _kind(setting).upper()}
        )
        groups.get(setting.name, parser).add_argument(
            "--" + setting.name.replace("_", "-"),
            **reads,
            default=argparse.SUPPRESS,
            help=f"{setting.metadata['help']} (default: {setting.default})".replace("%", "%%"),
        )


def given_settings(options: argparse.Namespace, file: Path | None) -> dict[str, Any]:
    """What file and command line say, "auto" still in words."""
    said = vars(options)
    from_line = {item.name: said[item.name] for item in fields(TuningSettings) if item.name in said}
    from_file = read_settings_file(file) if file else {}
    for names in _EXCLUSIVE:
        if any(name in from_line for name in names):
            from_file = {name: value for name, value in from_file.items() if name not in names}
    return {**from_file, **from_line}


def checked_settings(values: Mapping[str, Any], examples: int) -> TuningSettings:
    """The settings for so many examples; SettingsError says what is wrong with one."""
    return TuningSettings.from_dict(resolve(values, examples))


def read_settings_file(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no file {path}. Check the path.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. Check the path.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text. Save it as UTF-8.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not YAML: {_where(error)}. Correct it.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds no settings. Write one a line, such as 'epochs: 3'.")
    kinds = {setting.name: _kind(setting) for setting in fields(TuningSettings)}
    return {str(name): _as_meant(kinds.get(str(name)), value) for name, value in values.items()}


def _as_meant(kind: str | None, value: Any) -> Any:
    """YAML takes 1e-4 for text, and on and off for true and false."""
    if kind == "float" and isinstance(value, str) and not is_auto(value):
        try:
            return float(value)
        except ValueError:
            return value  # the schema says what is wrong with it
    if kind == "str" and isinstance(value, bool):
        return _ON_OR_OFF[value]
    return value


def _where(error: Exception) -> str:
    """The place and the problem, on one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    return f"line {mark.line + 1}, {problem}" if mark else problem


def _kind(setting: Field[Any]) -> str:
    return str(setting.type).removesuffix(" | None")


def _reader(kind: str) -> Callable[[str], Any]:
    """Reads a value of a kind, or "auto"; argparse names it by the kind in its complaints."""
    read = _KINDS[kind]

    def reader(text: str) -> Any:
        return text if is_auto(text) else read(text)

    reader.__name__ = kind
    return reader
