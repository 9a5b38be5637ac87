"""What made a tuned model, frozen at the end of its job.

Readable after the job, the datasets or the model it started from are gone; so it holds names and
numbers only, no rows.
"""

from __future__ import annotations

from typing import Any

from jobs.data_parts import Part, parts_of
from jobs.models import Job


def of(job: Job) -> dict[str, Any]:
    """Names, numbers and hashes of everything that went into the model."""
    version = job.dataset_version
    return {
        "job": str(job.pk),
        "dataset": version.dataset.name,
        "dataset_version": version.number,
        "dataset_sha256": version.sha256,
        "examples": version.example_count,
        "datasets": [described(part) for part in parts_of(job)],
        "validation_dataset": str(job.validation_version or ""),
        "base_model": job.base_model.name,
        "start_from": job.started_from_name,
        "start_mode": job.start_mode,
        "settings": job.settings,
        "automatic": job.automatic,
        "facts": job.facts,
        "steps": job.total_steps,
        "ending": job.ending,
        "model_step": job.model_step,
    }


def described(part: Part) -> dict[str, Any]:
    """One dataset of the mixture."""
    return {
        "name": part.version.dataset.name,
        "version": part.version.number,
        "sha256": part.version.sha256,
        "examples": part.version.example_count,
        "weight": part.weight,
        "is_replay": part.is_replay,
    }
