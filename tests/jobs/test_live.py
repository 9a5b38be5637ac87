"""What an open page hears of a job, over a real websocket and a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from accounts.models import User
from jobs.consumers import NOT_FOUND, SIGNED_OUT, number_in
from jobs.models import Job, MetricPoint
from jobs.protocol import LogMessage, MetricsMessage, RewindMessage
from tests.jobs.conftest import JobMaker, run
from web import live

PageOpener = Callable[..., ClientConnection]


@pytest.fixture
def open_page(studio_server: str) -> Iterator[PageOpener]:
    """Opens a page of a job as a person has it open."""
    with ExitStack() as pages:

        def open_it(
            job: Job, user: User | None, since: int = 0, origin: str | None = None
        ) -> ClientConnection:
            address = f"ws://{studio_server}/ws/jobs/{job.pk}/?since={since}"
            page = connect(
                address,
                origin=Origin(origin or f"http://{studio_server}"),
                additional_headers={"Cookie": signed_in(user)} if user else {},
            )
            return pages.enter_context(page)

        yield open_it


def signed_in(user: User) -> str:
    """The cookie of a session of this person."""
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def receive(page: ClientConnection, timeout: float = 10) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = json.loads(page.recv(timeout=timeout))
    return message


def until_status(page: ClientConnection) -> list[dict[str, Any]]:
    """What a page gets on connect: everything up to the state of the job."""
    messages = [receive(page)]
    while messages[-1]["type"] != "status":
        messages.append(receive(page))
    return messages


def hears_nothing(page: ClientConnection, seconds: float) -> bool:
    """Whether no message arrives for so long."""
    try:
        page.recv(timeout=seconds)
    except TimeoutError:
        return True
    return False


def add_point(job: Job, seq: int) -> MetricPoint:
    return MetricPoint.objects.create(
        job=job, seq=seq, name="train/loss", step=seq, epoch=1.0, value=1.0
    )


def test_a_page_opened_late_gets_every_point_and_the_state(
    make_job: JobMaker, open_page: PageOpener
) -> None:
    job = run(make_job())
    messages = until_status(open_page(job, job.owner))
    assert messages[0] == {"type": "rewind", "step": 18}
    points = [p for message in messages if "points" in message for p in message["points"]]
    assert [point["seq"] for point in points] == list(range(1, job.last_seq + 1))
    (samples,) = [message for message in messages if message["type"] == "samples"]
    assert samples["step"] == 18
    assert messages[-1]["status"] == "succeeded"


def test_a_page_that_comes_back_gets_only_what_it_missed(
    make_job: JobMaker, open_page: PageOpener
) -> None:
    job = run(make_job())
    messages = until_status(open_page(job, job.owner, job.last_seq - 3))
    assert len(messages[1]["points"]) == 3


def test_an_open_page_hears_the_whole_run_as_it_happens(
    make_job: JobMaker, open_page: PageOpener
) -> None:
    job = make_job()
    page = open_page(job, job.owner)
    assert until_status(page)[-1]["status"] == "queued"
    run(job)
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1].get("status") != "succeeded":
        messages.append(receive(page))
    points = [
        (point["name"], point["step"])
        for message in messages
        if message["type"] == "metrics"
        for point in message["points"]
    ]
    assert [step for name, step in points if name == "train/loss"] == list(range(1, 19))
    assert [step for name, step in points if name == "validation/loss"] == [9, 18]
    assert {"log", "checkpoint"} <= {message["type"] for message in messages}
    sampled = [message for message in messages if message["type"] == "samples"]
    assert [message["step"] for message in sampled] == [9, 18]
    assert [answer["position"] for answer in sampled[0]["answers"]] == [0, 1, 2]


def test_published_messages_are_relayed(make_job: JobMaker, open_page: PageOpener) -> None:
    job = make_job()
    page = open_page(job, job.owner)
    until_status(page)
    live.publish(job.group, RewindMessage(type="rewind", step=4)).result(timeout=10)
    assert receive(page) == {"type": "rewind", "step": 4}


def test_a_lost_message_is_made_good_from_the_database(
    make_job: JobMaker, open_page: PageOpener
) -> None:
    job = make_job()
    page = open_page(job, job.owner)
    until_status(page)
    points = [add_point(job, seq) for seq in (1, 2, 3)]
    only_the_last = MetricsMessage(type="metrics", points=[points[-1].as_message()])
    live.publish(job.group, only_the_last).result(timeout=10)
    assert [point["seq"] for point in receive(page)["points"]] == [1, 2, 3]
    live.publish(job.group, only_the_last).result(timeout=10)
    assert hears_nothing(page, seconds=0.5)


@pytest.mark.parametrize(("who", "code"), [("bob", NOT_FOUND), ("nobody", SIGNED_OUT)])
def test_a_stranger_hears_nothing(
    make_job: JobMaker, open_page: PageOpener, bob: User, who: str, code: int
) -> None:
    page = open_page(make_job(), bob if who == "bob" else None)
    with pytest.raises(ConnectionClosed) as closed:
        receive(page)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_a_page_of_another_site_is_refused(make_job: JobMaker, open_page: PageOpener) -> None:
    job = make_job()
    with pytest.raises(InvalidStatus):
        open_page(job, job.owner, origin="http://evil.example")


def test_an_idle_page_still_hears_after_fifteen_seconds(
    make_job: JobMaker, open_page: PageOpener
) -> None:
    job = make_job()
    page = open_page(job, job.owner)
    until_status(page)
    assert hears_nothing(page, seconds=15)
    message = LogMessage(type="log", number=1, text="still here")
    live.publish(job.group, message).result(timeout=10)
    assert receive(page)["text"] == "still here"


@pytest.mark.parametrize(
    ("query", "expected"),
    [(b"since=7", 7), (b"", 0), (b"since=-1", 0), (b"since=abc", 0), (b"since=" + b"9" * 99, 0)],
)
def test_a_strange_since_counts_as_none(query: bytes, expected: int) -> None:
    assert number_in(query, "since") == expected
