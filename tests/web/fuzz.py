"""Bad calls of the JSON interface, made from its own description: every parameter and every body of every route.

python -m tests.web.fuzz          # all of them, on a database in a temporary folder; a minute or two
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from tests.helpers.pages import Page, serving

VALUES = (
    "", " ", "a", "-1", "0", "1.5", "nan", "-inf", "1e999", "9" * 40, "9223372036854775808", "\0", "a\0b", "'", '"',
    "%", "{0}", "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{FULLWIDTH DIGIT ONE}", "<script>alert(1)</script>",
    "../../etc/passwd", "x" * 5000, "a," * 500, "(" * 3000, "not " * 1500 + "epochs > 1",
    "1..999999999", "9..1", "..", "1..", "a@0",
    "params.", "--loss", "loss,loss", "epochs > 1 and", "epochs = 'x", "name ~ '('", "started > '9999999-01-01'",
    "params.lr = 1e400", "started > '-99999999d'", "null", "[]",
)  # fmt: skip
"""Values of a parameter; most are wrong for most."""

FEW = ("", "nan", "-1", "\0", "1..999999999", "(" * 3000)
"""The sample that every run of the tests takes."""

BODIES = (
    b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 20_000, b'{"a": 1e999}', b'{"unknown": 1}',
    b'{"runs": null}', b'{"runs": [1]}', b'{"runs": "a"}', b'{"runs": ["\\ud800"]}', b'{"runs": ["\\u0000"]}',
    b'{"note": 1}',
    b'{"name": ""}', b'{"name": " "}', b'{"name": "\\u0000"}', b'{"name": "\\ud800"}', b'{"tags": {"": ""}}',
    b'{"tags": {"a": 1}}',
    b'{"tags": {"\\ud800": "\\u0000"}}', b'{"tags": []}', b'{"removed_tags": ["none"]}', b'{"removed_tags": [""]}',
    b'{"pinned": "maybe"}', b'{"pinned": NaN}',
)  # fmt: skip
NEEDED = {
    "runs": "a,b",
    "by": "status",
    "name": "batch_loss",
    "metric": "loss",
    "run": "a",
    "checkpoint": "a",
}


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def __str__(self) -> str:
        body = "" if self.body is None else f" {self.body[:60]!r}"
        return f"{self.method} {self.path} {dict(self.query)!r:.120}{body}"


def calls(
    description: dict[str, Any], values: Sequence[str], bodies: Sequence[bytes]
) -> Iterator[Call]:
    """Yield bad calls of every operation that the description names: one bad value each, or a bad body."""
    for path, operations in description["paths"].items():
        if path.endswith("/events"):
            continue
        for method, operation in operations.items():
            parameters = operation.get("parameters", [])
            needed = {one["name"]: NEEDED[one["name"]] for one in parameters if one["required"]}
            yield _call(method, path, {**needed, "unknown": "1"}, parameters)
            for parameter in parameters:
                for value in values:
                    yield _call(method, path, {**needed, parameter["name"]: value}, parameters)
            if "requestBody" in operation:
                for body in bodies:
                    yield _call(method, path, needed, parameters, body)


def _call(
    method: str, path: str, given: dict[str, str], parameters: list[Any], body: bytes | None = None
) -> Call:
    places = {one["name"]: one["in"] for one in parameters}
    for name, value in given.items():
        if places.get(name) == "path":
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
    query = tuple(pair for pair in given.items() if places.get(pair[0]) != "path")
    return Call(method.upper(), path, query, body)


def fault_of(page: Page, call: Call) -> str | None:
    """Make a call; return what is wrong with the answer: an error of the server, or one without a sentence."""
    headers = {"origin": page.origin, "content-type": "application/json"}
    answer = page.client.request(
        call.method, call.path, params=list(call.query), content=call.body, headers=headers
    )
    if answer.status_code < 400:
        return None
    if answer.status_code >= 500:
        return f"{call}: {answer.status_code} {answer.text[:200]}"
    if answer.headers["content-type"].startswith("text/plain"):
        # The door refuses what is no path of a server before anything else is asked.
        return None if "leads out" in answer.text else f"{call}: {answer.text[:200]}"
    said = _json(answer)
    if not (isinstance(said, dict) and str(said.get("error", ""))[-1:] in list(".?^)'")):
        return f"{call}: {answer.status_code} without a sentence: {answer.text[:200]}"
    return None


def _json(answer: httpx.Response) -> object:
    try:
        return answer.json()
    except json.JSONDecodeError:
        return None


def faults(page: Page, values: Sequence[str], bodies: Sequence[bytes]) -> Iterator[str]:
    """Yield what is wrong with the answers to all bad calls."""
    description = page.get("/openapi.json").json()
    for call in calls(description, values, bodies):
        if (fault := fault_of(page, call)) is not None:
            yield fault


def main() -> None:
    """Print every fault."""
    from tests.web.test_access import record

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        record()
        with serving() as page:
            found = 0
            for fault in faults(page, VALUES, BODIES):
                found += 1
                print(fault, flush=True)
        print(f"{found} faults.")
        os.chdir("/")


if __name__ == "__main__":
    main()
