"""A model tuned in full is asked by its own weights, beside the base it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounts.models import User
from library import removal
from library.models import BaseModel, TunedModel
from playground.models_to_ask import columns
from tests.playground.conftest import Browser, question, streamed, text_of
from tests.serving.server import Server, write_adapter
from tuner.tiny import make_tiny_model


@pytest.fixture
def whole(alice: User, tiny_base: BaseModel, data_dir: Path) -> TunedModel:
    """Alice's model with weights of its own."""
    make_tiny_model(data_dir / "adapters" / "whole", seed=3)
    return TunedModel.objects.create(
        owner=alice, name="whole", base=tiny_base, folder_name="adapters/whole", is_whole=True
    )


def test_a_whole_model_and_an_adapter_on_it_answer_with_its_weights(
    serving: Server, browser: Browser, alice: User, whole: TunedModel, data_dir: Path
) -> None:
    write_adapter(whole.folder, data_dir / "adapters" / "on-top", seed=1)
    on_top = TunedModel.objects.create(
        owner=alice,
        name="on top",
        base=whole.base,
        whole_base=whole,
        folder_name="adapters/on-top",
    )
    answers = {}
    for model in [*columns(whole, compare=True), on_top]:
        with streamed(browser(alice), question(model)) as events:
            answers[model.name] = text_of(list(events))
    assert list(answers) == ["tiny", "whole", "on top"]
    assert len(set(answers.values())) == 3
    assert all(answers.values())
    folder = whole.folder.resolve()
    removal.delete_tuned_model(on_top)
    removal.delete_tuned_model(whole)
    assert not [engine for engine in serving.engines() if engine["base"] == str(folder)]
