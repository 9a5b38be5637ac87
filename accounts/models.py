"""Who uses the studio. Knows no datasets, jobs or models."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models
from django.db.models import Q


class UserManager(DjangoUserManager["User"]):
    """Accounts by name; an e-mail address is optional but never shared."""

    def _create_user_object(
        self, username: str, email: str | None, password: str | None, **fields: Any
    ) -> User:
        """Keep "no address" as NULL: an empty text would clash with the next empty one."""
        user = super()._create_user_object(  # type: ignore[misc]
            username, email, password, **fields
        )
        user.email = user.email or None
        return user


class User(AbstractUser):
    """A person. The one who set the studio up is its owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(  # type: ignore[assignment]  # NULL where Django has ""
        "e-mail address", unique=True, null=True, blank=True
    )
    is_owner = models.BooleanField(default=False)

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            # Two tabs of the set-up page race to this row; the database lets one win.
            models.UniqueConstraint(
                fields=["is_owner"], condition=Q(is_owner=True), name="one_owner"
            )
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a missing address as NULL, however it arrived."""
        self.email = self.email or None
        super().save(*args, **kwargs)
