"""Answers as they stream: through the real application, server and engine."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import httpx
import pytest
from pytest_django import Settings

from accounts.models import User
from library import removal, server
from library.models import BaseModel, TunedModel
from tests.playground.conftest import Browser, question, streamed, text_of
from tests.serving.server import Server, held, wait_until

ENDLESS = 2000


def engine_of(serving: Server, base: BaseModel) -> dict[str, int]:
    return serving.engine(base.folder)


def test_an_own_model_streams_its_answer_and_says_how_it_ended(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    with streamed(browser(alice), question(tuned)) as events:
        seen = [event for event in events if event["type"] != "state"]
    assert len(seen) > 3
    assert text_of(seen) == serving.answer(str(tuned.pk), max_tokens=24)
    assert seen[-1]["type"] == "end"
    assert seen[-1]["words"].startswith("Cut off at max tokens · 24 tokens · ")


def test_a_base_model_is_open_to_everyone_and_answers_otherwise(
    serving: Server, browser: Browser, alice: User, bob: User, tuned: TunedModel
) -> None:
    with streamed(browser(bob), question(tuned.base)) as events:
        of_base = text_of(list(events))
    with streamed(browser(alice), question(tuned)) as events:
        of_tuned = text_of(list(events))
    assert of_base
    assert of_base != of_tuned


def test_the_first_piece_is_there_while_the_engine_is_held_before_the_last(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    with streamed(browser(alice), question(tuned)) as events:
        list(events)
    pid = engine_of(serving, tuned.base)["pid"]
    sent = question(tuned, max_tokens=ENDLESS)
    with streamed(browser(alice), sent, timeout=1) as events:
        seen = [next(event for event in events if event["type"] == "piece")]
        with held(pid), pytest.raises(httpx.ReadTimeout):
            seen.extend(events)
    assert {event["type"] for event in seen} == {"piece"}


def test_leaving_the_page_stops_the_generation_within_a_second(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    with streamed(browser(alice), question(tuned, max_tokens=ENDLESS)) as events:
        next(event for event in events if event["type"] == "piece")
        assert engine_of(serving, tuned.base)["active"] == 1
    wait_until(lambda: engine_of(serving, tuned.base)["active"] == 0, seconds=1)


def test_a_model_that_has_to_be_loaded_first_says_so(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    for engine in serving.engines():
        os.kill(engine["pid"], signal.SIGKILL)
    with streamed(browser(alice), question(tuned)) as events:
        seen = list(events)
    assert seen[0] == {"type": "state", "words": "Loading the model…"}
    assert text_of(seen)


def test_earlier_turns_change_the_answer(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    turns = (
        '[{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},'
        ' {"role": "user", "content": "hi"}]'
    )
    with streamed(browser(alice), question(tuned)) as events:
        alone = text_of(list(events))
    with streamed(browser(alice), question(tuned, turns=turns)) as events:
        later = text_of(list(events))
    with streamed(browser(alice), question(tuned, system_prompt="Count.")) as events:
        told = text_of(list(events))
    assert len({alone, later, told}) == 3


def test_a_stranger_gets_no_answer_of_someone_elses_model(
    serving: Server, browser: Browser, bob: User, tuned: TunedModel
) -> None:
    refused = browser(bob).post("/playground/answer/", data=question(tuned))
    assert refused.status_code == 404
    assert "no longer there, or no longer yours" in refused.json()["error"]


def test_nobody_signed_in_is_sent_to_sign_in(
    serving: Server, studio_server: str, tuned: TunedModel
) -> None:
    with httpx.Client(cookies={"csrf": "x"}) as client:
        refused = client.post(f"http://{studio_server}/playground/answer/", data=question(tuned))
    assert refused.status_code in {302, 403}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("temperature", "3", "Temperature: "),
        ("top_p", "0", "Top-p: "),
        ("top_k", "-1", "Top-k: "),
        ("max_tokens", "0", "Max tokens: "),
        ("turns", "[]", "Turns: "),
        ("turns", '[{"role": "assistant", "content": "hi"}]', "must be a prompt."),
        ("turns", '[{"role": "wizard", "content": "hi"}]', "could not be read"),
        ("model", "nonsense", "Model: "),
    ],
)
def test_what_is_wrong_is_said_in_words(
    browser: Browser, alice: User, tuned: TunedModel, field: str, value: str, words: str
) -> None:
    refused = browser(alice).post("/playground/answer/", data=question(tuned, **{field: value}))
    assert refused.status_code == 422
    assert words in refused.json()["error"]


def test_a_prompt_over_the_studios_limit_is_refused_with_both_numbers(
    browser: Browser, alice: User, tuned: TunedModel, settings: Settings
) -> None:
    settings.PROMPT_LIMIT_CHARACTERS = 100
    refused = browser(alice).post("/playground/answer/", data=question(tuned, "9" * 101))
    assert "has 101 characters; at most 100 are read" in refused.json()["error"]


def test_a_prompt_longer_than_the_context_is_an_error_in_words(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    with streamed(browser(alice), question(tuned, "9" * 3000)) as events:
        *_, last = events
    assert last["type"] == "error"
    assert "this model reads at most 2,048" in last["words"]


def test_a_server_that_is_away_is_an_error_in_words(
    browser: Browser, alice: User, tuned: TunedModel, settings: Settings, tmp_path: Path
) -> None:
    settings.SERVING_URL = f"unix://{tmp_path}/nobody.sock"
    with streamed(browser(alice), question(tuned)) as events:
        assert list(events) == [{"type": "error", "words": server.AWAY}]


def test_an_engine_that_dies_in_mid_answer_is_an_error_in_words(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    with streamed(browser(alice), question(tuned, max_tokens=ENDLESS)) as events:
        next(event for event in events if event["type"] == "piece")
        os.kill(engine_of(serving, tuned.base)["pid"], signal.SIGKILL)
        *_, last = events
    assert last["type"] == "error"
    assert "stopped before the answer was complete" in last["words"]


def test_a_model_whose_files_are_gone_is_an_error_in_words(
    serving: Server, browser: Browser, alice: User, tuned: TunedModel
) -> None:
    shutil.rmtree(tuned.folder)
    with streamed(browser(alice), question(tuned)) as events:
        assert [event["type"] for event in events] == ["error"]


@pytest.mark.django_db(transaction=True)
def test_a_deleted_model_is_forgotten_by_the_server(serving: Server, tuned: TunedModel) -> None:
    name = str(tuned.pk)
    serving.register(name, tuned.base.folder, tuned.folder)
    removal.delete_tuned_model(tuned)
    assert serving.ask(name).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_model_can_be_deleted_while_the_server_is_away(
    tuned: TunedModel, settings: Settings, tmp_path: Path
) -> None:
    settings.SERVING_URL = f"unix://{tmp_path}/nobody.sock"
    removal.delete_tuned_model(tuned)
    assert not tuned.folder.exists()
