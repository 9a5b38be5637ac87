"""`python -m library.tied MODULE ARGUMENT...`: run a module for as long as its parent lives.

Its standard input is a pipe that the parent holds and writes nothing to. The kernel closes it
however the parent ends, and this process ends with it. Knows neither Django nor what it runs.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Become the module named first, with the remaining arguments."""
    threading.Thread(target=end_with_standard_input, name="parent watch", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def end_with_standard_input() -> None:
    """End at once: what is fetched goes on next time from where it is now."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
