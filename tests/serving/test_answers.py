"""Asking the model server: answers, streams, adapters, refusals, and clients that go away."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from serving.cpu_lock import available_cores
from tests.serving.server import ENDLESS, Server, held, text_of, wait_until


def test_the_host_needs_no_torch() -> None:
    modules = "import sys, serving.__main__; print('torch' in sys.modules, 'django' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", modules], capture_output=True, check=True)
    assert answer.stdout.split() == [b"False", b"False"]


def test_a_whole_answer_says_why_it_ended_and_what_it_took(server: Server) -> None:
    answer = server.ask("base", temperature=0, max_tokens=12).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 12, "total_tokens": 23}


def test_a_streamed_answer_is_the_whole_one_in_pieces(server: Server) -> None:
    options = {"include_usage": True}
    with server.stream("first", temperature=0, max_tokens=20, stream_options=options) as events:
        opening, *pieces, closing, usage, end = events
    assert opening["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(text_of(piece) for piece in pieces) == server.answer("first", max_tokens=20)
    assert closing["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["completion_tokens"] == 20
    assert end == "[DONE]"
    assert len({event["id"] for event in (opening, *pieces, closing, usage)}) == 1


def test_the_first_piece_is_there_while_the_engine_is_held_before_the_last(
    server: Server, tiny_model: Path
) -> None:
    server.answer("base")
    pid = server.engine(tiny_model)["pid"]
    seen = []
    with server.stream("base", timeout=0.5, **ENDLESS) as events:
        seen.append(next(event for event in events if text_of(event)))
        with held(pid), pytest.raises(httpx.ReadTimeout):
            seen.extend(events)
    assert all(text_of(event) for event in seen)  # neither the closing event nor the end mark


def test_a_client_that_leaves_ends_its_answer_within_a_second(
    server: Server, tiny_model: Path
) -> None:
    with server.stream("base", **ENDLESS) as events:
        next(event for event in events if text_of(event))
        assert server.engine(tiny_model)["active"] == 1
    wait_until(lambda: server.engine(tiny_model)["active"] == 0, seconds=1)
    assert server.engine(tiny_model)["holders"] == 0


def test_a_client_that_leaves_before_anything_was_sent_ends_its_answer_too(
    server: Server, tiny_model: Path
) -> None:
    body = b'{"model": "base", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}'
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.socket))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
        client.sendall(head.encode() + b"\r\n" + body)
        wait_until(lambda: server.engine(tiny_model)["active"] == 1)
    wait_until(lambda: server.engine(tiny_model)["active"] == 0, seconds=1)


def test_models_on_one_base_answer_at_once_each_in_its_own_way(server: Server) -> None:
    names = ["base", "first", "second"]
    alone = [server.answer(name, max_tokens=40) for name in names]
    with ThreadPoolExecutor() as pool:
        together = list(pool.map(lambda name: server.answer(name, max_tokens=40), names))
    assert together == alone
    assert len(set(alone)) == 3
    assert len(server.engines()) == 1


def test_a_name_registered_again_means_the_new_adapter(
    server: Server, tiny_model: Path, adapters: list[Path]
) -> None:
    server.register("moving", tiny_model, adapters[0])
    assert server.answer("moving") == server.answer("first")
    server.register("moving", tiny_model, adapters[1])
    assert server.answer("moving") == server.answer("second")


def test_a_removed_model_is_gone_and_the_others_stay(
    server: Server, tiny_model: Path, adapters: list[Path]
) -> None:
    server.register("leaving", tiny_model, adapters[0])
    server.answer("leaving")
    assert server.client.delete("/models/leaving").status_code == 204
    assert server.ask("leaving").status_code == 404
    assert server.client.delete("/models/leaving").status_code == 404
    assert server.answer("first")


def test_registered_models_are_listed(server: Server) -> None:
    listed = server.client.get("/v1/models").json()["data"]
    assert {"base", "first", "second"} <= {model["id"] for model in listed}


def test_an_unknown_model_is_refused_in_openais_words(server: Server) -> None:
    refused = server.ask("nobody")
    assert refused.status_code == 404
    assert refused.json()["error"] == {
        "message": "There is no model nobody here.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


def test_a_malformed_parameter_is_refused_by_name(server: Server) -> None:
    refused = server.ask("base", top_p=7)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "top_p"


def test_a_prompt_longer_than_the_context_is_refused(server: Server) -> None:
    refused = server.ask("base", "9" * 3000, stream=True)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    assert "at most 2,048" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("base", {"base": "relative", "adapter": None}),
        ("base", {"base": "/nowhere", "adapter": None}),
        ("adapter", {"adapter": "/nowhere"}),
    ],
)
def test_a_folder_that_holds_no_model_cannot_be_registered(
    server: Server, tiny_model: Path, field: str, body: dict[str, str | None]
) -> None:
    refused = server.client.put("/models/wrong", json={"base": str(tiny_model), **body})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == field


def test_a_damaged_adapter_is_a_clear_error_and_harms_nobody_else(
    server: Server, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 8}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"damaged")
    server.register("damaged", tiny_model, tmp_path)
    refused = server.ask("damaged")
    assert refused.status_code == 503
    assert "cannot be read" in refused.json()["error"]["message"]
    assert server.answer("base")


def test_more_requests_than_are_taken_are_told_to_come_back(
    server: Server, tiny_model: Path
) -> None:
    server.answer("base")
    with ExitStack() as open_streams:
        for _ in range(4):
            open_streams.enter_context(server.stream("base", **ENDLESS))
        with held(server.engine(tiny_model)["pid"]):
            refused = server.ask("first")
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    assert refused.json()["error"]["code"] == "server_busy"
    wait_until(lambda: server.engine(tiny_model)["holders"] == 0)
    assert server.answer("first")


def test_while_a_job_tunes_an_answer_takes_one_core(server: Server, tiny_model: Path) -> None:
    assert threads_of_an_answer(server, tiny_model) == 1
    fcntl.flock(server.cpu_lock, fcntl.LOCK_UN)
    try:
        wait_until(lambda: threads_of_an_answer(server, tiny_model) == available_cores())
    finally:
        fcntl.flock(server.cpu_lock, fcntl.LOCK_EX)
    wait_until(lambda: threads_of_an_answer(server, tiny_model) == 1)


def threads_of_an_answer(server: Server, base: Path) -> int:
    server.answer("base")
    return int(server.engine(base)["threads"])


def test_once_there_is_a_secret_only_who_knows_it_is_served(server: Server) -> None:
    secret = server.data_folder / "run" / "serving.secret"
    secret.write_text("open sesame\n")
    try:
        assert server.client.get("/v1/models").status_code == 401
        wrong = httpx.Headers({"Authorization": "Bearer open sesam"})
        assert server.client.get("/v1/models", headers=wrong).status_code == 401
        right = httpx.Headers({"Authorization": "Bearer open sesame"})
        assert server.client.get("/v1/models", headers=right).status_code == 200
    finally:
        secret.unlink()
