"""Take secrets out of text before it is stored."""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "[hidden]"

_NAMES = (
    r"pass(?:word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential"
    r"|auth(?:orization)?"
)
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)[^\s/@]*(?::[^\s@]*)?@")
_QUOTED = re.compile(
    rf"(?P<name>[\w\-.]*(?:{_NAMES})[\w\-.]*[\"']?\s*[=:]\s*)(?P<quote>[\"']?)(?:bearer\s+|basic\s+)?[^\s\"'&,;)}}]+(?P=quote)",
    re.IGNORECASE,
)
_TOKENS = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}|hf_\w{16,}"
    r"|sk-[\w\-]{16,}|xox[abprs]-[\w\-]{10,}|AIza[\w\-]{30,}|npm_\w{30,}|pypi-[\w\-]{30,}"
    r"|eyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]*)"
)
_OPTION = re.compile(rf"^--?[\w\-.]*(?:{_NAMES})[\w\-.]*$", re.IGNORECASE)


def redact(text: str) -> str:
    """Hide user names and passwords in URLs, ``password=…`` and its like, and well-known tokens."""
    text = _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _QUOTED.sub(rf"\g<name>{HIDDEN}", text)
    return _TOKENS.sub(HIDDEN, text)


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Redact a command line; an argument after ``--api-key`` and its like is hidden whole."""
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        shown.append(HIDDEN if hide_next and not argument.startswith("--") else redact(argument))
        hide_next = bool(_OPTION.match(argument))
    return shown
