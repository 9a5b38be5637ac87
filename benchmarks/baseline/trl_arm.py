"""TRL's SFTTrainer as one arm of a comparison: told by lines on stdin when to take how many steps.

Runs in the baseline's own environment and from its own folder, so that the product's `datasets`
does not hide the package of that name. Knows nothing of `tuner`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
REPLIES = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # whatever the libraries print is not a reply

import torch  # noqa: E402
import transformers  # noqa: E402
from peft import LoraConfig, PeftModel  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

import datasets  # noqa: E402

TEMPLATE = Path(__file__).with_name("chatml.jinja")

DEFAULTS: dict[str, Any] = {}
"""What TRL does when nobody changes anything: mixed bfloat16 and checkpointed activations."""

FLOAT32: dict[str, Any] = {"bf16": False, "model_init_kwargs": {"dtype": "float32"}}
BFLOAT16: dict[str, Any] = {"bf16": True, "model_init_kwargs": {"dtype": "bfloat16"}}
NO_CHECKPOINTING: dict[str, Any] = {"gradient_checkpointing": False}
PADDING_FREE: dict[str, Any] = {"padding_free": True, "max_length": None}

VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": DEFAULTS,
    "defaults-float32": FLOAT32,
    "expert": BFLOAT16 | NO_CHECKPOINTING,
    "expert-float32": FLOAT32 | NO_CHECKPOINTING,
    "expert-padding-free": BFLOAT16 | NO_CHECKPOINTING | PADDING_FREE,
    "expert-padding-free-float32": FLOAT32 | NO_CHECKPOINTING | PADDING_FREE,
    "expert-padding-free-eager": BFLOAT16
    | NO_CHECKPOINTING
    | PADDING_FREE
    | {"model_init_kwargs": {"dtype": "bfloat16", "attn_implementation": "eager"}},
    "expert-grouped": BFLOAT16 | NO_CHECKPOINTING | {"train_sampling_strategy": "group_by_length"},
}


class Trainer(SFTTrainer):  # type: ignore[misc]
    """Takes the rows in the order of the file, and remembers each step's loss."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.losses: list[torch.Tensor] = []
        super().__init__(*arguments, **options)

    def _get_train_sampler(self, *arguments: Any) -> Any:
        if self.args.train_sampling_strategy == "group_by_length":
            return super()._get_train_sampler(*arguments)
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        loss = super().compute_loss(*arguments, **options)
        if self.model.training:
            self.losses.append(loss.detach())
        return loss


class Commands(transformers.TrainerCallback):  # type: ignore[misc]
    """Waits before each group of steps until told to go, and answers with time and losses."""

    def __init__(self) -> None:
        self.trainer: Any = None
        self.steps_left = 0
        self.asked = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if not self.steps_left:
            self.steps_left = int(sys.stdin.readline())
            self.trainer.losses.clear()
            self.asked = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.steps_left -= 1
        if not self.steps_left:
            losses = [float(loss) for loss in self.trainer.losses]
            reply(seconds=time.perf_counter() - self.asked, losses=losses)


def reply(**values: Any) -> None:
    """One line to whoever compares."""
    REPLIES.write(json.dumps(values) + "\n")


def peak_bytes() -> int:
    """The most memory this process has held."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def make_trainer(spec: dict[str, Any], commands: Commands) -> Trainer:
    """The trainer of a variant on the given rows, from the given adapter if there is one."""
    options = {
        "output_dir": spec["scratch"],
        "per_device_train_batch_size": spec["batch_size"],
        "max_steps": spec["steps"],
        "learning_rate": spec["learning_rate"],
        "lr_scheduler_type": "constant",
        "assistant_only_loss": True,
        "chat_template_path": str(TEMPLATE),
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        **VARIANTS[spec["variant"]],
    }
    rows = datasets.Dataset.from_list(
        [json.loads(line) for line in Path(spec["rows"]).read_text(encoding="utf-8").splitlines()]
    )
    trainer = Trainer(
        model=spec["base"],
        args=SFTConfig(**options),
        train_dataset=rows,
        peft_config=None if spec["full"] else adapter_config(spec["rank"]),
        callbacks=[commands],
    )
    if spec["adapter"]:
        trainer.model.load_adapter(spec["adapter"], "default", is_trainable=True)
    commands.trainer = trainer
    return trainer


def adapter_config(rank: int) -> LoraConfig:
    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def main() -> None:
    spec = json.loads(sys.argv[1])
    commands = Commands()
    trainer = make_trainer(spec, commands)
    if spec["save_start"]:
        assert isinstance(trainer.model, PeftModel)
        trainer.model.save_pretrained(spec["save_start"])
    reply(
        ready_seconds=time.perf_counter() - STARTED,
        threads=torch.get_num_threads(),
        ids=[row["input_ids"] for row in trainer.train_dataset] if spec["show_tokens"] else [],
        labels=[row["labels"] for row in trainer.train_dataset] if spec["show_tokens"] else [],
    )
    trainer.train()
    reply(peak_bytes=peak_bytes())


if __name__ == "__main__":
    main()
