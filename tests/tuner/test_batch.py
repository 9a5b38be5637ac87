"""Both layouts hold the trained tokens and no others; packs waste nothing and mix nothing."""

from __future__ import annotations

import pytest
import torch

from tests.tuner.making import CONVERSATION, COUNTING
from tuner.batch import TILE_ROWS, packed_batch, padded_batch, shared_length
from tuner.encode import ChatEncoder, Encoded
from tuner.examples import Example, Message
from tuner.workload import micro_batches

SYSTEM = Message("system", "Answer with the next number and nothing else.")
WITH_SYSTEM = [Example((SYSTEM, *example.messages)) for example in COUNTING[:3]]
MIXED = [CONVERSATION, *COUNTING[:3]]


@pytest.fixture
def encoder(tiny_model):
    return ChatEncoder.load(tiny_model)


def answers_of(encoded):
    pairs = zip(encoded.ids, encoded.trained, strict=True)
    return [token for token, is_trained in pairs if is_trained]


@pytest.mark.parametrize("make", [packed_batch, lambda examples: padded_batch(examples, 0)])
def test_targets_are_the_trained_tokens_each_with_its_example(encoder, make):
    examples = [encoder.encode_example(example) for example in MIXED]
    batch = make(examples)
    for place, example in enumerate(examples):
        assert batch.targets[batch.owners == place].tolist() == answers_of(example)


def test_a_pack_predicts_each_answer_token_from_the_one_before_it(encoder):
    examples = [encoder.encode_example(example) for example in MIXED]
    pack = packed_batch(examples)
    before = [
        token
        for example in examples
        for token, is_next in zip(example.ids, example.trained[1:], strict=False)
        if is_next
    ]
    assert pack.ids[pack.predicting].tolist() == before


def test_a_pack_holds_the_shared_beginning_once(encoder):
    examples = [encoder.encode_example(example) for example in WITH_SYSTEM]
    shared = shared_length(examples)
    assert shared > 20
    assert len(packed_batch(examples).ids) == sum(map(len, examples)) - 2 * shared


def test_what_predicts_an_answer_is_never_shared():
    same = Encoded([1, 2, 3, 4], [False, False, True, True])
    assert shared_length([same, same]) == 1
    everything = Encoded([1, 2, 3, 4], [False, True, True, True])
    assert shared_length([everything, everything]) == 0


@pytest.mark.parametrize("lengths", [(5, 7, 9), (300,), (100, 20, 20, 400, 3), (TILE_ROWS["cpu"],)])
@pytest.mark.parametrize("shared", [0, 11])
def test_tiles_let_each_row_see_its_own_example_up_to_itself_and_what_is_shared(lengths, shared):
    ids = list(range(shared))
    examples = [Encoded(ids + [99 + place] * count, []) for place, count in enumerate(lengths)]
    examples = [Encoded(one.ids, [False] * (len(one) - 1) + [True]) for one in examples]
    pack = packed_batch([*examples, examples[0]]) if shared else packed_batch(examples)
    seen = torch.zeros(len(pack.ids), len(pack.ids), dtype=torch.bool)
    for tile in pack.tiles(torch.float32):
        columns = torch.cat((torch.arange(tile.shared), torch.arange(len(pack.ids))[tile.keys]))
        scores = torch.zeros(tile.rows.stop - tile.rows.start, len(columns))
        if tile.mask is not None:
            scores[:, -tile.mask.shape[1] :] += tile.mask
        for row, allowed in zip(range(tile.rows.start, tile.rows.stop), scores == 0, strict=True):
            seen[row, columns[allowed]] = True
    owners = [-1] * pack.shared
    for place, count in enumerate(pack.lengths):
        owners += [place] * count
    expected = [
        [column <= row and owners[column] in {-1, owners[row]} for column in range(len(owners))]
        for row in range(len(owners))
    ]
    assert seen.tolist() == expected


def test_a_padded_batch_is_no_longer_than_its_longest_example(encoder):
    examples = [encoder.encode_example(example) for example in MIXED]
    assert padded_batch(examples, 0).ids.shape == (4, max(map(len, examples)))


def test_micro_batches_keep_to_the_limit_and_lose_nothing():
    assert list(micro_batches([50, 60, 30, 200, 10], 100)) == [[0], [1, 2], [3], [4]]
