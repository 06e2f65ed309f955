"""The file of a signature, beside its checkpoint: what it signs can be read without a key."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

from tracker.files import inspect_file
from tracker.folders import manifest
from tracker.removal import remove

SUFFIX = ".sig"
_MOST_BYTES = 64 << 20


def signature_path(path: Path) -> Path:
    """Return where the signature of a file or folder lies."""
    return path.with_name(f"{path.name}{SUFFIX}")


def remove_signature(path: Path, sha256: str) -> None:
    """Delete the signature of a checkpoint that was deleted; what signs anything else, or cannot be deleted, stays."""
    target = signature_path(path)
    with suppress(OSError):
        if target.stat(follow_symlinks=False).st_size > _MOST_BYTES:
            return
        file = inspect_file(target)
        if file is not None and _signs(target.read_bytes(), sha256):
            remove(target, file.identity)


def _signs(signature: bytes, sha256: str) -> bool:
    """Say whether something is a signature of a file or folder with that hash."""
    try:
        payload = json.loads(b64decode(json.loads(signature)["dsseEnvelope"]["payload"]))
        resources = [
            (os.fsencode(each["name"]), str(each["digest"]))
            for each in payload["predicate"]["resources"]
        ]
    except (ValueError, KeyError, TypeError):
        return False
    if [name for name, _ in resources] == [b"."]:
        return resources[0][1] == sha256
    return manifest(resources) == sha256
