"""Which model a name means: a base model, or an adapter on one.

Kept in memory only: whoever wants to use a model registers it first, so that a host that was
started again needs to be told nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.refusals import BadRequest, UnknownModel

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}")


@dataclass(frozen=True)
class Registered:
    """A base model's folder, and the adapter's folder if there is one."""

    base: Path
    adapter: Path | None


class Registry:
    """Models by name."""

    def __init__(self) -> None:
        self._models: dict[str, Registered] = {}

    def put(self, name: str, given: Any) -> Registered:
        """Register or replace a model from {"base": folder, "adapter": folder or null}."""
        if not NAME.fullmatch(name):
            raise BadRequest(f"{name} cannot be the name of a model.", param="name")
        if not isinstance(given, dict):
            raise BadRequest("The body must be a JSON object with base and adapter.")
        base = _folder(given.get("base"), "base", "config.json")
        adapter = given.get("adapter")
        model = Registered(base, adapter and _folder(adapter, "adapter", "adapter_config.json"))
        self._models[name] = model
        return model

    def find(self, name: str) -> Registered:
        """The model of this name."""
        if name not in self._models:
            raise UnknownModel(f"There is no model {name} here.", param="model")
        return self._models[name]

    def remove(self, name: str) -> Registered:
        """Forget a name; what is being answered is finished."""
        model = self.find(name)
        del self._models[name]
        return model

    def uses(self, base: Path) -> bool:
        """Whether a registered model still stands on this base model."""
        return any(model.base == base for model in self._models.values())

    def names(self) -> list[str]:
        """All registered names, oldest first."""
        return list(self._models)


def _folder(given: Any, field: str, must_hold: str) -> Path:
    if not isinstance(given, str) or not Path(given).is_absolute():
        raise BadRequest(f"{field} must be the full path of a folder.", param=field)
    folder = Path(given).resolve()
    if not (folder / must_hold).is_file():
        raise BadRequest(f"{folder} has no {must_hold}.", param=field)
    return folder
