"""Forms around names and passwords."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth_forms
from django import forms
from django.contrib.auth.forms import BaseUserCreationForm

from accounts.models import User

PASSWORD_HELP = "At least 8 characters, not a common password."


class OwnerForm(BaseUserCreationForm):
    """A user name and a password, twice."""

    class Meta:
        model = User
        fields = ["username"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].help_text = "For signing in. Letters, digits and @ . + - _"
        self.fields["password1"].label = "Password"
        self.fields["password1"].help_text = PASSWORD_HELP
        self.fields["password2"].label = "Password (again)"
        self.fields["password2"].help_text = ""

    field_order = ["username", "password1", "password2"]

    def clean_username(self) -> str:
        """Names differ by more than capital letters, so that nobody is mistaken for another."""
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError("This user name is taken.")
        return username


def dress(form: forms.Form, labels: dict[str, str]) -> None:
    """Our labels; and no placeholders, which repeat them and vanish when one types."""
    for name, field in form.fields.items():
        field.widget.attrs.pop("placeholder", None)
        field.label = labels.get(name, field.label)
        field.help_text = PASSWORD_HELP if name == "password1" else ""


class SignInForm(allauth_forms.LoginForm):
    """Name and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self, {"login": "Username", "password": "Password"})
        self.fields["login"].widget.attrs["autofocus"] = True


class PasswordChangeForm(allauth_forms.ChangePasswordForm):
    """The old password, and the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = {
            "oldpassword": "Current password",
            "password1": "New password",
            "password2": "New password (again)",
        }
        dress(self, labels)


class NewPasswordForm(allauth_forms.SetPasswordForm):
    """A first password, twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self, {"password1": "Password", "password2": "Password (again)"})


class ConfirmPasswordForm(allauth_forms.ReauthenticateForm):
    """The password of whoever is signed in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self, {"password": "Password"})
