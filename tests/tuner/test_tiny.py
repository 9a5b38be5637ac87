"""The tiny model is a real one, small, and the same every time."""

from __future__ import annotations

import hashlib

import torch
from transformers import AutoModelForCausalLM

from tuner.convert import check_base_model
from tuner.encode import ChatEncoder
from tuner.examples import Message
from tuner.tiny import make_tiny_model


def test_the_same_seed_gives_the_same_files(tmp_path):
    first, second = (make_tiny_model(tmp_path / name) for name in ("first", "second"))
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        digests = {
            hashlib.sha256((folder / name).read_bytes()).digest() for folder in (first, second)
        }
        assert len(digests) == 1, name


def test_transformers_loads_it_and_every_token_has_an_embedding(tiny_model):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    encoder = ChatEncoder.load(tiny_model)
    assert encoder.vocabulary_size <= model.config.vocab_size
    ids = torch.tensor([encoder.encode_prompt([Message("user", "1 + 1")])])
    assert model(ids).logits.isfinite().all()


def test_its_facts_can_be_read(tiny_model):
    facts = check_base_model(tiny_model)
    assert (facts.family, facts.layers, facts.hidden_size) == ("llama", 2, 64)
    assert facts.parameters == AutoModelForCausalLM.from_pretrained(tiny_model).num_parameters()
