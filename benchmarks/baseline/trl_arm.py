"""TRL's SFTTrainer as one arm of a comparison: tunes as told, and answers with one line.

Runs in the baseline's own environment and from its own folder, so that the product's `datasets`
does not hide the package of that name. Knows nothing of `tuner`.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

ANSWER = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever the libraries print is not the answer

import torch  # noqa: E402
import transformers  # noqa: E402
from peft import LoraConfig  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

from datasets import Dataset  # noqa: E402

TEMPLATE = Path(__file__).with_name("chatml.jinja")
"""The base model's own, with marks around what the assistant says, which TRL needs to find it."""

FLOAT32: dict[str, Any] = {"bf16": False, "model_init_kwargs": {"dtype": "float32"}}
BFLOAT16: dict[str, Any] = {"bf16": True, "model_init_kwargs": {"dtype": "bfloat16"}}
EAGER: dict[str, Any] = {
    "model_init_kwargs": {"dtype": "bfloat16", "attn_implementation": "eager"},
}
"""On a processor torch's attention kernel is slow in bfloat16; written out it is faster."""
FLASH: dict[str, Any] = {
    "model_init_kwargs": {"dtype": "bfloat16", "attn_implementation": "flash_attention_2"},
}
UNCHECKPOINTED: dict[str, Any] = {"gradient_checkpointing": False}
PADDING_FREE: dict[str, Any] = {"padding_free": True, "max_length": None}
QUANTISED = transformers.BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)

VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "defaults-float32": FLOAT32,
    "padded": BFLOAT16 | UNCHECKPOINTED,
    "padded-float32": FLOAT32 | UNCHECKPOINTED,
    "padding-free": BFLOAT16 | UNCHECKPOINTED | PADDING_FREE,
    "padding-free-eager": BFLOAT16 | UNCHECKPOINTED | PADDING_FREE | EAGER,
    "padding-free-flash": BFLOAT16 | UNCHECKPOINTED | PADDING_FREE | FLASH,
    "padding-free-float32": FLOAT32 | UNCHECKPOINTED | PADDING_FREE,
}
"""Nothing said: bfloat16 and checkpointed activations. The others are an expert's choices."""


class Trainer(SFTTrainer):  # type: ignore[misc]
    """Takes the rows in the order of the file, and remembers each step's loss."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.losses: list[torch.Tensor] = []
        super().__init__(*arguments, **options)

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        loss = super().compute_loss(*arguments, **options)
        if self.model.training:
            self.losses.append(loss.detach())
        return loss


class Clock(transformers.TrainerCallback):  # type: ignore[misc]
    """When the first step began, and every step ended."""

    def __init__(self) -> None:
        self.ready_seconds = 0.0
        self.ends: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())
        self.ready_seconds = self.ends[0] - STARTED

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    @property
    def step_seconds(self) -> list[float]:
        return [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]


def make_trainer(spec: dict[str, Any], clock: Clock) -> Trainer:
    """The trainer of a variant on the given rows."""
    is_adapter = spec["method"] != "full"
    return Trainer(
        model=spec["base"],
        args=SFTConfig(**options(spec)),
        train_dataset=rows(spec["rows"]),
        eval_dataset=rows(spec["held_out"]) if spec["held_out"] else None,
        peft_config=adapter_config(spec["rank"]) if is_adapter else None,
        quantization_config=QUANTISED if spec["method"] == "qlora" else None,
        callbacks=[clock],
    )


def options(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "output_dir": spec["scratch"],
        "per_device_train_batch_size": spec["batch_size"],
        "max_steps": spec["steps"],
        "learning_rate": spec["learning_rate"],
        "lr_scheduler_type": "constant",
        "seed": spec["seed"],
        "assistant_only_loss": True,
        "chat_template_path": str(TEMPLATE),
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        **VARIANTS[spec["variant"]],
    }


def rows(path: str) -> Dataset:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return Dataset.from_list([json.loads(line) for line in lines])


def adapter_config(rank: int) -> LoraConfig:
    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def peak_bytes() -> int:
    """The most memory this process has held: the kernel's high-water mark, or the GPU's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def held_out_loss(trainer: Trainer) -> float:
    """All rows as one batch: TRL's mean over batches would weigh short ones more."""
    trainer.args.per_device_eval_batch_size = len(trainer.eval_dataset)
    loss: float = trainer.evaluate()["eval_loss"]
    return loss


def main() -> None:
    spec = json.loads(sys.argv[1])
    clock = Clock()
    trainer = make_trainer(spec, clock)
    if spec["save_start"]:
        trainer.model.save_pretrained(spec["save_start"])
    trainer.train()
    answer: dict[str, Any] = {
        "ready_seconds": clock.ready_seconds,
        "step_seconds": clock.step_seconds,
        "losses": [float(loss) for loss in trainer.losses],
        "peak_bytes": peak_bytes(),
        "threads": torch.get_num_threads(),
    }
    if spec["held_out"]:
        answer["held_out_loss"] = held_out_loss(trainer)
    if spec["show_tokens"]:
        answer["ids"] = [row["input_ids"] for row in trainer.train_dataset]
        answer["labels"] = [row["labels"] for row in trainer.train_dataset]
    ANSWER.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
