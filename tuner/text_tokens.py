"""Many texts to token ids at once: the ids are those of each text alone, found with less work.

A tokenizer of the GPT-2 kind never joins what stands before a space between two words with what
follows it, so each word has its tokens wherever it stands, and a word seen before costs one look
into a dictionary. Other tokenizers encode all texts in parallel, equal texts once. Knows
tokenizers and texts; no conversations.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer
from tokenizers.models import BPE

_MEMORY_WORDS = 300_000
_MEMORY_TEXTS = 20_000
_LONGEST_KEPT = 2000
"""Bounds of what is remembered: words, whole texts, and characters of one of them."""

# What may stand between the bars of a pre-tokenizer's pattern: in each of them a space can only
# come first or among other white space, and nothing looks back. GPT-2, Llama 3, Qwen, SmolLM,
# OLMo, GPT-4 and GPT-4o write their patterns of these.
_KNOWN_BRANCHES = frozenset(
    {
        "'s",
        "'t",
        "'re",
        "'ve",
        "'m",
        "'ll",
        "'d",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        " ?\\p{L}+",
        " ?\\p{N}+",
        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+",
        "\\p{N}",
        "\\p{N}+",
        "\\p{N}{1,3}",
        " ?[^\\s\\p{L}\\p{N}]+",
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*",
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
        "\\s*[\\r\\n]+",
        "\\s*[\\r\\n]",
        "\\s+(?!\\S)",
        "\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*",
    }
)
# Where all of them begin anew: after a word or mark before a blank; after a letter or digit before
# a line's end (marks may keep it); and before the last blank of several if a letter follows (some
# leave all blanks together before digits and special tokens).
_CUTS = re.compile(r"(?<=\S)(?=[ \t])|(?<=[^\W_])(?=[\r\n])|(?<=[ \t\r\n])(?=[ \t][A-Za-z])")
_STANDS_APART = re.compile(r"[^A-Za-z\s]\S*")
_FEW_LINES = 2

Asked = tuple[str, tuple[int, ...]]
"""A text, and the places in it (in characters, rising) before which tokens are to be counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The ids of a text, and how many of them begin before each place that was asked about."""

    ids: Sequence[int]
    before: tuple[int, ...]


class TextTokens:
    """Token ids of texts, each as if it were encoded alone."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._by_word = words_stand_alone(tokenizer)
        self._first = _Words(tokenizer, "")
        self._following = _Words(tokenizer, " ")
        self._texts: dict[Asked, Counted] = {}

    def encode(self, asked: Sequence[Asked]) -> list[Counted]:
        if not self._by_word:
            return self._in_parallel(asked)
        cut = [self._cut(text) for text, _ in asked]
        self._learn(cut)
        return [
            self._from_words(words, following, places)
            for (words, following), (_, places) in zip(cut, asked, strict=True)
        ]

    def _cut(self, text: str) -> tuple[list[str], _Words]:
        """Its words, and where those after the first are remembered."""
        if is_plain(text):
            return text.split(" "), self._following
        return _CUTS.split(text), self._first

    def _learn(self, cut: Sequence[tuple[list[str], _Words]]) -> None:
        """Encode all words not seen before, in parallel."""
        self._first.learn({words[0] for words, _ in cut})
        for memory in (self._first, self._following):
            together = (words[1:] for words, following in cut if following is memory)
            memory.learn(set(chain.from_iterable(together)))

    def _from_words(self, words: list[str], following: _Words, places: tuple[int, ...]) -> Counted:
        ids = list(self._first[words[0]])
        before = self._counts(words, following, places) if places else ()
        del words[0]
        ids.extend(chain.from_iterable(map(following.__getitem__, words)))
        return Counted(ids, before)

    def _counts(
        self, words: Sequence[str], following: _Words, places: Sequence[int]
    ) -> tuple[int, ...]:
        """Tokens before each place: those of the words before it, and of its own word some."""
        counts, waiting = [], list(places)
        start = tokens = 0
        for index, word in enumerate(words):
            memory = following if index else self._first
            end = start + len(memory.prefix) + len(word)
            while waiting and waiting[0] < end:
                counts.append(tokens + memory.begun(word, waiting.pop(0) - start))
            if not waiting:
                break
            start, tokens = end, tokens + len(memory[word])
        return (*counts, *(tokens for _ in waiting))

    def _in_parallel(self, asked: Sequence[Asked]) -> list[Counted]:
        if len(self._texts) > _MEMORY_TEXTS:
            self._texts.clear()
        unseen = [item for item in dict.fromkeys(asked) if item not in self._texts]
        texts = [text for text, _ in unseen]
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        found = {
            item: _counted(encoding, item[1])
            for item, encoding in zip(unseen, encodings, strict=True)
        }
        answers = [found.get(item) or self._texts[item] for item in asked]
        self._texts.update(
            (item, counted) for item, counted in found.items() if len(item[0]) <= _LONGEST_KEPT
        )
        return answers


