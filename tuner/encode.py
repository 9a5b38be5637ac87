"""Turn conversations into token ids with a base model's own chat template, and back into text.

Reads a model folder's tokenizer.json, tokenizer_config.json and chat_template.jinja, and gives the
same ids as transformers would, without importing it. The template is a stranger's code and renders
in jinja2's sandbox. Knows nothing of weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError
from tokenizers import Encoding, Tokenizer

from tuner.chat_template import PLAIN_TEMPLATE, compile_template, written_tokens
from tuner.errors import ExampleError, ModelError
from tuner.examples import Example, Message
from tuner.token_text import Piece, TextStream, pieces
from tuner.tokenizer_files import (
    generation_ends,
    read_json,
    read_template,
    read_tokenizer,
    special_tokens,
)

__all__ = ["ChatEncoder", "Encoded", "Piece", "TextStream", "read_json"]

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

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: str | None,
        named_tokens: dict[str, str],
        ends: frozenset[int] = frozenset(),
        folder: Path | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.uses_plain_template = template is None
        """The model brought no chat template, so PLAIN_TEMPLATE is used and stored."""
        self.template_text = PLAIN_TEMPLATE if template is None else template
        self._template = compile_template(self.template_text)
        self._special_tokens = named_tokens
        self._generation_ends = ends
        self._folder = folder
        self.learned: dict[str, Any] = {}
        """What `tuner.encode_many` learned of the template, by what is trained on."""

    @classmethod
    def load(cls, folder: Path) -> ChatEncoder:
        """The encoder of a model folder; ModelError names the file that is missing or broken."""
        config = read_json(folder / "tokenizer_config.json")
        tokenizer = read_tokenizer(folder / "tokenizer.json")
        template = read_template(folder, config)
        named = special_tokens(folder, config)
        if template is None and tokenizer.token_to_id(named.get("eos_token", "")) is None:
            raise ModelError(
                f"{folder} has no chat template and its tokenizer no end of text, with which an "
                "answer could end. Choose a model made for chat."
            )
        return cls(tokenizer, template, named, generation_ends(folder), folder)

    def cache_key(self, trained_on: str) -> str:
        """The same for encoders that make the same tokens of the same conversations."""
        digest = hashlib.sha256()
        named = repr(sorted(self._special_tokens.items()))
        for text in (self._vocabulary_hash, self.template_text, named, trained_on, self._today):
            digest.update(hashlib.sha256(text.encode()).digest())
        return digest.hexdigest()

    @cached_property
    def _vocabulary_hash(self) -> str:
        path = self._folder / "tokenizer.json" if self._folder else None
        content = path.read_bytes() if path else self.tokenizer.to_str().encode()
        return hashlib.sha256(content).hexdigest()

    @property
    def _today(self) -> str:
        """The date, for the few templates that write it."""
        return date.today().isoformat() if "strftime_now" in self.template_text else ""

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

    def encode_example(self, example: Example, trained_on: str = "answers") -> Encoded:
        """Ids of the whole conversation, and which of them are to be learned.

        "answers": every turn of the assistant with its end; "last answer": the last of them;
        "everything": all tokens but the first, which follows nothing.
        """
        text = self.render(example.messages, generation_prompt=False)
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        if trained_on == "everything":
            trained = [index > 0 for index in range(len(encoding.ids))]
        else:
            spans = self._spans(text, example.messages, trained_on, encoding)
            # A token that begins before the answer belongs to the prompt: the model never says it.
            trained = [
                any(start <= token_start < end for start, end in spans)
                for token_start, _ in encoding.offsets
            ]
        if not any(trained):
            raise ExampleError("No token of this example would be learned.", "Lengthen the answer.")
        return Encoded(encoding.ids, trained)

    def trained_spans(
        self, text: str, messages: Sequence[Message], trained_on: str = "answers"
    ) -> list[tuple[int, int]]:
        """Where in the rendered conversation stands what is to be learned."""
        if trained_on == "everything":
            return [(0, len(text))]
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return self._spans(text, messages, trained_on, encoding)

    def _spans(
        self, text: str, messages: Sequence[Message], trained_on: str, encoding: Encoding
    ) -> list[tuple[int, int]]:
        spans = list(self._answer_spans(text, messages, encoding))
        return spans[-1:] if trained_on == "last answer" else spans

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids up to where the assistant begins to speak."""
        text = self.render(messages, generation_prompt=True)
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def text_stream(self) -> TextStream:
        """A decoder for one answer, fed token by token."""
        return TextStream(self.tokenizer, skip_special_tokens=True)

    def pieces(self, encoded: Encoded) -> list[Piece]:
        """The text of each token, special ones too; a character split over tokens comes whole."""
        return list(pieces(self.tokenizer, encoded.ids, encoded.trained))

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's own end and the template's end of turn."""
        ids = {self.tokenizer.token_to_id(self._special_tokens.get("eos_token", ""))}
        ids.update(self._generation_ends, self._probed_ends)
        return frozenset(token for token in ids if token is not None)

    @cached_property
    def _probed_ends(self) -> frozenset[int]:
        """The special token that the template writes after an answer, if it writes one."""
        text = self.render(_PROBE, generation_prompt=False)
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        (_, end), *_ = self._answer_spans(text, _PROBE, encoding)
        specials = self._special_token_offsets(encoding)
        return frozenset(token for _, token_end, token in specials if token_end == end)

    def check_for_tuning(self) -> None:
        """ModelError if the tokenizer lacks what the template needs; then no model could learn it.

        A template made for another tokenizer writes names of tokens that this one takes for
        ordinary text, and the model would never learn to end an answer.
        """
        try:
            text = self.render(_PROBE, generation_prompt=False)
            ends = self._probed_ends
        except ExampleError:
            return  # it wants other turns than ours; the examples will show
        missing = [
            name for name in written_tokens(text) if self.tokenizer.token_to_id(name) is None
        ]
        if missing:
            raise ModelError(
                f"The chat template writes {missing[0]}, but the tokenizer has no such token. "
                "Fetch the model again, or choose one whose tokenizer and template fit together."
            )
        if not ends:
            raise ModelError(
                "The chat template writes no token after an answer, so the model could not learn "
                "where to end. Choose a model made for chat."
            )

    @cached_property
    def pad_id(self) -> int:
        """The padding token, or any end token where the model has none: padding is masked."""
        pad = self.tokenizer.token_to_id(self._special_tokens.get("pad_token", ""))
        return pad if pad is not None else min(self.end_ids, default=0)

    @property
    def vocabulary_size(self) -> int:
        size: int = self.tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    def _answer_spans(
        self, text: str, messages: Sequence[Message], encoding: Encoding
    ) -> Iterator[tuple[int, int]]:
        """Where in the rendered text each assistant turn stands, with its end-of-turn token."""
        special = self._special_token_offsets(encoding)
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

    def _special_token_offsets(self, encoding: Encoding) -> list[tuple[int, int, int]]:
        return [
            (start, end, token)
            for (start, end), token in zip(encoding.offsets, encoding.ids, strict=True)
            if token in self._special_ids
        ]

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        added = self.tokenizer.get_added_tokens_decoder()
        return frozenset(token for token, about in added.items() if about.special)


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
