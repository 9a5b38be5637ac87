"""The engine on a command line: `python -m tuner train` and `python -m tuner inspect`.

Whatever a person can put right ends in one sentence on the error stream and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from tuner.command_line import inspect, train
from tuner.errors import TunerError

BAD_INPUT = 2
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Answers a wrong argument with the sentence alone, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{message}. See {self.prog} --help.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except TunerError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write(f"Interrupted; {_what_is_left(options)}.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the events has gone; without this, Python complains again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _what_is_left(options: argparse.Namespace) -> str:
    folder = getattr(options, "checkpoints", None)
    return f"checkpoints saved so far are in {folder}" if folder else "nothing was saved"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m tuner", description="Tune language models.")
    commands = parser.add_subparsers(required=True, metavar="train|inspect")
    training = commands.add_parser("train", help="tune a base model and save what was tuned")
    train.add_arguments(training)
    training.set_defaults(run=train.run)
    inspecting = commands.add_parser("inspect", help="show an example as the model will see it")
    inspect.add_arguments(inspecting)
    inspecting.set_defaults(run=inspect.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
