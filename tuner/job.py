"""What a run is to do, checked, before anything heavy is loaded.

Knows the examples, the settings and when to evaluate and save; no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

from tuner import plan
from tuner.adapter import ADAPTER_WEIGHTS
from tuner.checkpoint import hash_examples
from tuner.clock import Clock
from tuner.convert import read_facts
from tuner.encode import ChatEncoder
from tuner.encoded import EncodedExamples
from tuner.errors import SettingsError
from tuner.examples import Example
from tuner.memory import MemoryCalibration
from tuner.methods import check_method
from tuner.probes import Probes
from tuner.settings import TuningSettings
from tuner.start import check_start
from tuner.storage import hash_file


def _unwatched() -> None:
    """In place of `moved` where nobody waits for a sign of life."""


class Job:
    """What is to be done, checked, before anything heavy is loaded."""

    def __init__(
        self,
        settings: TuningSettings,
        examples: Sequence[Example],
        validation: Sequence[Example],
        base: Path,
        checkpoint_folder: Callable[[int], Path] | None,
        save_now: Callable[[int], bool] | None,
        moved: Callable[[], None] | None = None,
        *,
        stop_now: Callable[[], bool] | None = None,
        output: Path | None = None,
        token_cache: Path | None = None,
        start_from: Path | None = None,
        start_mode: str = "continue",
        memory: MemoryCalibration | None = None,
    ) -> None:
        self.moved = moved or _unwatched
        self.clock = Clock()
        self.facts = read_facts(base)
        check_method(settings, self.facts)
        self.start = check_start(start_from, start_mode, settings, base) if start_from else None
        self.start_mode = start_mode
        self.memory = memory
        self.settings = settings
        self.base = base
        self.checkpoint_folder = checkpoint_folder
        self.output = output or base
        self._save_now = save_now
        self._stop_now = stop_now
        self._groups = (examples, validation)
        self.encoder = ChatEncoder.load(base)
        self.limit_tokens = limit = min(
            settings.max_length_tokens, self.facts.context_length_tokens
        )
        self.training, self.validation = (
            EncodedExamples(
                self.encoder,
                group,
                limit,
                self.moved,
                trained_on=settings.trained_on,
                over_length=settings.over_length,
                token_cache=token_cache,
            )
            for group in self._groups
        )
        self.training.check_not_empty()
        if settings.early_stopping_patience is not None and not len(self.validation):
            raise SettingsError(
                "Stopping early needs validation examples to compare losses on. Hold a share of "
                "the examples out, give validation examples, or switch early stopping off."
            )
        self.learning_rate = settings.learning_rate_for(self.facts.parameters)
        self.steps_per_epoch = plan.steps_per_epoch(len(self.training), settings.batch_size)
        self.total_steps = plan.total_steps(len(self.training), settings)

    @cached_property
    def data_hash(self) -> str:
        """One for the examples, their order, and the tuned model that is started from."""
        examples = hash_examples(*self._groups)
        if self.start is None:
            return examples
        weights = hash_file(self.start.folder / ADAPTER_WEIGHTS)
        return f"{examples} {self.start_mode} {weights}"

    def expect_after(self, step: int) -> None:
        """Have the examples of the steps after this one encoded ahead, in their order."""
        batches = plan.training_batches(len(self.training), self.settings, after_step=step)
        # Within two epochs, of which the first may be a part, every example occurs.
        coming = islice(batches, 2 * self.steps_per_epoch)
        self.training.expect(chain.from_iterable(indices for _, indices in coming))

    def close(self) -> None:
        """Stop encoding ahead."""
        self.training.close()
        self.validation.close()

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best evaluation are to become the model."""
        return self.settings.final_model == "best" and len(self.validation) > 0

    def evaluates_after(self, step: int) -> bool:
        """Every so many steps, or at each epoch's end, if there is something to look at."""
        every = self.settings.evaluate_every_steps
        if every is None:
            return len(self.validation) > 0 and step % self.steps_per_epoch == 0
        return step % every == 0

    def wants_save(self, step: int) -> bool:
        return self._save_now is not None and self._save_now(step)

    def wants_stop(self) -> bool:
        return self._stop_now is not None and self._stop_now()

    def probes(self) -> Probes:
        """The fixed prompts: held-out ones if there are any, so that no answer is by heart."""
        return Probes(
            self._groups[1] if len(self.validation) else self._groups[0],
            self.encoder,
            seed=self.settings.seed,
            context_tokens=self.facts.context_length_tokens,
        )
