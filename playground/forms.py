"""What a person sends: a prompt, the model, and how it should answer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from playground import conversation
from playground.conversation import Exchange
from playground.models_to_ask import Groups
from tuner.examples import Message

PARAMETERS = ("temperature", "top_p", "top_k", "max_tokens")


class SelectWithBase(forms.Select):
    """A select whose options say which base model they stand on, for the page's script."""

    base_ids: dict[str, str] = {}

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The option, with its base and its own name beside it."""
        option = super().create_option(name, value, *args, **kwargs)
        option["attrs"]["data-base"] = self.base_ids.get(str(value), "")
        return option


class LinesField(forms.CharField):
    """Text of several lines as it was typed: browsers send each line end as two characters."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> str:
        """With the line ends that examples have, so that the model knows them."""
        return (super().to_python(value) or "").replace("\r\n", "\n")


class ParametersForm(forms.Form):
    """How the answer is made. Each has a sentence on what it does."""

    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        initial=0.2,
        widget=forms.NumberInput(attrs={"step": "0.1"}),
        help_text="0 always gives the likeliest answer; 0.7 to 1 brings variety.",
    )
    top_p = forms.FloatField(
        label="Top-p",
        min_value=0.01,
        max_value=1,
        initial=1,
        widget=forms.NumberInput(attrs={"step": "0.01"}),
        help_text="Draws only from the likeliest tokens that together reach this share. "
        "1 is off, 0.9 is usual.",
    )
    top_k = forms.IntegerField(
        label="Top-k",
        min_value=0,
        max_value=1000,
        initial=0,
        help_text="Draws only from this many likeliest tokens. 0 is off, 40 is usual.",
    )
    max_tokens = forms.IntegerField(
        label="Max tokens",
        min_value=1,
        max_value=100_000,
        initial=256,
        help_text="The longest an answer may get; a token is about four letters.",
    )
    system_prompt = LinesField(
        label="System instructions",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Come before the conversation. Leave them empty if your examples had none.",
    )

    def parameters(self) -> dict[str, Any]:
        """As the model server takes them."""
        return {name: self.cleaned_data[name] for name in PARAMETERS}

    def system_messages(self) -> list[Message]:
        """The system prompt as the first turn, if there is one."""
        text = self.cleaned_data["system_prompt"].strip()
        return [Message("system", text)] if text else []

    def parameter_fields(self) -> list[forms.BoundField]:
        """The fields of the drawer."""
        return [self[name] for name in ParametersForm.base_fields]

    def sentence(self) -> str:
        """All that is wrong, in one line, for a place that has no fields."""
        return " ".join(
            f"{self[name].label}: {' '.join(map(str, errors))}"
            if name in self.fields
            else str(errors)
            for name, errors in self.errors.items()
        )


class AnswerForm(ParametersForm):
    """One model's turn in a conversation, as the page's script asks for it."""

    model = forms.UUIDField()
    turns = forms.JSONField()

    def clean_turns(self) -> list[Message]:
        """The conversation so far as this model knows it; the last turn is the new prompt."""
        turns = conversation.read_turns(self.cleaned_data["turns"])
        if not turns or turns[-1].role != "user":
            raise forms.ValidationError("The last turn must be a prompt.")
        check_length(turns[-1].content)
        return turns

    def messages(self) -> list[Message]:
        """All that the model is to read."""
        return [*self.system_messages(), *self.cleaned_data["turns"]]


class PromptForm(ParametersForm):
    """The page's own form, which works without a script."""

    model = forms.TypedChoiceField(label="Model", widget=SelectWithBase)
    compare = forms.BooleanField(label="Compare with its base", required=False)
    prompt = LinesField(
        label="Prompt",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "Ask the way your examples do"}),
    )
    history = forms.JSONField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, groups: Groups, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["model"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [
            (label, [(str(model.pk), model.name) for model in members]) for label, members in groups
        ]
        assert isinstance(field.widget, SelectWithBase)
        field.widget.base_ids = {
            str(model.pk): str(getattr(model, "base_id", ""))
            for _, members in groups
            for model in members
        }

    def clean_prompt(self) -> str:
        """A prompt of something, within the limit."""
        prompt: str = self.cleaned_data["prompt"]
        if not prompt.strip():
            raise forms.ValidationError("Type a prompt first.")
        return check_length(prompt)

    def clean_history(self) -> list[Exchange]:
        """What was said before, as the page sends it back."""
        return conversation.read_history(self.cleaned_data["history"] or [])


def check_length(prompt: str) -> str:
    """The prompt, if it is within the studio's limit."""
    limit = settings.PROMPT_LIMIT_CHARACTERS
    if len(prompt) > limit:
        raise forms.ValidationError(
            f"The prompt has {len(prompt):,} characters; at most {limit:,} are read. Shorten it."
        )
    return prompt
