"""Answers of the engine: the same as stock transformers and peft give, and fair to each other."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tuner.answer import choose_token
from tuner.encode import ChatEncoder
from tuner.errors import AdapterError, ModelError, PromptTooLongError, TunerError
from tuner.examples import Message
from tuner.generate import Engine, Request
from tuner.sampling import Sampling
from tuner.stream import BUFFER_PIECES, Stream
from tuner.tiny import make_tiny_model

# peft asks transformers for a property that has been renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

GREEDY = Sampling(temperature=0, max_tokens=60)
LONG = Sampling(temperature=0, max_tokens=500)
ENDLESS = Sampling(temperature=0)  # the random model repeats itself up to the end of its context
COUNTING = (Message("user", "What is the next number? 41"),)
GREETING = (Message("system", "Be kind."), Message("user", "hi"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Adapters as stock peft saves them, of different kind, width, layers and scaling."""
    folder = tmp_path_factory.mktemp("adapters")
    everything = peft.LoraConfig(
        r=4, lora_alpha=16, target_modules="all-linear", init_lora_weights=False
    )
    patterned = peft.LoraConfig(
        r=8,
        lora_alpha=32,
        use_rslora=True,
        target_modules=["q_proj", "down_proj"],
        rank_pattern={"down_proj": 2},
        alpha_pattern={"layers.1.self_attn.q_proj": 64},
        init_lora_weights=False,
    )
    decomposed = peft.LoraConfig(
        r=4, use_dora=True, target_modules=["v_proj", "up_proj"], init_lora_weights=False
    )
    return [
        save_adapter(base, config, folder / str(seed), seed)
        for seed, config in enumerate((everything, patterned, decomposed))
    ]


