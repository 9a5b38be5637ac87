"""Forms of the library."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import IntegrityError, transaction

from library.models import TunedModel


class BaseModelForm(forms.Form):
    """Where a base model comes from. Whether it can be had is for `library.shelf` to say."""

    source = forms.CharField(
        label="Source",
        max_length=500,
        help_text="A Hugging Face id (owner/name), the full path of a model folder or .gguf file "
        "on the server, or the word tiny for a small random model to try things with.",
        widget=forms.TextInput(attrs={"placeholder": "HuggingFaceTB/SmolLM2-360M-Instruct"}),
    )
    name = forms.CharField(
        label="Model name",
        max_length=63,
        required=False,
        help_text="Optional. Small letters, digits, dots and dashes; from the source if empty.",
    )


TAKEN = "Another of your tuned models has this name."


class RenameForm(forms.ModelForm):
    """A new name that the owner's other models do not have."""

    class Meta:
        model = TunedModel
        fields = ["name"]
        labels = {"name": "Tuned model name"}

    def clean_name(self) -> str:
        """Refuse a name that is taken; the owner is no field of this form, so Django would not."""
        name: Any = self.cleaned_data["name"]
        others = TunedModel.objects.for_user(self.instance.owner).exclude(pk=self.instance.pk)
        if others.filter(name__iexact=name).exists():
            raise forms.ValidationError(TAKEN)
        return str(name)

    def renames(self) -> bool:
        """Save a valid form. False, with the error in place, if the name was taken meanwhile."""
        try:
            with transaction.atomic():
                self.save()
        except IntegrityError:
            self.add_error("name", TAKEN)
            return False
        return True
