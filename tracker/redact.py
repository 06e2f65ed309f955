"""Take secrets out of what is stored: text, command lines, JSON-ready data.

Every pattern needs time that grows with the text's length, not with its square: an exception's
text may be megabytes of anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

HIDDEN = "[hidden]"

_LAST = r"(?![a-z]|[-_][a-z])"
"""After the last word of a name."""
_NAME = (
    r"pass(?:word|wd|phrase)|(?<![a-z])(?:ssh)?pass"
    + _LAST
    + r"|(?<![a-z])pw"
    + _LAST
    + r"|pwd(?![a-z])"
    r"|secret|credential|signature|(?<![a-z])jwt(?![a-z])|bearer|cookie(?![a-z])|session[-_]?id(?![a-z])"
    r"|(?:api|access|private|account)[-_]?key|authorization|(?<![a-z])auth(?![a-z])"
    r"|(?<!sort)(?<!group)(?<!label)(?<!image)(?<!input)(?<!index)(?<!order)(?<!cache)(?<!primary)(?<!foreign)"
    r"(?<!feature)(?<!target)(?<!output)(?<!metric)(?<!data)(?<!text)(?<!join)[-_]key" + _LAST + r""
    r"|(?<!(?:pad|eos|bos|unk|cls|sep)_)(?<!mask_)token(?![a-z_])"
)
"""What is in the name of a secret; "max_tokens", "eos_token", "tokenizer", "sort_key" and "author" are not secrets."""

# Patterns are text: `re` compiles each when it is first used, which most commands never do.
_SECRET = f"(?i)(?:{_NAME})"
_COUNT = r"(?i)(?:n|num|max|min|total)[-_]"
_SHAPE = r"(?i)signature"
"""Also what a model takes and gives, where it is not text."""
_USERINFO = (
    # A password may hold a slash, and user name and password an @ that nobody has escaped.
    r"(?<=://)[^\s/:@\"']{0,100}(?:@[^\s/:@\"']{1,100}){0,3}"
    r"(?::[^\s@\"']{0,300}(?:@[^\s/@\"']{1,100}){0,5})?@"
)
_USER_OPTIONS = frozenset({"-u", "-U", "--user", "--proxy-user", "--userpwd", "--basic-auth"})
_DIGEST = r"(?i)(?P<name>authorization[\"']?\s{0,4}[=:]\s{0,4}digest\s)[^\n]{1,4000}"
_ASSIGNED = (
    rf"(?i)(?P<name>(?<![\w.\-])(?=[\w.\-]{{0,80}}?(?:{_NAME}))[\w.\-]{{1,120}}[\"']?\s{{0,4}}[=:]\s{{0,4}})"
    r"(?:(?:bearer|basic|token|apikey|negotiate)\s{1,4})?"
    r"(?:(?P<quote>[\"'])(?:(?!(?P=quote))[^\\\n]|\\.){0,2000}(?P=quote)?|[^\s\"'&,;)}]+)"
)
_NEXT = r"(?:[\"']?,?\s{1,4}[\"']?)"
"""Between an option and its value, in a command line or in the list of its words, as `subprocess` shows both."""
_OPTION = (
    rf"(?i)(?P<name>(?<![\w.\-])--?(?=[\w.\-]{{0,80}}?(?:{_NAME}))[\w.\-]{{1,120}}{_NEXT})"
    rf"(?!-)[^\s\"',]{{1,2000}}"
)
_USER = (
    rf"(?P<name>(?<![\w.\-])(?:{'|'.join(sorted(_USER_OPTIONS))})(?:{_NEXT}|=)[^\s:\"']{{1,100}}:)"
    r"[^\s\"']{1,2000}"
)
_TOKENS = (
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}|hf_\w{16,}"
    r"|sk-[\w\-]{16,}|xox[abprs]-[\w\-]{10,}|AIza[\w\-]{30,}|npm_\w{30,}|pypi-[\w\-]{30,}"
    r"|eyJ[\w\-]{8,1000}\.[\w\-]{8,4000}\.[\w\-]*)"
)
_PRIVATE = r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,30}-----)?"


def redact(text: str) -> str:
    """Hide user names and passwords in URLs, ``password=…``, ``--password …`` and their like, keys, known tokens."""
    text = re.sub(_USERINFO, f"{HIDDEN}@", text)
    text = re.sub(_PRIVATE, HIDDEN, text)
    text = re.sub(_DIGEST, rf"\g<name>{HIDDEN}", text)
    for pattern in (_ASSIGNED, _OPTION, _USER):
        text = re.sub(pattern, rf"\g<name>{HIDDEN}", text)
    return re.sub(_TOKENS, HIDDEN, text)


def redact_data(data: Any) -> Any:
    """Redact JSON-ready data: every text in it, and whole what a secret's name stands for."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, list):
        return [redact_data(item) for item in data]
    if isinstance(data, dict):
        return {
            key: HIDDEN if _is_secret(key, item) else redact_data(item)
            for key, item in data.items()
        }
    return data


def _is_secret(name: str, item: Any) -> bool:
    """Say whether an item is hidden whole; a flag or nothing is none, and a number not where it counts."""
    if item is None or isinstance(item, bool) or not re.search(_SECRET, name):
        return False
    if isinstance(item, (int, float)):
        return not re.match(_COUNT, name)
    return isinstance(item, str) or not re.search(_SHAPE, name)


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Redact a command line; what ``--api-key`` and its like are given is hidden whole."""
    shown: list[str] = []
    hide_next, option = False, ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        secret = bool(re.search(_SECRET, name)) and not set(" :/") & set(name)
        if hide_next and not argument.startswith("--"):
            shown.append(HIDDEN)
        elif secret and equals:
            shown.append(f"{name}={HIDDEN}")
        elif name in _USER_OPTIONS and equals:
            shown.append(f"{name}={_without_password(value)}")
        elif option in _USER_OPTIONS:
            shown.append(_without_password(argument))
        else:
            shown.append(redact(argument))
        hide_next = secret and not equals and argument.startswith("-")
        option = argument
    return shown


def _without_password(user: str) -> str:
    """Return ``name:password`` without the password."""
    name, colon, _ = user.partition(":")
    return f"{name}:{HIDDEN}" if colon else user
