"""Take secrets out of what is stored: text, command lines, JSON-ready data.

Every pattern needs time that grows with the text's length, not with its square: an exception's
text may be megabytes of anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

HIDDEN = "[hidden]"

_NAME = (
    r"pass(?:word|wd|phrase)|(?<=_)pass(?![a-z])|pwd(?![a-z])|secret|credential|signature"
    r"|(?:api|access|private)[-_]?key|authorization|(?<![a-z])auth(?![a-z])"
    r"|(?<!(?:pad|eos|bos|unk|cls|sep)_)(?<!mask_)token(?![a-z_])"
)
"""What is in the name of a secret; "max_tokens", "eos_token", "tokenizer" and "author" are none."""

_SECRET = re.compile(_NAME, re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^\s/:@\"']{0,100}(?::[^\s@\"']{0,300})?@")
_ASSIGNED = re.compile(
    rf"(?P<name>(?<![\w.\-])(?=[\w.\-]{{0,80}}?(?:{_NAME}))[\w.\-]{{1,120}}[\"']?\s{{0,4}}[=:]\s{{0,4}})"
    r"(?:(?:bearer|basic)\s{1,4})?"
    r"(?:(?P<quote>[\"'])(?:(?!(?P=quote))[^\\\n]|\\.){0,2000}(?P=quote)?|[^\s\"'&,;)}]+)",
    re.IGNORECASE,
)
_TOKENS = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}|hf_\w{16,}"
    r"|sk-[\w\-]{16,}|xox[abprs]-[\w\-]{10,}|AIza[\w\-]{30,}|npm_\w{30,}|pypi-[\w\-]{30,}"
    r"|eyJ[\w\-]{8,1000}\.[\w\-]{8,4000}\.[\w\-]*)"
)
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,30}-----)?"
)


def redact(text: str) -> str:
    """Hide user names and passwords in URLs, ``password=…`` and its like, keys and well-known tokens."""
    text = _USERINFO.sub(f"{HIDDEN}@", text)
    text = _PRIVATE.sub(HIDDEN, text)
    text = _ASSIGNED.sub(rf"\g<name>{HIDDEN}", text)
    return _TOKENS.sub(HIDDEN, text)


def redact_data(data: Any) -> Any:
    """Redact JSON-ready data: every text in it, and whole the texts that a secret's name stands for."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, list):
        return [redact_data(item) for item in data]
    if isinstance(data, dict):
        return {
            key: HIDDEN if isinstance(item, str) and _SECRET.search(key) else redact_data(item)
            for key, item in data.items()
        }
    return data


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Redact a command line; what ``--api-key`` and its like are given is hidden whole."""
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        secret = bool(_SECRET.search(name)) and " " not in name
        if hide_next and not argument.startswith("--"):
            shown.append(HIDDEN)
        elif secret and equals:
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(redact(argument))
        hide_next = secret and not equals and argument.startswith("-")
    return shown
