"""A checkpoint's statement has the fields that in-toto and SLSA ask for, and says what is recorded."""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
from base64 import b64decode
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.queries.attestation import _uri
from tracker.recording.loading import _note_parent

HEX = re.compile(r"[0-9a-f]{64}")
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


def said(cli: Any, *words: object) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        cli("checkpoints", "provenance", *words).stdout, parse_constant=pytest.fail
    )
    check(made)
    return made


def check(made: dict[str, Any]) -> None:
    """Compare with the published fields: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md,
    https://slsa.dev/spec/v1.0/provenance."""
    assert set(made) == {"_type", "subject", "predicateType", "predicate"}
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://slsa.dev/provenance/v1"
    assert made["subject"]
    for subject in made["subject"]:
        assert subject["digest"]
        descriptor(subject)
    predicate = made["predicate"]
    assert set(predicate) == {"buildDefinition", "runDetails"}
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    assert set(definition) <= {
        "buildType", "externalParameters", "internalParameters", "resolvedDependencies",
    }  # fmt: skip
    assert URI.fullmatch(definition["buildType"])
    assert isinstance(definition["externalParameters"], dict)
    assert isinstance(definition.get("internalParameters", {}), dict)
    for one in definition.get("resolvedDependencies", []):
        descriptor(one)
    assert set(details) <= {"builder", "metadata", "byproducts"}
    assert URI.fullmatch(details["builder"]["id"])
    versions = details["builder"].get("version", {})
    assert all(isinstance(version, str) for version in versions.values())
    metadata = details["metadata"]
    assert set(metadata) <= {"invocationId", "startedOn", "finishedOn"}
    assert isinstance(metadata["invocationId"], str)
    times = [datetime.fromisoformat(metadata[name]) for name in ("startedOn", "finishedOn")]
    assert times[0] <= times[1] and metadata["startedOn"].endswith("Z")
    for one in details.get("byproducts", []):
        descriptor(one)


def descriptor(one: dict[str, Any]) -> None:
    """https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md"""
    assert set(one) <= {
        "name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations",
    }  # fmt: skip
    assert one.get("uri") or one.get("digest") or one.get("content")
    assert URI.fullmatch(one.get("uri", "x:y"))
    assert all(isinstance(value, str) and value for value in one.get("digest", {}).values())
    b64decode(one.get("content", ""), validate=True)


def save(run: Any, path: str, text: str, epoch: int, **metrics: float) -> Any:
    return run.save_checkpoint(
        path, lambda to: to.write_text(text), epoch=epoch, metrics=metrics, monitor="loss"
    )


def test_it_names_the_file_the_params_and_the_results(cli: Any) -> None:
    with tracker.start_run(
        "digits", name="r", params={"lr": 0.1, "clip": math.inf, "opt": {"name": "sgd"}}
    ) as run:
        made = save(run, "best.pt", "weights", 3, loss=0.5, grad=math.nan)
    one = said(cli, "r", "best")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert one["subject"] == [{"name": "best.pt", "digest": {"sha256": digest}}]
    outside = one["predicate"]["buildDefinition"]["externalParameters"]
    assert outside["experiment"] == "digits" and outside["command"]
    assert outside["params"] == {"lr": 0.1, "clip": "inf", "opt.name": "sgd"}
    details = one["predicate"]["runDetails"]
    assert details["metadata"]["invocationId"] == f"{run.id}/1"
    (results,) = details["byproducts"]
    content = json.loads(b64decode(results["content"]))
    assert (content["run"], content["epoch"], content["value"]) == ("r", 3, 0.5)
    assert content["metrics"] == {"loss": 0.5, "grad": "nan"}
    assert said(cli, made.id) == one


def test_a_folder_is_named_as_any_tool_can_check_it(cli: Any) -> None:
    for part in ("a.bin", "sub/b.bin"):
        Path("shards", part).parent.mkdir(parents=True, exist_ok=True)
        Path("shards", part).write_text(part)
    with tracker.start_run(name="r") as run:
        run.log_checkpoint("shards", epoch=0)
    # As spec/v1/digest_set.md of in-toto says it.
    command = "find . -type f | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum"
    hashed = subprocess.run(
        command, shell=True, cwd="shards", capture_output=True, text=True, check=True
    ).stdout.split()[0]
    (subject,) = said(cli, "r", "last")["subject"]
    assert subject == {"name": "shards", "digest": {"dirHash": hashed}}
    with tracker.start_run(name="s") as run:
        Path("shards/link").symlink_to("a.bin")
        run.log_checkpoint("shards", epoch=0)
    (subject,) = said(cli, "s", "last")["subject"]
    assert list(subject["digest"]) == ["trackerManifest"]


def test_the_commit_and_the_parents_are_dependencies(cli: Any, folder: Path) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", *identity, *words], capture_output=True, text=True, check=True, cwd=folder
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("remote", "add", "origin", "git@example.com:team/digits.git")
    Path("train.py").write_text("1")
    git("add", "train.py")
    git("commit", "-q", "-m", "first")
    Path("train.py").write_text("2")
    commit = git("rev-parse", "HEAD")
    with tracker.start_run("pre", name="a") as run:
        parent = save(run, "a.pt", "parent", 1, loss=0.5)
    with tracker.start_run("fine", name="b") as run:
        before = save(run, "before.pt", "before", 0, loss=0.6)
        _note_parent(parent, {"run": "a", "epoch": 1, "path": "a.pt"})
        save(run, "b.pt", "child", 1, loss=0.4)
    source, *parents = dependencies(said(cli, "b", "best"))
    assert source == {
        "uri": f"git+ssh://example.com/team/digits.git@{commit}",
        "digest": {"gitCommit": commit},
        "annotations": {"branch": "main", "modified": True},
    }
    assert [one["digest"] for one in parents] == [{"sha256": parent.sha256}]
    notes = {"relation": "fine-tuned from", "run": "a", "checkpoint": parent.id, "epoch": 1}
    assert (parents[0]["name"], parents[0]["annotations"]) == ("a.pt", notes)
    # What was loaded later is no parent.
    assert len(dependencies(said(cli, before.id))) == 1


def dependencies(made: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = made["predicate"]["buildDefinition"]["resolvedDependencies"]
    return listed


def test_a_file_of_the_run_itself_was_resumed_from(cli: Any) -> None:
    with tracker.start_run(name="a") as run:
        own = save(run, "0.pt", "zero", 0, loss=0.5)
    with tracker.start_run(resume="a") as run:
        _note_parent(own, {"run": "a", "epoch": 0, "path": "0.pt"})
        save(run, "1.pt", "one", 1, loss=0.4)
    (fact,) = json.loads(cli("checkpoints", "show", "a", "best", "--format", "json").stdout)
    assert [one["relation"] for one in fact["parents"]] == ["resumed from"] * 2
    (parent,) = dependencies(said(cli, "a", "best"))
    assert parent["annotations"]["relation"] == "resumed from"


@pytest.mark.parametrize(
    ("remote", "uri"),
    [
        ("https://[hidden]@host/a b.git", "git+https://host/a%20b.git"),
        ("ssh://git@host:22/a.git", "git+ssh://git@host:22/a.git"),
        ("git@host:/a.git", "git+ssh://host/a.git"),
        ("/home/me/a.git", None),
        (None, None),
    ],
)
def test_a_remote_is_a_uri_without_credentials(remote: str | None, uri: str | None) -> None:
    assert _uri(remote) == uri
