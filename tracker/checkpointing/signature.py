"""The signature of a checkpoint lies beside it, ``best.pt.sig``, and is made and checked by model-signing.

https://github.com/sigstore/model-transparency says what it holds: the SHA-256 of each file, in an in-toto statement
that is signed with an elliptic-curve key. What it makes is read by its own command, and the other way around.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from tracker.checkpointing import registry
from tracker.checkpointing.signature_file import signature_path
from tracker.errors import BadValue, CheckpointError, NotWritable, UsageError
from tracker.files import SavedFile, save_file
from tracker.states import CheckpointState


class SignatureState(StrEnum):
    """What is known of a signature."""

    VALID = "valid"
    WRONG = "wrong"
    NONE = "none"


def sign(file: SavedFile, key: Path, password: str | None = None, *, replace: bool = False) -> Path:
    """Sign a checkpoint that is as it was recorded; returns the path of the signature.

    Args:
        file: what is recorded of it.
        key: a file with a private key, in PEM.
        password: of the key, where it has one.
        replace: whether a signature that is there is replaced.

    Raises:
        CheckpointError: the file is gone or changed.
        BadValue: the key cannot be used.
        NotWritable: there is a signature, or it cannot be written.
        UsageError: model-signing is not installed.
    """
    signing = _model_signing().signing
    target = signature_path(file.path)
    # Release 1.1.1 declares text, and hands it on to what takes bytes only.
    secret = None if password is None else password.encode()
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=key, password=secret)
    except Exception as error:
        raise BadValue(f"{key} is not a private key that can sign, in PEM: {error}") from error
    if target.exists() and not replace:
        raise NotWritable(f"{target} exists already: give --force to replace it.")

    def write(temporary: Path) -> None:
        _check(file)
        signer.sign(file.path, temporary)
        # Now: it has signed what it has read, and that must be what is recorded.
        _check(file)

    try:
        return save_file(target, write).path
    except OSError as error:
        raise NotWritable(f"{target} cannot be written: {error.strerror or error}.") from error


def _check(file: SavedFile) -> None:
    state = registry.check(file)
    if state != CheckpointState.AVAILABLE:
        raise CheckpointError(f"The file {file.path} is {state}: it was not signed.")


class Verifier:
    """Checks signatures by one public key.

    Args:
        key: a file with it, in PEM.

    Raises:
        BadValue: the key cannot be used.
        UsageError: model-signing is not installed.
    """

    def __init__(self, key: Path) -> None:
        self._verifying, self._key = _model_signing().verifying, key
        try:
            self._by_key()
        except Exception as error:
            raise BadValue(f"{key} is not a public key, in PEM: {error}") from error

    def _by_key(self) -> Any:
        return self._verifying.Config().use_elliptic_key_verifier(public_key=self._key)

    def check(self, path: Path) -> SignatureState:
        """Read a file or folder and the signature beside it."""
        signature = signature_path(path)
        if not signature.is_file():
            return SignatureState.NONE
        try:
            # One for each file: several are checked at the same time.
            self._by_key().verify(path, signature)
        except Exception:  # whatever is wrong with the signature, or the file
            return SignatureState.WRONG
        return SignatureState.VALID


def _model_signing() -> Any:
    try:
        import model_signing
        import model_signing.signing
        import model_signing.verifying
    except ModuleNotFoundError as error:
        raise UsageError(
            "Signatures need model-signing: pip install 'local-tracker[signing]'."
        ) from error
    return model_signing
