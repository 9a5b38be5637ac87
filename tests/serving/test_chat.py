"""Reading chat requests: every parameter that is wrong is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.chat import read_request
from serving.refusals import BadRequest
from tuner.examples import Message

HI = [{"role": "user", "content": "hi"}]


def read(**given: Any) -> Any:
    return read_request(json.dumps({"model": "m", "messages": HI, **given}).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "warm"),
        ("temperature", 3),
        ("temperature", True),
        ("top_p", 0),
        ("top_k", 1.5),
        ("top_k", -1),
        ("max_tokens", 0),
        ("max_tokens", "many"),
        ("seed", -1),
        ("stop", 7),
        ("stop", ["", "x"]),
        ("stop", {"a": 1}),
        ("stream", "yes"),
        ("stream_options", []),
        ("messages", []),
        ("messages", "hi"),
        ("messages", ["hi"]),
        ("model", 3),
        ("tools", [{}]),
        ("n", 2),
        ("presence_penalty", 1),
        ("temprature", 1),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(BadRequest, match=field) as caught:
        read(**{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"role": "wizard", "content": "hi"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[1].content"),
    ],
)
def test_a_wrong_message_is_refused_with_its_place(message: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(messages=[*HI, message])
    assert caught.value.param == place


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"hi"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="JSON"):
        read_request(body)


def test_what_is_left_out_is_openais_default() -> None:
    sampling = read().sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (1, 1, 0)
    assert sampling.max_tokens is None


def test_parameters_are_read_as_they_are_given() -> None:
    request = read(temperature=0, top_p=0.5, top_k=3, max_completion_tokens=9, seed=1, stop="a")
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0, 0.5, 3)
    assert (sampling.max_tokens, sampling.seed, sampling.stop) == (9, 1, ("a",))


def test_parameters_that_change_nothing_are_accepted() -> None:
    read(n=1, presence_penalty=0, user="someone", logit_bias=None)


def test_text_parts_are_joined_and_a_developer_is_the_system() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    request = read(messages=[{"role": "developer", "content": parts}])
    assert request.messages == (Message("system", "one two"),)
