"""Real jobs on the small model: a few steps each, run in the test's own process."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from accounts.models import User
from datasets import intake
from datasets.models import Dataset
from jobs.launch import Order, launch
from jobs.models import Job
from library.models import BaseModel
from tuner.settings import TuningSettings
from work import runner as work_runner
from work.claim import Claim, claim_item

JobMaker = Callable[..., Job]


def write_rows(path: Path, count: int, ask: str = "what follows") -> Path:
    """A file of `count` different examples."""
    rows = [{"text_input": f"{ask} {n}?", "output": str(n + 1)} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """Nothing remembered from the test before."""
    cache.clear()


@pytest.fixture
def dataset(alice: User, data_dir: Path, tmp_path: Path) -> Dataset:
    """Forty examples of Alice's."""
    file = write_rows(tmp_path / "numbers.jsonl", 40)
    return intake.create_dataset(alice, "numbers", file)


@pytest.fixture
def make_job(alice: User, dataset: Dataset, tiny_base: BaseModel) -> JobMaker:
    """Launch a job of Alice's; two epochs of nine steps unless said otherwise."""

    def make(name: str = "counter", order: dict[str, Any] | None = None, **chosen: Any) -> Job:
        settings = TuningSettings(**{"epochs": 2, "validation_share": 0.1, **chosen})
        return launch(
            Order(
                owner=alice,
                version=dataset.current,
                base_model=tiny_base,
                tuned_model_name=name,
                settings=settings,
                **(order or {}),
            )
        )

    return make


def claimed(job: Job, worker: str = "worker") -> Claim:
    """This worker's hold on the job."""
    claim = claim_item(job.work, worker)
    assert claim is not None
    return claim


def run(job: Job) -> Job:
    """Run the job to its end, as a worker would."""
    work_runner.run(claimed(job))
    return Job.objects.for_pages().get(pk=job.pk)


def losses(job: Job) -> list[float]:
    """The training losses, by step."""
    points = job.points.filter(name="train/loss").order_by("step")
    return list(points.values_list("value", flat=True))


def steps(job: Job, name: str = "train/loss") -> list[int]:
    """The steps that have a point."""
    return list(job.points.filter(name=name).order_by("seq").values_list("step", flat=True))


@pytest.fixture
def other(alice: User, data_dir: Path, tmp_path: Path) -> Dataset:
    """Twenty more examples of Alice's, in a dataset of their own."""
    return intake.create_dataset(alice, "others", write_rows(tmp_path / "others.jsonl", 20, "say"))


def rows(*chosen: tuple[Dataset, float]) -> dict[str, object]:
    """More datasets and their weights, as the form sends them."""
    sent: dict[str, object] = {"more-TOTAL_FORMS": len(chosen), "more-INITIAL_FORMS": 0}
    for number, (dataset, weight) in enumerate(chosen):
        sent |= {f"more-{number}-dataset": dataset.pk, f"more-{number}-weight": weight}
    return sent


def form_values(data: Dataset, shelf: BaseModel, **changed: object) -> dict[str, object]:
    """What the form of a new job sends when little of it was touched."""
    return {
        "request_id": uuid.uuid4(),
        "dataset": data.pk,
        "base_model": shelf.pk,
        "tuned_model_name": "counter",
        "epochs": 5,
        "batch_size": 4,
        "learning_rate_multiplier": "1.0",
        "adapter_size": 8,
        "validation_dataset": "",
        **changed,
    }
