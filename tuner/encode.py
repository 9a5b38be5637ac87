"""Turn conversations into token ids with a base model's own chat template, and back into text.

Reads a model folder's tokenizer.json, tokenizer_config.json and chat_template.jinja, and gives the
same ids as transformers would, without importing it. The template is a stranger's code and renders
in jinja2's sandbox. Knows nothing of weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError
from tokenizers import Tokenizer, processors
from tokenizers.decoders import DecodeStream

from tuner.chat_template import compile_template
from tuner.errors import ExampleError, ModelError
from tuner.examples import Example, Message

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""What must lie beside an adapter for it to be used unchanged later (those that exist)."""

_PROBE = (Message("user", "probe question"), Message("assistant", "probe answer"))


@dataclass(frozen=True)
class Encoded:
    """The token ids of a conversation, and for each whether it is to be learned."""

    ids: list[int]
    trained: list[bool]

    def __len__(self) -> int:
        return len(self.ids)


class ChatEncoder:
    """A base model's tokenizer and chat template."""

    def __init__(self, tokenizer: Tokenizer, template: str, special_tokens: dict[str, str]) -> None:
        self._tokenizer = tokenizer
        self._template = compile_template(template)
        self._special_tokens = special_tokens
        self._generation_ends: frozenset[int] = frozenset()

    @classmethod
    def load(cls, folder: Path) -> ChatEncoder:
        """The encoder of a model folder; ModelError names the file that is missing or broken."""
        config = read_json(folder / "tokenizer_config.json")
        tokenizer = _read_tokenizer(folder / "tokenizer.json")
        encoder = cls(tokenizer, _read_template(folder, config), _special_tokens(config))
        encoder._add_generation_ends(folder / "generation_config.json")
        return encoder

    def render(self, messages: Sequence[Message], generation_prompt: bool) -> str:
        """The conversation as the one text the model reads."""
        try:
            return self._template.render(
                messages=[message.as_dict() for message in messages],
                add_generation_prompt=generation_prompt,
                **self._special_tokens,
            )
        except SecurityError as error:
            raise ModelError(
                f"The chat template tries something unsafe: {error}. Use another base model."
            ) from None
        except (TemplateError, TypeError, ValueError) as error:
            raise ExampleError(
                f"The chat template refuses this conversation: {error}.",
                "Change its turns, or use another base model.",
            ) from None
        except MemoryError:
            raise
        except Exception as error:  # a stranger's code may fail in any way
            raise ExampleError(
                f"The chat template fails on this conversation ({type(error).__name__}: {error}).",
                "Change its turns, or use another base model.",
            ) from None

    def encode_example(self, example: Example) -> Encoded:
        """Ids of the whole conversation; trained are the assistant's turns with their end."""
        text = self.render(example.messages, generation_prompt=False)
        spans = list(self._answer_spans(text, example.messages))
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        # A token that begins before the answer belongs to the prompt: the model never says it.
        trained = [
            any(start <= token_start < end for start, end in spans)
            for token_start, _ in encoding.offsets
        ]
        if not any(trained):
            raise ExampleError("No token of this example would be learned.", "Lengthen the answer.")
        return Encoded(encoding.ids, trained)

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids up to where the assistant begins to speak."""
        text = self.render(messages, generation_prompt=True)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def text_stream(self) -> TextStream:
        """A decoder for one answer, fed token by token."""
        return TextStream(self._tokenizer, skip_special_tokens=True)

    def pieces(self, encoded: Encoded) -> list[tuple[str, bool]]:
        """The text of each token, special ones too; a character split over tokens comes whole."""
        stream = TextStream(self._tokenizer, skip_special_tokens=False)
        texts = [stream.feed(token) for token in encoded.ids]
        return [
            (text, trained) for text, trained in zip(texts, encoded.trained, strict=True) if text
        ]

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's own end and the template's end of turn."""
        ids = {self._tokenizer.token_to_id(self._special_tokens.get("eos_token", ""))}
        ids.update(self._generation_ends)
        text = self.render(_PROBE, generation_prompt=False)
        (_, end), *_ = self._answer_spans(text, _PROBE)
        offsets_and_ids = self._special_token_offsets(text)
        ids.update(token for _, token_end, token in offsets_and_ids if token_end == end)
        return frozenset(token for token in ids if token is not None)

    @cached_property
    def pad_id(self) -> int:
        """The padding token, or any end token where the model has none: padding is masked."""
        pad = self._tokenizer.token_to_id(self._special_tokens.get("pad_token", ""))
        return pad if pad is not None else min(self.end_ids, default=0)

    @property
    def vocabulary_size(self) -> int:
        size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    def _add_generation_ends(self, path: Path) -> None:
        if not path.exists():
            return
        ends = read_json(path).get("eos_token_id")
        listed = ends if isinstance(ends, list) else [ends]
        self._generation_ends = frozenset(end for end in listed if isinstance(end, int))

    def _answer_spans(self, text: str, messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
        """Where in the rendered text each assistant turn stands, with its end-of-turn token."""
        special = self._special_token_offsets(text)
        cursor = 0
        for index, message in enumerate(messages):
            if message.role != "assistant":
                _, cursor = _find_content(text, message.content, cursor) or (cursor, cursor)
                continue
            # The prompt is rendered as it will be when the model is asked, so that exactly what
            # the model has to say itself is learned: with a thinking template, also the frame.
            prompt = self.render(messages[:index], generation_prompt=True)
            framed = text.startswith(prompt) and len(prompt) >= cursor
            found = _find_content(text, message.content, len(prompt) if framed else cursor)
            if found is None:
                raise ExampleError(
                    "The chat template changes the text of an answer.",
                    "Remove from it what the template treats specially.",
                )
            start, content_end = (len(prompt), found[1]) if framed else found
            cursor = next((end for begin, end, _ in special if begin >= content_end), content_end)
            yield start, cursor

    def _special_token_offsets(self, text: str) -> list[tuple[int, int, int]]:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            (start, end, token)
            for (start, end), token in zip(encoding.offsets, encoding.ids, strict=True)
            if token in self._special_ids
        ]

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(token for token, about in added.items() if about.special)


