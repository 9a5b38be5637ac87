"""The settings of one tuning job: one frozen schema for the form, the API, files and command line.

Every field carries a `help` sentence in its metadata. Knows ranges and how settings depend on
each other, not where they come from or what they do to a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from tuner.errors import SettingsError

METHODS = ("lora", "qlora", "full")
SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
OVER_LENGTH_POLICIES = ("drop", "truncate", "refuse")
TRAINED_ON = ("answers", "last answer", "everything")
SWITCHES = ("auto", "on", "off")
FINAL_MODELS = ("best", "last")
ADAPTED_LAYERS = {
    "all": "every linear layer",
    "attention": "the layers of the attention",
    "mlp": "the layers between the attentions",
}
"""Names for groups of layers an adapter may sit on; anything else is a list of module names."""

_WHOLE_NUMBER_RANGES = {
    "epochs": (1, 1000),
    "max_steps": (1, 10_000_000),
    "batch_size": (1, 1024),
    "lora_rank": (1, 256),
    "lora_alpha": (1, 1024),
    "seed": (0, 2**31 - 1),
    "max_length_tokens": (8, 1_000_000),
    "micro_batch_tokens": (16, 10_000_000),
    "evaluate_every_steps": (1, 10_000_000),
    "early_stopping_patience": (1, 1000),
    "checkpoints_kept": (1, 1000),
}
_NUMBER_RANGES = {
    "learning_rate": (1e-8, 1.0),
    "learning_rate_multiplier": (1e-4, 100.0),
    "lora_dropout": (0.0, 0.9),
    "validation_share": (0.0, 0.5),
    "replay_share": (0.0, 0.9),
    "warmup_share": (0.0, 0.5),
    "weight_decay": (0.0, 1.0),
    "gradient_clip_norm": (1e-3, 1000.0),
    "early_stopping_minimum_change": (0.0, 100.0),
}
_CHOICES = {
    "method": METHODS,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "over_length": OVER_LENGTH_POLICIES,
    "trained_on": TRAINED_ON,
    "activation_checkpointing": SWITCHES,
    "final_model": FINAL_MODELS,
}
_YES_OR_NO = ("use_rslora", "use_dora")
_ADAPTER_ONLY = ("use_rslora", "use_dora")
_LARGEST = 10**15
_LORA_LEARNING_RATES = ((300e6, 1e-3), (1e9, 5e-4), (15e9, 2e-4), (_LARGEST, 1e-4))
_FULL_LEARNING_RATES = ((300e6, 1e-4), (1e9, 5e-5), (15e9, 2e-5), (_LARGEST, 1e-5))
"""(parameters up to, learning rate): larger models want smaller steps, and full tuning a tenth of
what an adapter wants (Schulman et al., LoRA Without Regret, 2025)."""


def default_learning_rate(method: str, parameters: int) -> float:
    """What the multiplier scales: the usual learning rate of a method for a base of this size."""
    table = _FULL_LEARNING_RATES if method == "full" else _LORA_LEARNING_RATES
    return next(rate for limit, rate in table if parameters <= limit)


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """How to tune: checked when made, so that whoever holds one holds a possible job."""

    method: str = _setting(
        "lora",
        "lora tunes a small adapter, qlora the same over a 4-bit base, full tunes every weight.",
    )
    epochs: int = _setting(5, "How many times the training goes through all examples.")
    max_steps: int | None = _setting(
        None, "Number of steps, in place of epochs; empty goes by epochs."
    )
    batch_size: int = _setting(4, "Examples per step: more is steadier, fewer learns sooner.")
    learning_rate: float | None = _setting(
        None, "Size of a step, given outright; empty takes the default times the multiplier."
    )
    learning_rate_multiplier: float = _setting(
        1.0, "Scales the default learning rate: raise it to learn more, lower it to forget less."
    )
    lora_rank: int = _setting(8, "Width of the adapter: wider learns more and forgets more.")
    lora_alpha: int | None = _setting(
        None, "Strength of the adapter; empty takes twice the adapter size."
    )
    lora_dropout: float = _setting(
        0.0, "Share of the adapter's inputs blanked at random, against learning by heart."
    )
    lora_layers: str = _setting(
        "all",
        "Layers the adapter sits on: all, attention, mlp, or module names with commas between.",
    )
    use_rslora: bool = _setting(
        False, "Scale the adapter by the root of its size (rsLoRA), which suits sizes above 32."
    )
    use_dora: bool = _setting(
        False, "Learn length and direction of the weights apart (DoRA); slower, at times better."
    )
    trained_on: str = _setting(
        "answers", "What is learned: every answer, only the last answer, or everything."
    )
    validation_share: float = _setting(
        0.0, "Share of the examples held out to measure the validation loss."
    )
    replay_share: float = _setting(
        0.0, "Share of general conversations mixed in, against forgetting."
    )
    seed: int = _setting(0, "The same seed on the same machine gives the same model.")
    max_length_tokens: int = _setting(2048, "The longest example that is used whole, in tokens.")
    over_length: str = _setting(
        "drop", "What becomes of longer examples: drop, truncate, or refuse to start."
    )
    schedule: str = _setting("linear", "How the learning rate falls after the warm-up.")
    warmup_share: float = _setting(0.05, "Share of the steps in which the learning rate rises.")
    weight_decay: float = _setting(0.0, "Pull of the trained weights towards zero.")
    gradient_clip_norm: float = _setting(1.0, "Longest gradient a step may follow.")
    precision: str = _setting(
        "auto", "Number format of the base; auto takes the faster one on this machine."
    )
    activation_checkpointing: str = _setting(
        "auto", "Compute activations twice instead of keeping them: less memory, a third slower."
    )
    micro_batch_tokens: int | None = _setting(
        None, "Most tokens computed at once; empty lets the memory of this machine decide."
    )
    evaluate_every_steps: int | None = _setting(
        None, "Steps between two evaluations; empty evaluates after each epoch."
    )
    early_stopping_patience: int | None = _setting(
        None, "Evaluations without improvement after which tuning stops; empty never stops early."
    )
    early_stopping_minimum_change: float = _setting(
        0.0, "How much the validation loss has to fall to count as an improvement."
    )
    checkpoints_kept: int = _setting(2, "Newest checkpoints that stay; the best one stays too.")
    final_model: str = _setting(
        "best", "Which weights become the model: those of the best evaluation, or the last."
    )

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE_NUMBER_RANGES.items():
            _check_whole_number(name, getattr(self, name), low, high)
        for name, (low_number, high_number) in _NUMBER_RANGES.items():
            _check_number(name, getattr(self, name), low_number, high_number)
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for name in _YES_OR_NO:
            if not isinstance(getattr(self, name), bool):
                raise SettingsError(f"{label(name)} must be true or false.")
        self._check_together()

    def _check_together(self) -> None:
        if self.learning_rate is not None and self.learning_rate_multiplier != 1.0:
            raise SettingsError("Give either a learning rate or a multiplier, not both.")
        for name in _ADAPTER_ONLY:
            if self.method == "full" and getattr(self, name):
                raise SettingsError(f"{label(name)} needs an adapter; full tuning has none.")
        if not self.lora_layer_names:
            raise SettingsError(
                f"LoRA layers must be one of {', '.join(ADAPTED_LAYERS)}, or module names with "
                f"commas between, not {self.lora_layers!r}."
            )

    def learning_rate_for(self, parameters: int) -> float:
        """The highest learning rate of a job on a base model with so many parameters."""
        if self.learning_rate is not None:
            return self.learning_rate
        return default_learning_rate(self.method, parameters) * self.learning_rate_multiplier

    @property
    def lora_layer_names(self) -> tuple[str, ...]:
        """`lora_layers` as given with commas; one of ADAPTED_LAYERS, or names of modules."""
        return tuple(name.strip() for name in str(self.lora_layers).split(",") if name.strip())

    @property
    def uses_adapter(self) -> bool:
        return self.method != "full"

    @property
    def resolved_lora_alpha(self) -> int:
        return self.lora_alpha if self.lora_alpha is not None else 2 * self.lora_rank

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TuningSettings:
        unknown = sorted(set(values) - {setting.name for setting in fields(cls)})
        if unknown:
            names = [setting.name for setting in fields(cls)]
            near = get_close_matches(unknown[0], names, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise SettingsError(
                f"Unknown setting {unknown[0]!r}.{meant} The settings are: {', '.join(names)}."
            )
        return cls(**values)


def label(name: str) -> str:
    """The name of a setting as it begins a sentence: lora_rank -> 'LoRA rank'."""
    words = name.replace("_", " ").replace("rslora", "rsLoRA").replace("dora", "DoRA")
    words = " ".join("LoRA" if word == "lora" else word for word in words.split(" "))
    return words[0].upper() + words[1:]


def help_text(name: str) -> str:
    """The one sentence that explains a setting to the person choosing it."""
    for setting in fields(TuningSettings):
        if setting.name == name:
            return str(setting.metadata["help"])
    raise SettingsError(f"Unknown setting {name!r}.")


_OPTIONAL = frozenset(
    setting.name for setting in fields(TuningSettings) if str(setting.type).endswith("| None")
)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{label(name)} must be one of {', '.join(choices)}, not {value!r}.")


def _check_whole_number(name: str, value: object, low: int, high: int) -> None:
    if value is None and name in _OPTIONAL:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SettingsError(
            f"{label(name)} must be a whole number from {low} to {high}, not {value!r}."
        )


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if value is None and name in _OPTIONAL:
        return
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return  # not a number and infinity fail the comparison
    raise SettingsError(f"{label(name)} must be a number from {low:g} to {high:g}, not {value!r}.")
