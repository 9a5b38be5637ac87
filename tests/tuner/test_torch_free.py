"""The half of the engine that every process may use never imports torch or transformers."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from pathlib import Path
import tuner.auto, tuner.machine, tuner.memory
import tuner.errors, tuner.events, tuner.examples, tuner.plan, tuner.settings, tuner.storage
from tuner.convert import check_base_model
from tuner.encode import ChatEncoder
from tuner.tiny import make_tiny_model
import tuner.__main__

folder = make_tiny_model(Path(sys.argv[1]))
check_base_model(folder)
example = tuner.examples.Example.from_pair("one", "two")
ChatEncoder.load(folder).encode_example(example)
print(sorted({"torch", "transformers", "peft", "django"} & set(sys.modules)))
"""


def test_settings_examples_encoding_and_models_facts_need_no_torch(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "tiny")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
