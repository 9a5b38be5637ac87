"""What binds the design, as facts that a test can see."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
APPS = ["accounts", "web", "work", "datasets", "library", "jobs", "playground"]
PACKAGES = [*APPS, "studio", "tuner", "serving"]
SOURCES = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return finished.stdout.strip()


def test_our_datasets_package_is_found_and_empty() -> None:
    """It shadows a library of the same name, so it must not grow anything that looks like it."""
    assert (REPOSITORY / "datasets" / "__init__.py").read_text() == ""
    found = run_python("import datasets; print(datasets.__file__)")
    assert found == str(REPOSITORY / "datasets" / "__init__.py")


def test_the_pages_run_without_torch() -> None:
    code = (
        "import sys, studio.asgi; from django.urls import get_resolver; "
        "get_resolver().url_patterns; import datasets.views, jobs.views, playground.views; "
        "print({'torch', 'transformers', 'peft'} & set(sys.modules))"
    )
    assert run_python(code) == "set()"


def test_the_model_server_is_up_without_torch_and_without_django() -> None:
    code = "import sys, serving.host; print({'torch', 'django'} & set(sys.modules))"
    assert run_python(code) == "set()"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or "migrations" in path.parts or text.startswith(('"""', "#!"))


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        path.relative_to(REPOSITORY).as_posix()
        for path in SOURCES
        if re.search(r"os\.(getenv|environ\.get|environ\[[^]]+\](?! =))", path.read_text())
        and not path.relative_to(REPOSITORY).as_posix().startswith(("tuner/", "serving/"))
    }
    assert readers == {"studio/env.py"}


def test_every_setting_of_the_environment_is_documented() -> None:
    text = (REPOSITORY / "studio" / "settings.py").read_text()
    names = set(re.findall(r'env\.(?:text|flag|number|words)\(\s*"([A-Z_]+)"', text))
    documented = set(
        re.findall(r"^\| `([A-Z_]+)`", (REPOSITORY / "docs/settings.md").read_text(), re.M)
    )
    assert names == documented


def test_every_message_of_the_protocol_has_its_case_on_the_page() -> None:
    protocol = (REPOSITORY / "jobs" / "protocol.py").read_text()
    script = (REPOSITORY / "static" / "js" / "job-live.js").read_text()
    types = set(re.findall(r'type: Literal\["(\w+)"\]', protocol))
    assert types == set(re.findall(r'case "(\w+)":', script))
    assert types


def test_the_readme_names_every_folder() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    folders = {path.split("/")[0] for path in tracked if "/" in path}
    missing = {name for name in folders if f"{name}/" not in readme and not name.startswith(".")}
    assert missing == set()


def test_no_third_party_file_is_copied_in() -> None:
    minified = [path for path in (REPOSITORY / "static").rglob("*") if ".min." in path.name]
    assert minified == []


def test_templates_hold_no_inline_script() -> None:
    for path in (REPOSITORY / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>(?!\s*</script>)", text), path
        assert not re.search(r"\son(click|change|submit|load)=", text), path
