"""The one-time token that lets the first person in. Valid until any account exists."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from web.kept_secret import kept_secret


class SetupClosedError(Exception):
    """An account exists already; the set-up page is gone."""


def is_open() -> bool:
    """Whether the studio still waits for its first account."""
    return not User.objects.exists()


def token() -> str:
    """The token, made with mode 0600 on first use."""
    return kept_secret(settings.SETUP_TOKEN_FILE)


def matches(candidate: str) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(candidate.encode(), token().encode())


def create_owner(username: str, password: str) -> User:
    """The first account. Raises SetupClosedError when somebody else was first."""
    try:
        with transaction.atomic():
            if not is_open():
                raise SetupClosedError
            owner = User.objects.create_superuser(username, None, password, is_owner=True)
    except IntegrityError as error:
        raise SetupClosedError from error
    settings.SETUP_TOKEN_FILE.unlink(missing_ok=True)
    return owner
