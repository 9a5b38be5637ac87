"""Engine processes: replaced when dead, evicted for room, gone with the host."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.fleet import memory_needed
from tests.serving.server import ENDLESS, Server, is_alive, text_of, wait_until


@pytest.fixture(scope="module")
def roomy_for_one(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose memory holds one of its two base models."""
    folder = tmp_path_factory.mktemp("small")
    with Server(folder, "--memory", str(memory_needed(tiny_model) * 3 // 2)) as server:
        server.register("base", tiny_model)
        server.register("other", Path(shutil.copytree(tiny_model, folder / "other")))
        yield server


def test_an_engine_that_dies_ends_its_answers_with_an_error_and_is_replaced(
    server: Server, tiny_model: Path
) -> None:
    expected = server.answer("first")
    pid = server.engine(tiny_model)["pid"]
    with server.stream("first", **ENDLESS) as events:
        next(event for event in events if text_of(event))
        os.kill(pid, signal.SIGKILL)
        *_, last = events
    assert "stopped before the answer was complete" in last["error"]["message"]
    assert server.answer("first") == expected
    assert server.engine(tiny_model)["pid"] != pid


def test_the_least_recently_used_engine_makes_room_but_not_while_it_answers(
    roomy_for_one: Server, tiny_model: Path
) -> None:
    server = roomy_for_one
    with server.stream("base", **ENDLESS) as events:
        next(events)
        pid = server.engine(tiny_model)["pid"]
        refused = server.ask("other")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "out_of_memory"
    wait_until(lambda: server.engine(tiny_model)["holders"] == 0)
    assert server.answer("other")
    assert [engine["base"] for engine in server.engines()] == [str(server.data_folder / "other")]
    assert not is_alive(pid)


def test_the_engine_of_a_base_model_ends_when_no_model_stands_on_it_any_more(
    roomy_for_one: Server, tiny_model: Path, adapters: list[Path]
) -> None:
    server = roomy_for_one
    server.register("tuned", server.data_folder / "other", adapters[0])
    assert server.answer("tuned")
    pid = server.engine(server.data_folder / "other")["pid"]
    server.client.delete("/models/other")
    assert is_alive(pid)
    server.client.delete("/models/tuned")
    assert not is_alive(pid)
    assert server.engines() == []


def test_a_model_that_cannot_be_loaded_is_a_clear_error_each_time(
    roomy_for_one: Server, tiny_model: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(tiny_model, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"damaged")
    roomy_for_one.register("broken", broken)
    for _ in range(2):
        refused = roomy_for_one.ask("broken")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "model_load_failed"
        assert "damaged" in refused.json()["error"]["message"]


def test_an_engine_that_fails_to_load_says_why(roomy_for_one: Server, tiny_model: Path) -> None:
    base = roomy_for_one.data_folder / "unknown"
    shutil.copytree(tiny_model, base)
    config = base / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"no such family"'))
    roomy_for_one.register("unknown", base)
    refused = roomy_for_one.ask("unknown")
    assert refused.status_code == 503
    assert "no such family" in refused.json()["error"]["message"]


def test_a_model_larger_than_the_memory_is_refused_with_both_sizes(
    tiny_model: Path, tmp_path: Path
) -> None:
    with Server(tmp_path, "--memory", "100000000") as server:
        server.register("base", tiny_model)
        message = server.ask("base").json()["error"]["message"]
    assert "needs about 0.5 GB" in message
    assert "may use 0.1 GB" in message


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_when_the_host_ends_its_engines_end_within_five_seconds(
    how: signal.Signals, tiny_model: Path, tmp_path: Path
) -> None:
    with Server(tmp_path) as server:
        server.register("base", tiny_model)
        with server.stream("base", **ENDLESS) as events:
            next(events)
            pid = server.engine(tiny_model)["pid"]
            server.process.send_signal(how)
            server.process.wait(timeout=5)
            wait_until(lambda: not is_alive(pid), seconds=5)


def test_an_engine_that_cannot_be_reached_keeps_the_answers_it_is_giving(
    server: Server, tiny_model: Path
) -> None:
    expected = server.answer("base")
    engine = server.engine(tiny_model)
    (socket,) = (server.data_folder / "run").glob("e*.sock")
    with server.stream("base", **ENDLESS) as events:
        next(event for event in events if text_of(event))
        hidden = socket.rename(socket.with_suffix(".hidden"))
        try:
            refused = server.ask("base")
        finally:
            hidden.rename(socket)
        assert refused.status_code == 503
        assert next(event for event in events if text_of(event))
    assert server.answer("base") == expected
    assert server.engine(tiny_model)["pid"] == engine["pid"]


def test_the_host_sizes_a_model_without_running_its_chat_template(
    tiny_model: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(tiny_model, tmp_path / "odd"))
    for path in base.glob("*.jinja"):
        path.write_text("{% for ever %}")
    config = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(
        json.dumps({**config, "chat_template": "{% for ever %}"})
    )
    assert memory_needed(base) == memory_needed(tiny_model)
