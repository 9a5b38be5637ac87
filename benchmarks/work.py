"""What an arm is given to do: files of data on disk, the specs that name them, and their weight.

Knows lengths and arithmetic; starts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import shapes
from benchmarks.arms import Spec
from benchmarks.ours import make_settings
from benchmarks.shapes import Shape
from tuner import plan
from tuner.batch import shared_length
from tuner.convert import read_facts
from tuner.encode import ChatEncoder, Encoded


@dataclass(frozen=True)
class Work:
    """Steps of one batch size over one shape of data, the same for every arm."""

    shape: Shape
    spec: Spec
    steps: list[list[Encoded]]
    """The examples of every step."""

    @classmethod
    def prepare(cls, shape: Shape, spec: Spec, folder: Path) -> Work:
        """Write the data into `folder`, once as it is and once in the order of the steps."""
        settings = make_settings(spec)
        batches = list(plan.training_batches(len(shape.examples), settings))
        ordered = [shape.examples[index] for _, batch in batches for index in batch]
        spec = replace(
            spec,
            examples=str(shapes.write_examples(folder / "examples.jsonl", shape.examples)),
            rows=str(shapes.write_examples(folder / "rows.jsonl", ordered)),
            scratch=str(folder),
        )
        encoder = ChatEncoder.load(Path(spec.base))
        encoded = [encoder.encode_example(example) for example in shape.examples]
        return cls(shape, spec, [[encoded[index] for index in batch] for _, batch in batches])

    def counted(self, warm_up_steps: int) -> list[list[Encoded]]:
        return self.steps[warm_up_steps:]


def real_tokens(steps: Sequence[Sequence[Encoded]]) -> int:
    return sum(len(example) for step in steps for example in step)


def needed_operations(steps: Sequence[Sequence[Encoded]], spec: Spec) -> float:
    """Arithmetic that the steps cannot do without: no padding, and nothing twice.

    Forward, and backward to the inputs: 4 per weight and token; tuning every weight needs 6. The
    head only where an answer is predicted, and what a step's examples begin with only once.
    """
    facts = read_facts(Path(spec.base))
    per_weight = 6 if spec.method == "full" else 4
    head = facts.vocabulary_size * facts.hidden_size
    tokens = sum(sum(map(len, step)) - (len(step) - 1) * shared_length(step) for step in steps)
    answers = sum(sum(example.trained) for step in steps for example in step)
    return float(per_weight * (tokens * facts.linear_parameters + answers * head))
