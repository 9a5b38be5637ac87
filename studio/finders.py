"""Serve plotly.min.js from the installed plotly wheel, and nothing else from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

FILE_NAME = "plotly.min.js"


def package_folder() -> Path:
    """Where the wheel keeps its script. Found without importing plotly, which is slow."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "The plotly package is not installed; run `make run`, which installs it."
        )
    return Path(spec.origin).parent / "package_data"


class PlotlyFinder(BaseFinder):
    """Finds `plotly/plotly.min.js`."""

    def find(self, path: str, find_all: bool = False, **options: Any) -> Any:
        """The file's absolute path when `path` names it, else nothing."""
        if path != f"plotly/{FILE_NAME}":
            return []
        found = str(package_folder() / FILE_NAME)
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        """The one file, with a storage that knows it under `plotly/`."""
        storage = FileSystemStorage(location=package_folder())
        storage.prefix = "plotly"  # type: ignore[attr-defined]
        yield FILE_NAME, storage
