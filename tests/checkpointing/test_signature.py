"""A signature lies beside its checkpoint and says who vouches for these bytes; `make test-neighbours` installs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import tracker


def save(run: Any, path: str, epoch: int) -> None:
    run.save_checkpoint(path, lambda to: to.write_text(path), epoch=epoch)


@pytest.fixture
def run(folder: Path) -> Any:
    """Record a run with two files and a folder."""
    with tracker.start_run(name="r") as run:
        save(run, "0.pt", 0)
        save(run, "1.pt", 1)
        Path("shards/sub").mkdir(parents=True)
        Path("shards/sub/a.bin").write_text("a")
        run.log_checkpoint("shards", epoch=2)
    return run


@pytest.fixture
def keys(folder: Path) -> None:
    """Make the pairs a and b, and c with a password."""
    pytest.importorskip("model_signing.signing")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    public_form = serialization.PublicFormat.SubjectPublicKeyInfo
    for name in "abc":
        key = ec.generate_private_key(ec.SECP256R1())
        locked = serialization.BestAvailableEncryption(b"open sesame")
        lock = locked if name == "c" else serialization.NoEncryption()
        Path(f"{name}.pem").write_bytes(key.private_bytes(encoding, form, lock))
        public = key.public_key().public_bytes(encoding, public_form)
        Path(f"{name}.pub").write_bytes(public)


def verified(cli: Any, key: str) -> dict[int, str]:
    said = cli("checkpoints", "verify", "r", "--key", key, "--format", "json").stdout
    return {row["epoch"]: row["signature"] for row in json.loads(said)}


def test_files_and_folders_are_signed_and_verified(run: Any, keys: None, cli: Any) -> None:
    said = cli("checkpoints", "sign", "r", "0", "--key", "a.pem").stdout
    assert "0.pt.sig signs 0.pt." in said
    assert verified(cli, "a.pub") == {0: "valid", 1: "none", 2: "none"}
    result = cli("checkpoints", "verify", "r", "--key", "a.pub")
    assert result.exit_code == 1 and "1.pt is available (signature: none)" in result.stderr
    for epoch in (1, 2):
        cli("checkpoints", "sign", "r", epoch, "--key", "a.pem")
    assert Path("shards.sig").is_file()
    assert cli("checkpoints", "verify", "r", "--key", "a.pub").exit_code == 0
    assert cli("checkpoints", "verify", "r").exit_code == 0
    assert set(verified(cli, "b.pub").values()) == {"wrong"}


def test_a_signature_of_other_bytes_is_wrong(run: Any, keys: None, cli: Any) -> None:
    cli("checkpoints", "sign", "r", "0", "--key", "a.pem")
    Path("1.pt.sig").write_bytes(Path("0.pt.sig").read_bytes())
    Path("shards.sig").write_text("{}")
    assert verified(cli, "a.pub") == {0: "valid", 1: "wrong", 2: "wrong"}


def test_a_signature_goes_with_its_checkpoint_and_another_one_stays(
    run: Any, keys: None, cli: Any
) -> None:
    with tracker.start_run(resume="r") as resumed:
        save(resumed, "3.pt", 3)
    for epoch in (0, 1, 2):
        cli("checkpoints", "sign", "r", epoch, "--key", "a.pem")
    Path("1.pt.sig").write_bytes(Path("0.pt.sig").read_bytes())
    assert cli("checkpoints", "prune", "r", "--yes").exit_code == 0
    assert sorted(path.name for path in Path.cwd().glob("*.sig")) == ["1.pt.sig"]
    assert not Path("0.pt").exists() and not Path("shards").exists()


def test_a_signature_goes_also_where_a_kill_came_before_the_deletion(
    run: Any, keys: None, cli: Any, script: Any
) -> None:
    cli("checkpoints", "sign", "r", "0", "--key", "a.pem")
    code = """
import os, sys, tracker
sys.addaudithook(lambda event, _: os._exit(9) if event == "os.remove" else None)
with tracker.start_run(resume="r") as run:
    run.prune_checkpoints(run.checkpoints()[:1])
"""
    assert script(code).wait() == 9
    assert Path("0.pt.sig").exists()
    tracker.start_run("next").finish()
    assert not Path("0.pt").exists() and not Path("0.pt.sig").exists()


def test_a_changed_file_is_not_signed(run: Any, keys: None, cli: Any) -> None:
    Path("0.pt").write_text("another")
    result = cli("checkpoints", "sign", "r", "0", "--key", "a.pem")
    assert result.exit_code == 1 and "is modified: it was not signed" in result.stderr
    assert not Path("0.pt.sig").exists()


def test_a_file_that_changes_while_it_is_signed_is_not_signed(
    run: Any, keys: None, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_signing import signing

    signed = signing.Config.sign

    def swapped(self: Any, path: Path, signature: Path) -> None:
        path.write_text("another")
        signed(self, path, signature)

    monkeypatch.setattr(signing.Config, "sign", swapped)
    assert cli("checkpoints", "sign", "r", "0", "--key", "a.pem").exit_code == 1
    assert not Path("0.pt.sig").exists()


def test_keys_passwords_and_signatures_that_are_there(
    run: Any, keys: None, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("no.pem").write_text("no key")
    for words, said in (
        (("sign", "r", "0", "--key", "no.pem"), "is not a private key"),
        (("sign", "r", "0", "--key", "gone.pem"), "is not a private key"),
        (("sign", "r", "0", "--key", "c.pem"), "is not a private key"),
        (("verify", "r", "--key", "no.pem"), "is not a public key"),
    ):
        result = cli("checkpoints", *words)
        assert result.exit_code == 2 and said in result.stderr
    monkeypatch.setenv("TRACKER_SIGNING_PASSWORD", "open sesame")
    assert cli("checkpoints", "sign", "r", "0", "--key", "c.pem").exit_code == 0
    monkeypatch.delenv("TRACKER_SIGNING_PASSWORD")
    result = cli("checkpoints", "sign", "r", "0", "--key", "a.pem")
    assert result.exit_code == 1 and "0.pt.sig exists already" in result.stderr
    assert verified(cli, "c.pub")[0] == "valid"
    assert cli("checkpoints", "sign", "r", "0", "--key", "a.pem", "--force").exit_code == 0
    assert verified(cli, "a.pub")[0] == "valid"


def test_what_is_missing_is_named(run: Any, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    for words in (("sign", "r", "0", "--key", "a.pem"), ("verify", "r", "--key", "a.pub")):
        result = cli("checkpoints", *words)
        assert result.exit_code == 2
        assert "pip install 'local-tracker[signing]'" in result.stderr
