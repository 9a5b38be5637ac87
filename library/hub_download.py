"""`python -m library.hub_download ID FOLDER PATTERN...`: fetch a model from the Hugging Face hub.

Says on standard output how many bytes there are in all, and on standard error, in its last line,
why it failed. A second try goes on where the first ended. Knows nothing of Django.
"""

from __future__ import annotations

import sys

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    disable_progress_bars,
    filter_repo_objects,
)


def main() -> None:
    """Fetch, or exit with a sentence."""
    source, folder, *patterns = sys.argv[1:]
    disable_progress_bars()
    try:
        sys.stdout.write(f"{total_bytes(source, patterns)}\n")
        sys.stdout.flush()
        snapshot_download(source, local_dir=folder, allow_patterns=patterns)
    except Exception as error:  # whichever library beneath raised it, a person reads one sentence
        raise SystemExit(sentence(source, error)) from None


def total_bytes(source: str, patterns: list[str]) -> int:
    """The size of all files that will be fetched; also finds out whether there are any."""
    files = HfApi().model_info(source, files_metadata=True).siblings or []
    sizes = {file.rfilename: file.size or 0 for file in files}
    return sum(sizes[name] for name in filter_repo_objects(sizes, allow_patterns=patterns))


def sentence(source: str, error: Exception) -> str:
    """What happened and what to do, in one line."""
    if isinstance(error, HFValidationError):
        return f"{source!r} is not the id of a model on the Hugging Face hub. Check its spelling."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no open model {source!r} on the Hugging Face hub. Check its id; a model "
            "behind a licence page must be downloaded by hand and added as a folder."
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return (
        f"{source} could not be downloaded ({reason}). Check the internet connection and try "
        "again; what is here already is kept."
    )


if __name__ == "__main__":
    main()
