"""The engine on a command line: `python -m tuner train --data FILE --base DIR --out DIR`.

Turns arguments into settings and events into lines. Whatever a person can put right ends in one
sentence on the error stream and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from tuner.convert import check_base_model
from tuner.errors import TunerError
from tuner.events import Evaluated, Event, Finished, Phase, Saved, Started, Step
from tuner.examples import Example, read_examples, split_examples
from tuner.settings import TuningSettings
from tuner.storage import check_free

BAD_INPUT = 2
INTERRUPTED = 130
_TYPES = {"int": int, "float": float, "str": str}


class _Parser(argparse.ArgumentParser):
    """Answers a wrong argument with the sentence alone, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{message}. See python -m tuner train --help.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        _train(options)
    except TunerError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; nothing was saved.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the events has gone; without this, Python complains again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m tuner", description="Tune language models.")
    commands = parser.add_subparsers(required=True, metavar="train")
    train = commands.add_parser("train", help="tune a base model and save the adapter")
    train.add_argument(
        "--data", type=Path, required=True, help="examples: .jsonl, .json, .csv or .tsv"
    )
    train.add_argument("--base", type=Path, required=True, help="folder of the base model")
    train.add_argument("--out", type=Path, required=True, help="new folder for the adapter")
    train.add_argument("--json", action="store_true", help="write one JSON object per event")
    held_out = train.add_mutually_exclusive_group()
    held_out.add_argument("--validation", type=Path, help="examples to measure the loss on")
    learning_rate = train.add_mutually_exclusive_group()
    groups = {
        "validation_share": held_out,
        "learning_rate": learning_rate,
        "learning_rate_multiplier": learning_rate,
    }
    for setting in fields(TuningSettings):
        kind = str(setting.type).removesuffix(" | None")
        reads: dict[str, Any] = (
            {"action": argparse.BooleanOptionalAction} if kind == "bool" else {"type": _TYPES[kind]}
        )
        groups.get(setting.name, train).add_argument(
            "--" + setting.name.replace("_", "-"),
            **reads,
            default=argparse.SUPPRESS,
            help=f"{setting.metadata['help']} (default: {setting.default})",
        )
    return parser


def _train(options: argparse.Namespace) -> None:
    given = vars(options)
    settings = TuningSettings.from_dict(
        {
            setting.name: given[setting.name]
            for setting in fields(TuningSettings)
            if setting.name in given
        }
    )
    check_free(options.out)
    examples, validation = _read_data(options, settings)
    check_base_model(options.base)
    from tuner.train import train  # torch takes seconds to import; bad input is answered before

    events = train(settings, examples, options.out, base=options.base, validation=validation)
    with closing(events):
        for event in events:
            line = json.dumps(event.as_dict()) if options.json else _sentence(event)
            if line:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


def _read_data(
    options: argparse.Namespace, settings: TuningSettings
) -> tuple[list[Example], list[Example]]:
    examples = read_examples(options.data)
    if options.validation is not None:
        return examples, read_examples(options.validation)
    return split_examples(examples, settings.validation_share, settings.seed)


def _sentence(event: Event) -> str | None:
    match event:
        case Started():
            dropped = event.dropped_examples
            left_out = f", {dropped} left out as too long" if dropped else ""
            return (
                f"{event.training_examples} examples{left_out}, {event.total_steps} steps, "
                f"{event.trainable_parameters:,} trainable parameters, {event.precision}"
            )
        case Step():
            return f"step {event.step}  epoch {event.epoch:.2f}  loss {event.train_loss:.4f}"
        case Evaluated():
            return f"epoch {event.epoch:.0f}  validation loss {event.validation_loss:.4f}"
        case Saved(is_adapter=True):
            return f"saved {event.path}"
        case Finished():
            return (
                f"finished in {event.wall_seconds:.1f} s, "
                f"{event.examples_per_second:.1f} examples per second"
            )
        case Phase():
            return f"{event.name} ..."
    return None


if __name__ == "__main__":
    sys.exit(main())
