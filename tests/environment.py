"""A data folder of its own for the tests, set before Django reads its settings.

Loaded as a pytest plugin (`-p tests.environment`), because that is earlier than any conftest.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Short, because a unix socket's path may have 107 characters at most.
FOLDER = tempfile.mkdtemp(prefix="studio-", dir="/tmp")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

os.environ["DATA_DIR"] = FOLDER
for name in ("DATABASE_URL", "REDIS_URL", "STUDIO_DEBUG", "STUDIO_HOSTS", "SECRET_KEY"):
    os.environ.pop(name, None)
