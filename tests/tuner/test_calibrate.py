"""A machine's measured speed predicts a job that is then really run."""

from __future__ import annotations

import time

from tests.tuner.making import COUNTING, run
from tuner.calibrate import measure_timing
from tuner.encode import ChatEncoder
from tuner.plan import Timing, estimate_seconds
from tuner.settings import TuningSettings


def test_the_measured_timing_predicts_a_run_roughly(tiny_model, tmp_path):
    timing = measure_timing(tiny_model)
    assert Timing.from_dict(timing.as_dict()) == timing
    encoder = ChatEncoder.load(tiny_model)
    lengths = [len(encoder.encode_example(example)) for example in COUNTING]
    settings = TuningSettings(epochs=10)
    predicted = estimate_seconds(timing, lengths, settings, lengths)
    started = time.perf_counter()
    run(tiny_model, tmp_path / "out", settings=settings, validation=COUNTING)
    taken = time.perf_counter() - started
    # Steps of a few milliseconds are mostly noise; only the order of magnitude can be held here.
    assert taken / 5 < predicted < taken * 5
