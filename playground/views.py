"""The playground's page, and the stream behind each answer on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import Http404, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from jobs.models import Job
from library import server
from library.models import TunedModel
from library.server import End, Loading, Piece, ServerError
from playground import conversation, models_to_ask, wording
from playground.conversation import Answer, Exchange
from playground.forms import AnswerForm, PromptForm
from playground.models_to_ask import Model
from tuner.examples import Message
from web.http import UserRequest
from work.status import HELD

GONE = "This model is no longer there, or no longer yours. Choose another one."


@require_http_methods(["GET", "POST"])
async def page(request: UserRequest) -> HttpResponse:
    """The page; a POST, from a browser without scripts, answers it with the whole answer."""
    if request.method == "POST":
        return await answer_whole(request)
    return await sync_to_async(show_empty)(request)


async def person(request: UserRequest) -> User:
    """Who is signed in; the middleware lets nobody else through."""
    user = await request.auser()
    assert isinstance(user, User)
    return user


def show_empty(request: UserRequest) -> HttpResponse:
    """The page with the model from its address, and no conversation yet."""
    groups = models_to_ask.groups(request.user)
    asked_for = request.GET.get("model")
    model = find_asked_for(request.user, asked_for) if asked_for else models_to_ask.first(groups)
    initial = {"model": model and str(model.pk), "compare": request.GET.get("compare") == "1"}
    return show(request, PromptForm(groups=groups, initial=initial), [])


def find_asked_for(user: User, asked_for: str) -> Model:
    """The model of an address."""
    try:
        return models_to_ask.find_or_404(user, UUID(asked_for))
    except ValueError:
        raise Http404 from None


def show(
    request: UserRequest, form: PromptForm, history: list[Exchange], status: int = 200
) -> HttpResponse:
    """The page with what was said so far."""
    context = {
        "form": form,
        "exchanges": history,
        "has_models": bool(form.fields["model"].choices),  # type: ignore[attr-defined]
        "has_tuned_models": TunedModel.objects.for_user(request.user).exists(),
        "is_tuning": Job.objects.filter(work__status__in=HELD).exists(),
    }
    return render(request, "playground/page.html", context, status=status)


async def answer_whole(request: UserRequest) -> HttpResponse:
    """Ask, wait for all of it, and show the page with it."""
    user = await person(request)
    groups = await sync_to_async(models_to_ask.groups)(user)
    form = PromptForm(request.POST, groups=groups)
    if not form.is_valid():
        history = form.cleaned_data.get("history") or []
        return await sync_to_async(show)(request, form, history, 422)
    chosen = form.cleaned_data
    model = await sync_to_async(models_to_ask.find_or_404)(user, UUID(chosen["model"]))
    asked = models_to_ask.columns(model, chosen["compare"])
    answers = await asyncio.gather(*(whole_answer(form, column) for column in asked))
    history = [*chosen["history"], Exchange(chosen["prompt"], tuple(answers))]
    kept = {**chosen, "prompt": "", "history": conversation.as_json(history)}
    again = PromptForm(groups=groups, initial=kept)
    return await sync_to_async(show)(request, again, history)


async def whole_answer(form: PromptForm, model: Model) -> Answer:
    """One model's answer to the form's prompt, complete."""
    chosen = form.cleaned_data
    turns = conversation.turns_for(model, chosen["history"], chosen["prompt"])
    text, note = "", ""
    try:
        messages = [*form.system_messages(), *turns]
        async for event in server.stream_answer(model, messages, form.parameters()):
            if isinstance(event, Piece):
                text += event.text
            elif isinstance(event, End):
                note = wording.ending(event, chosen["max_tokens"])
    except ServerError as error:
        return Answer.of(model, text, error=str(error))
    return Answer.of(model, text, note=note)


@require_POST
async def answer(request: UserRequest) -> HttpResponseBase:
    """One model's answer as it comes, for the page's script."""
    form = AnswerForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"error": form.sentence()}, status=422)
    user = await person(request)
    try:
        model = await sync_to_async(models_to_ask.find_or_404)(user, form.cleaned_data["model"])
    except Http404:
        return JsonResponse({"error": GONE}, status=404)
    events = answer_events(model, form.messages(), form.parameters())
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(events, content_type="text/event-stream", headers=headers)


async def answer_events(
    model: Model, messages: list[Message], parameters: dict[str, Any]
) -> AsyncGenerator[bytes, None]:
    """Server-sent events: state, piece, end or error. A lost browser ends the generation."""
    try:
        async with aclosing(server.stream_answer(model, messages, parameters)) as events:
            async for event in events:
                yield as_event(event, parameters["max_tokens"])
    except ServerError as error:
        yield sent("error", words=str(error))


def as_event(event: server.Event, max_tokens: int) -> bytes:
    """An event as the page's script reads it."""
    match event:
        case Loading():
            return sent("state", words=wording.LOADING)
        case Piece(text):
            return sent("piece", text=text)
        case End():
            return sent("end", words=wording.ending(event, max_tokens))


def sent(kind: str, **fields: str) -> bytes:
    return f"data: {json.dumps({'type': kind, **fields})}\n\n".encode()
