"""Where a checkpoint comes from, as an in-toto Statement v1 with a SLSA provenance v1 predicate.

https://github.com/in-toto/attestation/tree/main/spec/v1 and https://slsa.dev/spec/v1.0/provenance say what the
fields mean; docs/provenance.md what this build type puts into them. The statement is not signed: whoever
wants to trust it wraps it into an envelope of their own.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from tracker.identity import files_in
from tracker.models import ATTEMPT, CHECKPOINT
from tracker.queries.provenance import provenance
from tracker.redact import HIDDEN
from tracker.storage.database import Reader
from tracker.values import from_json

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILDER = "https://github.com/local-tracker/local-tracker"
BUILD_TYPE = f"{BUILDER}/blob/main/docs/provenance.md#training-v1"
_INTERNAL = ("machine", "packages", "python")
_SCP = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)/?(.+)")


def statement(reader: Reader, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is recorded of a checkpoint as a statement: JSON without NaN, times in UTC.

    A file is named by its SHA-256; a folder by in-toto's ``dirHash``, which is the hash of its manifest
    (`tracker.folders`), as long as it holds no link. What is not there any more counts as a folder where its
    name has no suffix.

    Args:
        reader: an open database.
        checkpoint: its row, as `tracker.queries.checkpoints.find_checkpoint` gives it.
    """
    facts = provenance(reader, checkpoint)
    created = reader.connection.execute(
        select(CHECKPOINT.c.created).where(CHECKPOINT.c.id == facts["id"])
    ).scalar_one()
    attempt = reader.connection.execute(
        select(ATTEMPT.c.captured, ATTEMPT.c.started).where(
            ATTEMPT.c.run_id == facts["run_id"], ATTEMPT.c.number == facts["attempt"]
        )
    ).one()
    captured = from_json(attempt.captured) or {}
    made: dict[str, Any] = _finite(
        {
            "_type": STATEMENT,
            "subject": [_file(facts["path"], facts["sha256"], Path(facts["file"]))],
            "predicateType": PREDICATE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "command": captured.get("command"),
                        "experiment": facts["experiment"],
                        "params": facts["params"],
                    },
                    "internalParameters": {
                        name: captured[name] for name in _INTERNAL if captured.get(name)
                    },
                    "resolvedDependencies": [*_source(facts["git"]), *_parents(facts["parents"])],
                },
                "runDetails": {
                    "builder": {"id": BUILDER, "version": _version(captured)},
                    "metadata": {
                        "invocationId": f"{facts['run_id']}/{facts['attempt']}",
                        "startedOn": _time(attempt.started),
                        "finishedOn": _time(created),
                    },
                    "byproducts": [_results(facts)],
                },
            },
        }
    )
    return made


def _file(path: str, sha256: str, there: Path | None = None) -> dict[str, Any]:
    is_folder = there.is_dir() if there is not None and there.exists() else not Path(path).suffix
    return {"name": path, "digest": {_algorithm(there) if is_folder else "sha256": sha256}}


def _algorithm(folder: Path | None) -> str:
    """Return the name of a folder's hash: in-toto's knows no links, and so is another one where there are some."""
    has_links = folder is not None and any(path.is_symlink() for _, path in files_in(folder))
    return "trackerManifest" if has_links else "dirHash"


def _source(git: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the code, where it was under git and something was committed."""
    commit = (git or {}).get("commit")
    if git is None or not re.fullmatch(r"[0-9a-f]{40,64}", str(commit)):
        return
    uri = _uri(git.get("remote"))
    notes = {"branch": git.get("branch"), "modified": bool(git.get("modified"))}
    yield {
        **({} if uri is None else {"uri": f"{uri}@{commit}"}),
        "digest": {"gitCommit": commit},
        "annotations": notes,
    }


def _uri(remote: str | None) -> str | None:
    """Return where the code is kept as a URI of SPDX's form, without credentials; None for a path of one machine."""
    text = (remote or "").replace(f"{HIDDEN}@", "")
    if re.match(r"(https?|ssh|git)://", text):
        return f"git+{quote(text, safe=':/@~%')}"
    if (found := _SCP.fullmatch(text)) is not None:
        return f"git+ssh://{found[1]}/{quote(found[2], safe='/~%')}"
    return None


def _parents(parents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the files that it was trained from."""
    for parent in parents:
        if "sha256" in parent:
            path = parent.get("path") or f"{parent['checkpoint']}.bin"
            notes = {name: parent[name] for name in ("relation", "run", "checkpoint", "epoch")}
            yield {**_file(path, parent["sha256"]), "annotations": notes}


def _version(captured: Mapping[str, Any]) -> dict[str, str]:
    version = (captured.get("packages") or {}).get("local-tracker")
    return {} if version is None else {"local-tracker": version}


def _results(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("run", "epoch", "step", "monitor", "value", "metrics", "policy")
    results = _finite({name: facts[name] for name in names})
    content = b64encode(dumps(results, ensure_ascii=False).encode()).decode()
    return {"name": "results.json", "mediaType": "application/json", "content": content}


def _finite(data: Any) -> Any:
    """Return data that any JSON parser reads: NaN and infinities as words."""
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, Mapping):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return data


def _time(microseconds: int) -> str:
    """Return a time as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
