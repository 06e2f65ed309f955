"""What is refused: errors as JSON, each with a sentence that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from tracker.errors import (
    BadValue,
    DatabaseBusy,
    RunBusy,
    TrackerError,
    UnknownMetric,
    UnknownRun,
    UsageError,
    nearest,
)
from tracker.values import brief
from tracker.web.answers import answer
from tracker.web.static_files import Files, is_view

_STATUS: tuple[tuple[type[TrackerError], int], ...] = (
    (UnknownRun, 404),
    (UnknownMetric, 404),
    (UsageError, 400),
    (RunBusy, 409),
    (DatabaseBusy, 503),
    (TrackerError, 500),
)
_PLACES = ("query", "path", "body", "header")


class Problem(BaseModel):
    """An error: what is wrong and what to do, and the name of the error's class."""

    error: str
    kind: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The call was wrong; `error` says how to correct it."},
    404: {
        "model": Problem,
        "description": "There is no such run or metric; `error` names the nearest.",
    },
    422: {"model": Problem, "description": "A value has the wrong type, or is out of its range."},
}


def handle(app: FastAPI, files: Files) -> None:
    """Have an application answer every error of a call as a `Problem`, and a browser's unknown address by the page."""

    async def unanswered(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404 and is_view(request):
            return files.page(request, 404)
        return _unanswered(request, error)

    app.add_exception_handler(TrackerError, _of_ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, unanswered)


async def known_names(request: Request) -> None:
    """Refuse a parameter that a route does not have: a filter with a typo would match every run.

    Raises:
        BadValue: names the nearest parameter.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = [field.alias for field in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            has = nearest(name, known, most=20)
            raise BadValue(f"{brief(name)} is not a parameter of {request.url.path}: {has}")


def _problem(status: int, sentence: str, kind: str, **headers: str) -> Response:
    response = answer({"error": sentence, "kind": kind})
    response.status_code = status
    response.headers.update(headers)
    return response


async def _of_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TrackerError)
    status = next(code for kind, code in _STATUS if isinstance(error, kind))
    return _problem(status, str(error), type(error).__name__)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _problem(422, " ".join(_sentence(one) for one in error.errors()[:3]), "BadValue")


def _sentence(found: Mapping[str, Any]) -> str:
    """Write what pydantic found: ``limit is '0': input should be greater than or equal to 1.``"""
    path = [str(part) for part in found["loc"] if part not in _PLACES]
    kind, name = found["type"], ".".join(path)
    message = found["msg"][:1].lower() + found["msg"][1:]
    if kind == "missing":
        return f"{name or 'The body'} is missing."
    if kind == "json_invalid":
        return f"The body is not JSON: {found.get('ctx', {}).get('error', message)}."
    if kind == "extra_forbidden":
        return f"{brief(name)} is not a field of this call."
    return f"{name or 'The body'} is {brief(found.get('input'))}: {message}."


def _unanswered(request: Request, error: HTTPException) -> Response:
    asked = f"{request.method} {brief(request.url.path)}"
    sentence = {
        404: f"{asked} is not an address of this server: those are listed at /api/v1/openapi.json.",
        405: f"{asked} is not possible: see /api/v1/openapi.json for what this address takes.",
    }.get(error.status_code, f"{str(error.detail).rstrip('.')}.")
    kind = {404: "UnknownAddress", 405: "UsageError"}.get(error.status_code, "BadValue")
    return _problem(error.status_code, sentence, kind, **(error.headers or {}))
