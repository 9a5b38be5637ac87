"""The memory of a job is derived from its model's shape, and what fits is chosen from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.convert import ModelFacts
from tuner.errors import SettingsError
from tuner.factors import Measured, Seen, as_calibration
from tuner.footprint import Footprint
from tuner.memory import (
    FITS,
    TIGHT,
    WILL_NOT_FIT,
    MemoryCalibration,
    Sizes,
    plan_memory,
    predict_peak_bytes,
    verdict,
)
from tuner.settings import TuningSettings
from tuner.workload import Workload

FACTS = ModelFacts(
    family="llama",
    parameters=134_515_008,
    layers=30,
    hidden_size=576,
    inner_size=1536,
    attention_size=576,
    key_value_size=192,
    attention_sides=115_200,
    mlp_sides=190_080,
    linear_count=210,
    linear_parameters=106_168_320,
    context_length_tokens=8192,
    vocabulary_size=49152,
    stored_precision="BF16",
    size_bytes=272_584_364,
)
MEASURED = MemoryCalibration(
    precision="bfloat16",
    process_bytes=400e6,
    overhead_bytes=80e6,
    layout="packed",
    token_factor=1.2,
    checkpointed_token_factor=1.5,
    answer_factor=4.0,
)
SIZES = Sizes(lengths=[500] * 64, answer_share=0.1)
PLENTY = 64 * 10**9


def peak(settings: TuningSettings, sizes: Sizes = SIZES, facts: ModelFacts = FACTS) -> int:
    return plan_memory(facts, settings, sizes, MEASURED, PLENTY).peak_bytes


def footprint(**settings: Any) -> Footprint:
    return Footprint(
        facts=FACTS, settings=TuningSettings(**settings), precision="bfloat16", layout="packed"
    )


def test_an_adapter_trains_its_rank_times_the_sides_of_its_layers():
    assert footprint(lora_rank=8).trained_weights == 2_442_240
    assert footprint(lora_rank=16, lora_layers="mlp").trained_weights == 16 * 190_080
    assert footprint(method="full").trained_weights == FACTS.parameters


def test_full_tuning_in_bfloat16_holds_a_float32_copy_and_two_averages_of_each_weight():
    held = footprint(method="full")
    assert held.weight_bytes == 2 * FACTS.parameters
    assert held.training_bytes == 3 * 4 * FACTS.parameters


def test_a_quantised_base_takes_a_quarter_of_its_linear_weights():
    whole, quantised = footprint().weight_bytes, footprint(method="qlora").weight_bytes
    embeddings = 2 * (FACTS.parameters - FACTS.linear_parameters)
    assert quantised - embeddings == pytest.approx((whole - embeddings) / 4, rel=0.1)


@pytest.mark.parametrize(
    "more",
    [
        {"batch_size": 8},
        {"precision": "float32"},
        {"lora_rank": 64},
        {"lora_dropout": 0.1},
        {"method": "full"},
        {"use_dora": True},
    ],
)
def test_what_makes_a_job_larger_makes_the_prediction_larger(more: dict[str, Any]):
    settings: dict[str, Any] = {"batch_size": 4, "micro_batch_tokens": 8192}
    assert peak(TuningSettings(**settings | more)) > peak(TuningSettings(**settings))


def test_fewer_tokens_at_once_and_checkpointing_make_it_smaller():
    settings = TuningSettings(batch_size=16, micro_batch_tokens=8192)
    assert peak(replace(settings, micro_batch_tokens=1024)) < peak(settings) / 2
    assert peak(replace(settings, activation_checkpointing="on")) < peak(settings) / 2


def test_an_example_cannot_be_divided():
    settings = TuningSettings(batch_size=1, micro_batch_tokens=16)
    assert peak(settings, replace(SIZES, lengths=[4000])) > 2 * peak(settings)


def test_padding_counts_where_rows_are_padded():
    lengths = [20, 20, 20, 2000]
    padded, packed = (
        Workload.of(lengths, TuningSettings(batch_size=4), layout=layout).largest_portion(10_000)
        for layout in ("padded", "packed")
    )
    assert padded.tokens == 8000
    assert packed.tokens == 2060


def test_what_packed_examples_share_counts_once():
    workload = Workload.of(
        [100] * 8, TuningSettings(batch_size=4), layout="packed", shared_tokens=30
    )
    assert workload.largest_portion(10_000).tokens == 400 - 3 * 30
    assert workload.largest_portion(250).tokens == 200 - 30


def test_the_fastest_way_that_fits_is_chosen():
    settings = TuningSettings(batch_size=16)
    choices = []
    for available in (PLENTY, 1.9e9, 1.45e9, 1.3e9):
        plan = plan_memory(FACTS, settings, SIZES, MEASURED, int(available))
        assert plan.verdict == FITS
        choices.append((plan.activation_checkpointing, plan.micro_batch_tokens))
    assert choices[0] == (False, 2048)
    assert choices == sorted(choices, key=lambda choice: (choice[0], -choice[1]))
    assert choices[-1][0] or choices[-1][1] < 2048


def test_what_does_not_fit_is_said_with_the_least_it_would_take():
    plan = plan_memory(FACTS, TuningSettings(method="full"), SIZES, MEASURED, 10**9)
    assert plan.verdict == WILL_NOT_FIT
    assert plan.available_bytes == 10**9 < plan.peak_bytes
    assert plan.activation_checkpointing


def test_what_a_person_set_is_kept_even_where_it_does_not_fit():
    settings = TuningSettings(micro_batch_tokens=4096, activation_checkpointing="off")
    plan = plan_memory(FACTS, settings, SIZES, MEASURED, 10**9)
    assert (plan.micro_batch_tokens, plan.activation_checkpointing) == (4096, False)


def test_the_verdict_leaves_a_fifth_to_others():
    assert [verdict(peak, 100) for peak in (80, 81, 100, 101)] == [FITS, TIGHT, TIGHT, WILL_NOT_FIT]


def test_the_factors_are_found_again_in_peaks_made_from_them():
    shape = footprint(batch_size=4)

    def seen(tokens: int, answers: int, checkpointed: bool = False) -> Seen:
        workload = Workload(
            lengths=[tokens],
            batches=[[0]],
            layout="packed",
            answer_share=answers / tokens,
        )
        bytes_held = predict_peak_bytes(
            shape, workload, MEASURED, micro_batch_tokens=10**6, checkpointed=checkpointed
        )
        return Seen(tokens=tokens, answers=answers, peak_bytes=bytes_held)

    found = as_calibration(
        shape,
        Measured(
            short=seen(800, 0),
            long=seen(2000, 0),
            checkpointed=seen(2000, 0, checkpointed=True),
            talkative=seen(2000, 1900),
        ),
        device="cpu",
        device_bytes=0,
        process_bytes=400_000_000,
    )
    assert found.token_factor == pytest.approx(MEASURED.token_factor)
    assert found.answer_factor == pytest.approx(MEASURED.answer_factor)
    assert found.checkpointed_token_factor == pytest.approx(1.5, rel=0.1)
    assert found.overhead_bytes == pytest.approx(MEASURED.overhead_bytes, rel=0.2)


def test_a_calibration_survives_a_dictionary_and_another_shape_is_refused():
    assert MemoryCalibration.from_dict(MEASURED.as_dict()) == MEASURED
    with pytest.raises(SettingsError, match="Measure this machine again"):
        MemoryCalibration.from_dict({"bytes": 1})