def save_adapter(base: Path, config: peft.LoraConfig, folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "magnitude" in name:
                weight.mul_(torch.rand(weight.shape) + 0.5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads that both compute on two cores each would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def load(
    base: Path,
    *,
    dtype: torch.dtype = torch.float32,
    most_active: int = 16,
    stall_seconds: float = 60,
    thread_count: Callable[[], int] = lambda: 1,
) -> Engine:
    return Engine.load(
        base,
        dtype=dtype,
        most_active=most_active,
        stall_seconds=stall_seconds,
        thread_count=thread_count,
    )


@pytest.fixture
def engine(base: Path) -> Iterator[Engine]:
    engine = load(base)
    yield engine
    engine.close()


def answer_of_stock_peft(
    base: Path, adapter: Path | None, messages: tuple[Message, ...], dtype: torch.dtype
) -> str:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if adapter is not None:
        model = peft.PeftModel.from_pretrained(model, adapter)
    encoder = ChatEncoder.load(base)
    ids = encoder.encode_prompt(messages)
    answer = model.eval().generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=GREEDY.max_tokens,
        do_sample=False,
    )
    text = encoder.text_stream()
    return "".join(text.feed(token) for token in answer[0, len(ids) :].tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_greedy_answers_of_many_adapters_at_once_equal_those_of_stock_peft(
    base: Path, adapters: list[Path], dtype: torch.dtype
) -> None:
    engine = load(base, dtype=dtype)
    for folder in adapters:
        engine.load_adapter(folder.name, folder)
    wanted = list(itertools.product([None, *adapters], [COUNTING, GREETING]))
    streams = [
        engine.submit(
            Request(messages=messages, adapter=folder.name if folder else None, sampling=GREEDY)
        )
        for folder, messages in wanted
    ]
    answers = read_together(streams)
    engine.close()
    assert answers == [
        answer_of_stock_peft(base, folder, messages, dtype) for folder, messages in wanted
    ]
    assert len(set(answers)) == len(wanted)


def read_together(streams: Sequence[Stream]) -> list[str]:
    answers = [""] * len(streams)

    def read(index: int) -> None:
        answers[index] = "".join(streams[index])

    readers = [threading.Thread(target=read, args=(index,)) for index in range(len(streams))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(timeout=60)
    return answers


def test_a_prompt_read_in_several_chunks_gives_the_same_answer(base: Path, engine: Engine) -> None:
    messages = (Message("user", "one two three four five " * 60),)
    assert len(ChatEncoder.load(base).encode_prompt(messages)) > 256
    answer = "".join(engine.submit(Request(messages=messages, sampling=GREEDY)))
    assert answer == answer_of_stock_peft(base, None, messages, torch.float32)


def test_a_reader_that_stops_reading_holds_its_own_answer_and_no_other(engine: Engine) -> None:
    held = engine.submit(Request(messages=GREETING, sampling=LONG))
    pieces = iter(held)
    first = next(pieces)
    other = "".join(engine.submit(Request(messages=GREETING, sampling=LONG)))
    assert not held.is_finished
    assert held.answer_tokens <= BUFFER_PIECES + 20  # a token may complete no character
    assert first + "".join(pieces) == other
    assert held.finish_reason == "length"


def test_a_cancelled_answer_ends_at_once_and_leaves_the_engine_free(engine: Engine) -> None:
    stream = engine.submit(Request(messages=GREETING, sampling=ENDLESS))
    next(iter(stream))
    stream.cancel()
    said = stream.answer_tokens
    wait_until(lambda: engine.active_count == 0)
    assert stream.finish_reason == "cancelled"
    assert stream.answer_tokens <= said + 1


def test_an_answer_that_nobody_reads_is_given_up(base: Path) -> None:
    engine = load(base, stall_seconds=0.2)
    stream = engine.submit(Request(messages=GREETING, sampling=ENDLESS))
    wait_until(lambda: stream.is_finished)
    with pytest.raises(TunerError, match="nobody was reading"):
        list(stream)
    engine.close()


def test_requests_beyond_the_active_ones_wait_and_are_answered(base: Path) -> None:
    engine = load(base, most_active=1)
    request = Request(messages=GREETING, sampling=GREEDY)
    streams = [engine.submit(request) for _ in range(3)]
    assert len({"".join(stream) for stream in streams}) == 1
    assert engine.waiting_count == 0
    engine.close()


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(engine: Engine) -> None:
    def answer(seed: int) -> str:
        sampling = Sampling(temperature=1, max_tokens=40, seed=seed)
        return "".join(engine.submit(Request(messages=GREETING, sampling=sampling)))

    assert answer(7) == answer(7)
    assert answer(7) != answer(8)


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(engine: Engine) -> None:
    whole = "".join(engine.submit(Request(messages=GREETING, sampling=GREEDY)))
    stop = whole[9:14]
    sampling = Sampling(temperature=0, max_tokens=60, stop=("never said", stop))
    stream = engine.submit(Request(messages=GREETING, sampling=sampling))
    assert "".join(stream) == whole[: whole.index(stop)]
    assert stream.finish_reason == "stop"


def test_an_end_of_turn_token_ends_the_answer_and_is_not_shown(engine: Engine) -> None:
    likely_end = Sampling(temperature=2, max_tokens=1500, seed=1)
    stream = engine.submit(Request(messages=GREETING, sampling=likely_end))
    answer = "".join(stream)
    assert stream.finish_reason == "stop"
    assert stream.answer_tokens < 1500
    assert "<|im_end|>" not in answer


def test_an_answer_never_goes_beyond_the_context(engine: Engine) -> None:
    messages = (Message("user", "9" * 1990),)
    stream = engine.submit(Request(messages=messages, sampling=Sampling(temperature=0)))
    list(stream)
    assert stream.prompt_tokens + stream.answer_tokens == engine.context_length_tokens


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(engine: Engine) -> None:
    with pytest.raises(PromptTooLongError, match=r"[23],\d{3} tokens long.*at most 2,048"):
        engine.submit(Request(messages=(Message("user", "9" * 3000),)))


def test_an_unknown_adapter_is_refused(engine: Engine) -> None:
    with pytest.raises(AdapterError, match="no adapter gone"):
        engine.submit(Request(messages=GREETING, adapter="gone"))


def test_an_adapter_dropped_in_mid_answer_finishes_that_answer(
    engine: Engine, adapters: list[Path]
) -> None:
    engine.load_adapter("mine", adapters[0])
    request = Request(messages=GREETING, adapter="mine", sampling=GREEDY)
    whole = "".join(engine.submit(request))
    pieces = iter(engine.submit(request))
    first = next(pieces)
    engine.drop_adapter("mine")
    assert first + "".join(pieces) == whole


def test_an_adapter_of_another_base_is_refused(
    engine: Engine, adapters: list[Path], tmp_path: Path
) -> None:
    weights = load_file(adapters[0] / "adapter_model.safetensors")
    wider = {
        key: torch.zeros(weight.shape[0] * 2, weight.shape[1]) for key, weight in weights.items()
    }
    save_file(wider, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_bytes(
        (adapters[0] / "adapter_config.json").read_bytes()
    )
    with pytest.raises(AdapterError, match="another base model"):
        engine.load_adapter("wider", tmp_path)


def test_a_damaged_adapter_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 8}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(AdapterError, match="cannot be read"):
        engine.load_adapter("damaged", tmp_path)


@pytest.mark.parametrize(
    "config",
    ["[]", '{"peft_type": "LORA", "lora_alpha": 8, "alpha_pattern": {"(": 1}}'],
)
def test_an_adapter_with_a_senseless_configuration_is_refused(
    engine: Engine, adapters: list[Path], tmp_path: Path, config: str
) -> None:
    weights = (adapters[0] / "adapter_model.safetensors").read_bytes()
    (tmp_path / "adapter_model.safetensors").write_bytes(weights)
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(AdapterError, match=r"damaged .*Export it again"):
        engine.load_adapter("senseless", tmp_path)


def test_a_kind_of_adapter_that_cannot_be_applied_is_named(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "lora_alpha": 8, "lora_bias": true}'
    )
    with pytest.raises(AdapterError, match="lora_bias"):
        engine.load_adapter("other", tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a complete model"):
        Engine.load(tmp_path)


def test_closing_ends_open_answers_with_an_error(base: Path) -> None:
    engine = load(base)
    stream = engine.submit(Request(messages=GREETING, sampling=ENDLESS))
    engine.close()
    with pytest.raises(TunerError, match="closed"):
        list(stream)


def drawn(sampling: Sampling, logits: list[float]) -> set[int]:
    generator = torch.Generator().manual_seed(0)
    return {choose_token(torch.tensor(logits), sampling, generator) for _ in range(300)}


def test_temperature_zero_takes_the_likeliest() -> None:
    assert drawn(Sampling(temperature=0), [1.0, 3.0, 2.0]) == {1}


def test_top_k_keeps_that_many() -> None:
    assert drawn(Sampling(top_k=2), [1.0, 3.0, 2.0, 0.0]) == {1, 2}


def test_top_p_keeps_the_fewest_that_fill_the_share() -> None:
    shares = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()
    assert drawn(Sampling(top_p=0.7), shares) == {0, 1}
    assert drawn(Sampling(top_p=0.4), shares) == {0}


def test_the_number_of_threads_follows_what_the_machine_allows(base: Path) -> None:
    engine = load(base, thread_count=lambda: 2)
    "".join(engine.submit(Request(messages=GREETING, sampling=GREEDY)))
    assert engine.threads == 2
    engine.close()


def test_the_number_of_threads_stays_while_it_cannot_be_asked_for(base: Path) -> None:
    counts = iter([2])

    def count_once() -> int:
        for count in counts:
            return count
        raise OSError("no file can be opened")

    engine = load(base, thread_count=count_once)
    assert "".join(engine.submit(Request(messages=GREETING, sampling=GREEDY)))
    assert engine.threads == 2
    engine.close()


def test_an_engine_whose_loop_fails_ends_its_answers_and_takes_no_more(base: Path) -> None:
    counts = iter([1])
    engine = load(base, thread_count=lambda: next(counts))
    stream = engine.submit(Request(messages=GREETING, sampling=ENDLESS))
    with pytest.raises(TunerError, match="failed before the answer was complete"):
        list(stream)
    engine.wait()
    with pytest.raises(TunerError, match="closed"):
        engine.submit(Request(messages=GREETING))


def wait_until(is_true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)