class _Words(dict[str, Sequence[int]]):
    """The ids of words that follow a prefix; those asked for the first time are encoded."""

    def __init__(self, tokenizer: Tokenizer, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self._tokenizer = tokenizer
        self._begun: dict[tuple[str, int], int] = {}

    def learn(self, words: set[str]) -> None:
        """Remember these words; too long ones are encoded each time they come."""
        if len(self) > _MEMORY_WORDS:
            self.clear()
        unseen = [word for word in words.difference(self) if len(word) <= _LONGEST_KEPT]
        texts = [self.prefix + word for word in unseen]
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        self.update(zip(unseen, (encoding.ids for encoding in encodings), strict=True))

    def __missing__(self, word: str) -> Sequence[int]:
        return self._encode(word).ids

    def begun(self, word: str, place: int) -> int:
        """How many tokens of the prefix and the word begin before a place in them."""
        key = (word, place)
        if key not in self._begun:
            if len(self._begun) > _MEMORY_WORDS:
                self._begun.clear()
            self._begun[key] = _begun_before(self._encode(word), place)
        return self._begun[key]

    def _encode(self, word: str) -> Encoding:
        return self._tokenizer.encode(self.prefix + word, add_special_tokens=False)


def is_plain(text: str) -> bool:
    """Whether it is hardly more than words with single spaces between, which are cut the quickest.

    A space counts only between two characters that are no white space.
    """
    return (
        text.count("\n") <= _FEW_LINES
        and text.replace("\n", "").isprintable()
        and not ("  " in text or " \n" in text or "\n " in text)
        and not (text.startswith(" ") or text.endswith(" "))
    )


def words_stand_alone(tokenizer: Tokenizer) -> bool:
    """Whether this tokenizer never joins anything where we cut."""
    model = tokenizer.model
    return (
        isinstance(model, BPE)
        and not model.dropout
        and _described(tokenizer.normalizer) in (None, {"type": "NFC"})
        and _cuts_at_spaces(_described(tokenizer.pre_tokenizer))
        and not any(map(_looks_around, tokenizer.get_added_tokens_decoder().values()))
    )


def _described(step: Any) -> dict[str, Any] | None:
    """A normalizer or pre-tokenizer as tokenizer.json writes it."""
    found: dict[str, Any] | None = json.loads(step.__getstate__()) if step else None
    return found


def _cuts_at_spaces(pre_tokenizer: dict[str, Any] | None) -> bool:
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return True
        case {"type": "Sequence", "pretokenizers": [*steps]}:
            cutting = [step for step in steps if step.get("type") != "Digits"]
            return bool(cutting) and _cuts_first(cutting[0]) and all(map(_is_harmless, cutting[1:]))
    return False


def _cuts_first(step: dict[str, Any]) -> bool:
    return _cuts_at_spaces(step) or _is_known_split(step)


def _is_harmless(step: dict[str, Any]) -> bool:
    """Whether what was cut before is only cut further, or written in other letters."""
    return _is_known_split(step) or (
        step.get("type") == "ByteLevel" and step.get("add_prefix_space") is False
    )


def _is_known_split(step: dict[str, Any]) -> bool:
    match step:
        case {
            "type": "Split",
            "pattern": {"Regex": str(pattern)},
            "behavior": "Isolated" | "Removed" | "MergedWithPrevious" | "MergedWithNext" as how,
            "invert": bool(inverted),
        }:
            whole = (how, inverted) in {("Isolated", False), ("Removed", True), ("Isolated", True)}
            return whole and all(branch in _KNOWN_BRANCHES for branch in _branches(pattern))
    return False


def _branches(pattern: str) -> list[str]:
    """A pattern's alternatives, cut at the bars outside of its brackets."""
    branches, depth = [""], 0
    for character in pattern:
        depth += (character in "([") - (character in ")]")
        if character == "|" and depth == 0:
            branches.append("")
        else:
            branches[-1] += character
    return branches


def _looks_around(token: AddedToken) -> bool:
    """Whether a token of its own depends on what is around it, or is no token apart from words."""
    looks = token.lstrip or token.rstrip or token.single_word
    return looks or not token.content or not _STANDS_APART.fullmatch(token.content)


def _counted(encoding: Encoding, places: Sequence[int]) -> Counted:
    return Counted(encoding.ids, tuple(_begun_before(encoding, place) for place in places))


def _begun_before(encoding: Encoding, place: int) -> int:
    return bisect_left(encoding.offsets, place, key=lambda offsets: offsets[0])
