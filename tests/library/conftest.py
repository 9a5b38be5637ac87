"""A shelf with models on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from library.models import BaseModel, TunedModel
from tuner.settings import TuningSettings

ModelMaker = Callable[..., TunedModel]


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser. She may not add base models."""
    client.force_login(alice)
    return client


@pytest.fixture
def staff_page(alice: User) -> Client:
    """Alice's browser, with her as staff."""
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def make_model(alice: User, tiny_base: BaseModel, data_dir: Path) -> ModelMaker:
    """Put a tuned model with an adapter's file on the shelf."""

    def make(name: str = "counter", owner: User = alice) -> TunedModel:
        model = TunedModel.objects.create(
            owner=owner,
            name=name,
            base=tiny_base,
            folder_name=f"adapters/{owner.username}-{name}",
            training_loss=0.125,
            validation_loss=0.25,
            loss_curve=[2.0, 1.0, 0.125],
            provenance={
                "dataset": "numbers",
                "dataset_version": 2,
                "examples": 1234,
                "settings": TuningSettings(validation_share=0.15).as_dict(),
                "facts": {"learning_rate": 0.001, "precision": "float32", "threads": 2},
                "steps": 170,
            },
        )
        model.folder.mkdir(parents=True)
        (model.folder / "adapter_model.safetensors").write_bytes(b"0" * 2048)
        return model

    return make
