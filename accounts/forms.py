"""The form of the set-up page."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm

from accounts.models import User


class OwnerForm(BaseUserCreationForm):
    """A user name and a password, twice."""

    class Meta:
        model = User
        fields = ["username"]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].help_text = "For signing in. Letters, digits and @ . + - _"
        self.fields["password1"].label = "Password"
        self.fields["password1"].help_text = "At least 8 characters, not a common password."
        self.fields["password2"].label = "Password (again)"
        self.fields["password2"].help_text = ""

    field_order = ["username", "password1", "password2"]

    def clean_username(self) -> str:
        """Names differ by more than capital letters, so that nobody is mistaken for another."""
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError("This user name is taken.")
        return username
