"""What is measured of a machine predicts a job that is then really run."""

from __future__ import annotations

import time

from tests.tuner.making import COUNTING, run
from tuner.calibrate import calibrate
from tuner.encode import ChatEncoder
from tuner.memory import MemoryCalibration
from tuner.plan import Timing, estimate_seconds
from tuner.settings import TuningSettings


def test_the_measured_timing_predicts_a_run_roughly(tiny_model, tmp_path):
    calibration = calibrate(tiny_model)
    timing = calibration.timing
    assert Timing.from_dict(calibration.as_dict()) == timing
    memory = MemoryCalibration.from_dict(calibration.as_dict()["memory"])
    assert memory == calibration.memory
    assert memory.layout == "packed"
    assert memory.process_bytes > 50e6
    encoder = ChatEncoder.load(tiny_model)
    lengths = [len(encoder.encode_example(example)) for example in COUNTING]
    settings = TuningSettings(epochs=10)
    predicted = estimate_seconds(timing, lengths, settings, lengths)
    started = time.perf_counter()
    run(tiny_model, tmp_path / "out", settings=settings, validation=COUNTING)
    taken = time.perf_counter() - started
    # Steps of a few milliseconds are mostly noise; only the order of magnitude can be held here.
    assert taken / 5 < predicted < taken * 5
