"""The baseline's own virtual environment, made once: TRL needs packages that the product must not.

A product package is named `datasets`, as is one of Hugging Face that TRL imports; so the two never
share an environment nor a working directory. BASELINE_PYTHON names another interpreter that has
all of it.

    .venv/bin/python -m benchmarks.environments
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / ".environments" / "trl"
REQUIREMENTS = Path(__file__).parent / "baseline" / "requirements.txt"
OVERRIDE = "BASELINE_PYTHON"


@cache
def trl_python() -> Path:
    """The interpreter of the environment with TRL, which is made if it is missing or outdated."""
    if OVERRIDE in os.environ:
        return Path(os.environ[OVERRIDE])
    python = FOLDER / "bin" / "python"
    installed = FOLDER / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"Installing the baseline into {FOLDER} (once; torch is large)\n")
        venv.create(FOLDER, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS], check=True)
        installed.write_text(wanted, encoding="utf-8")
    return python


if __name__ == "__main__":
    sys.stdout.write(f"{trl_python()}\n")
