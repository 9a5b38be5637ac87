"""Tokens on disk: found by content, whole or not at all, and never too many."""

from __future__ import annotations

import os

import pytest

from tuner.examples import Example, Message
from tuner.token_cache import Row, TokenCache, digest

ROW = Row.pack([1, 2, 300_000], [False, True, True])
EMPTY = Row.pack([], [])


def test_rows_come_back_as_they_were_added(tmp_path):
    cache = TokenCache(tmp_path / "new", "model")
    cache.add(b"a" * 16, ROW)
    cache.add(b"b" * 16, EMPTY)
    cache.save()
    again = TokenCache(tmp_path / "new", "model")
    found, empty = again.get(b"a" * 16), again.get(b"b" * 16)
    assert found is not None
    assert found.ids.tolist() == [1, 2, 300_000]
    assert found.trained.tolist() == [False, True, True]
    assert empty is not None
    assert len(empty) == 0
    assert again.get(b"c" * 16) is None


def test_another_key_finds_nothing(tmp_path):
    cache = TokenCache(tmp_path, "model")
    cache.add(b"a" * 16, ROW)
    cache.save()
    assert len(TokenCache(tmp_path, "other model")) == 0


def test_what_is_on_disk_already_is_not_written_again(tmp_path):
    cache = TokenCache(tmp_path, "model")
    cache.add(b"a" * 16, ROW)
    cache.save()
    cache.save()
    TokenCache(tmp_path, "model").save()
    assert len(list(tmp_path.iterdir())) == 1


def test_the_files_unused_for_longest_go_first(tmp_path):
    for number in range(4):
        cache = TokenCache(tmp_path, f"model {number}", largest_bytes=450)
        cache.add(bytes([number]) * 16, Row.pack(range(20), [True] * 20))
        cache.save()
        for path in tmp_path.iterdir():
            found = path.stat()
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - 10**9))
    kept = [number for number in range(4) if len(TokenCache(tmp_path, f"model {number}"))]
    assert kept == [2, 3]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "file").write_text("")
    cache = TokenCache(tmp_path / "file" / "tokens", "model")
    cache.add(b"a" * 16, ROW)
    cache.save()
    assert cache.get(b"a" * 16) is ROW


@pytest.mark.parametrize(
    "other",
    [
        Example.from_pair("a", "bc"),
        Example.from_pair("ab", "c "),
        Example((Message("system", "ab"), Message("user", "c"), Message("assistant", "c"))),
    ],
)
def test_conversations_that_differ_have_other_digests(other):
    assert digest(Example.from_pair("ab", "c")) != digest(other)
    assert digest(Example.from_pair("ab", "c")) == digest(Example.from_pair("ab", "c"))