class TextStream:
    """Text of tokens that come one at a time, never half a character."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special_tokens: bool) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=skip_special_tokens)

    def feed(self, token: int) -> str:
        """The text that this token completes; empty while a character is unfinished."""
        text: str | None = self._stream.step(self._tokenizer, token)
        return text or ""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder; ModelError says what is wrong with the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}: it is not a complete model.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Fetch the model again.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object. Fetch the model again.")
    return value


def _read_tokenizer(path: Path) -> Tokenizer:
    if not path.exists():
        raise ModelError(f"{path.parent} has no {path.name}: it is not a complete model.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise ModelError(f"{path} cannot be read: {error}. Fetch the model again.") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # Post-processors add tokens that the template already writes, and may trim the offsets.
    tokenizer.post_processor = processors.Sequence([])
    return tokenizer


def _read_template(folder: Path, config: dict[str, Any]) -> str:
    path = folder / "chat_template.jinja"
    if path.exists():
        return _read_text(path)
    template = config.get("chat_template")
    if isinstance(template, list):
        named = (item for item in template if isinstance(item, dict))
        template = next(
            (item.get("template") for item in named if item.get("name") == "default"), None
        )
    if not isinstance(template, str):
        raise ModelError(f"{folder} has no chat template. Choose a model made for chat.")
    return template


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Fetch the model again.") from None


def _special_tokens(config: dict[str, Any]) -> dict[str, str]:
    tokens = {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token"):
        value = config.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            tokens[name] = text
    return tokens


def _find_content(text: str, content: str, cursor: int) -> tuple[int, int] | None:
    """Where the content stands next, as it is or as a template trims it.

    The nearer of the two counts: a trimmed turn must not be found untrimmed within a later one.
    """
    candidates = (candidate for candidate in {content, content.strip()} if candidate)
    found = ((text.find(candidate, cursor), len(candidate)) for candidate in candidates)
    places = [(start, -length) for start, length in found if start >= 0]
    if not places:
        return None
    start, negative_length = min(places)
    return start, start - negative_length
