"""A copy of a file or a folder in a bucket or on another machine, by fsspec: put there, read back, fetched.

What counts is what is read back: a copy is whole when its size and SHA-256 are those of the file, whatever
the store has acknowledged. Credentials are the business of fsspec, which takes them from the environment,
from the cloud's own files and from its configuration; a URL that holds some is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from tracker.errors import BadValue, CheckpointError, UsageError, nearest
from tracker.files import SavedFile, inspect_file, is_same, save_file
from tracker.folders import inspect_path, manifest
from tracker.identity import files_in
from tracker.leftovers import PREFIX
from tracker.redact import redact
from tracker.removal import sweep

_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"})
"""Object stores: an object is seen when all of it has arrived, and there are no folders to make."""
_LOCAL = frozenset({"file", "local"})
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "abfss": "adlfs", "sftp": "paramiko", "ssh": "paramiko",
}  # fmt: skip
_TEMPORARY = re.compile(rf"\.part-[0-9a-f]{{8}}$|(^|/){re.escape(PREFIX)}[^/]*$")
_CHUNK = 1 << 20
_BLOCK = 16 << 20
"""What is sent at a time; so much memory, or twice, an upload takes."""
_MOST_BLOCKS = 5000
_LONGEST_URL = 1000
"""In bytes, of a folder. Below it are the run, a hash and a name; PostgreSQL indexes URLs of 2700."""


@dataclass(frozen=True)
class RemotePath:
    """A file or a folder on a remote file system; ``path`` is how that names it."""

    url: str
    path: str
    files: Any = field(repr=False, compare=False)

    def below(self, name: str) -> RemotePath:
        """Return what has that relative name below it."""
        return RemotePath(f"{self.url}/{name}", f"{self.path}/{name}", self.files)

    @property
    def _protocols(self) -> set[str]:
        protocol = self.files.protocol
        return {protocol} if isinstance(protocol, str) else set(protocol)

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine."""
        return bool(self._protocols & _LOCAL)

    @property
    def is_atomic(self) -> bool:
        """Whether half an object is never seen."""
        return bool(self._protocols & _ATOMIC)


def checked_url(url: str) -> str:
    """Return the URL of a remote folder, without a slash at its end; nothing is asked of the network.

    Raises:
        BadValue: it is not a URL, holds a password, a query or what looks like a secret, or is of no known protocol.
        UsageError: a package is missing.
    """
    text = os.fspath(url) if isinstance(url, os.PathLike) else url
    if not isinstance(text, str) or not re.match(r"[a-z][a-z0-9+.-]*://", text):
        raise BadValue(
            f"{redact(str(text))!r} is not the URL of a remote folder: write s3://bucket/folder, gs://…, "
            f"sftp://host/folder or file:///folder."
        )
    parts = urlsplit(text)
    user, at, _ = parts.netloc.rpartition("@")
    without_user = text.replace(f"{user}@", "", 1) if at else text
    if ":" in user or parts.query or parts.fragment or redact(without_user) != without_user:
        raise BadValue(
            f"{redact(re.split('[?#]', text)[0])!r} holds a password, a query or a token, and the URL of a copy "
            f"is stored: leave them out, and give credentials by the environment or by the configuration of fsspec."
        )
    if "::" in text or len(text.encode()) > _LONGEST_URL:
        raise BadValue(
            f"{redact(text[:80])!r} is a chain of URLs or longer than {_LONGEST_URL} bytes: name one folder."
        )
    _require(parts.scheme)
    return text.rstrip("/") if text.rstrip("/") != f"{parts.scheme}:" else text


def _require(protocol: str) -> None:
    """Check that what a protocol needs is installed."""
    fsspec = _fsspec()
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        known = nearest(protocol, sorted(fsspec.available_protocols()))
        raise BadValue(f"There is no protocol {protocol}://: {known}") from error
    except ImportError as error:
        needed = _PACKAGES.get(protocol)
        advice = f"pip install {needed}" if needed else redact(str(error))
        raise UsageError(f"{protocol}:// needs another package: {advice}") from error


def _fsspec() -> Any:
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise UsageError(
            "Remote folders need fsspec: pip install 'local-tracker[remote]', and s3fs for s3:// or gcsfs for gs://."
        ) from error
    return fsspec


def remote_path(url: str) -> RemotePath:
    """Return a place on a remote file system, ready to be used: some protocols connect now.

    Args:
        url: one that `checked_url` has passed, or of what lies below it: files have whatever names they have.

    Raises:
        CheckpointError: it cannot be reached.
        BadValue, UsageError: there is no such protocol, or a package is missing.
    """
    _require(urlsplit(url).scheme)
    with _explained("reached", url):
        files, path = _fsspec().core.url_to_fs(url)
    return RemotePath(url, str(path).rstrip("/"), files)


@contextmanager
def _explained(done: str, url: str) -> Iterator[None]:
    """Turn what a protocol raises, which may be anything, into a sentence."""
    try:
        yield
    except (CheckpointError, UsageError):
        raise
    except Exception as error:
        why = redact(" ".join(str(error).split()))[:300] or type(error).__name__
        raise CheckpointError(f"{url} cannot be {done}: {why.rstrip('.')}.") from error


def inspect_remote(place: RemotePath) -> SavedFile | None:
    """Read what is there, all of it: size and hash, as `tracker.folders.inspect_path` has them; None for nothing.

    Raises:
        CheckpointError: it cannot be read.
    """
    with _explained("read", place.url):
        return _inspect(place)


def _inspect(place: RemotePath) -> SavedFile | None:
    kind = _kind(place)
    if kind is None:
        return None
    if kind != "directory":
        size, digest = _hash(place)
        return SavedFile(Path(place.path), size, digest)
    names = _names(place)
    if not names:
        return None
    read = {name: _hash(place.below(name)) for name in names}
    return SavedFile(
        Path(place.path),
        sum(size for size, _ in read.values()),
        manifest((os.fsencode(name), digest) for name, (_, digest) in read.items()),
    )


def _kind(place: RemotePath) -> str | None:
    """Return "file" or "directory", as the store says now; None for nothing."""
    place.files.invalidate_cache()
    try:
        return str(place.files.info(place.path)["type"])
    except FileNotFoundError:
        return None


def _names(place: RemotePath) -> list[str]:
    """Return the relative names of the files below a folder."""
    return [
        str(found)[len(place.path) :].lstrip("/")
        for found in place.files.find(place.path)
        if str(found) != place.path
    ]


def _hash(place: RemotePath) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with place.files.open(place.path, "rb", block_size=_BLOCK) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def upload(source: SavedFile, target: RemotePath) -> None:
    """Copy a file or a folder to ``target`` and read it back; what is there already stays.

    A kill at any moment leaves nothing there, or files that are whole; a second call sends what is missing.

    Args:
        source: what was recorded: path, size, hash.
        target: where it goes; a name that is this content's own.

    Raises:
        CheckpointError: the file is gone or another one by now, or the copy could not be made.
    """
    with _explained("written", target.url):
        if is_same(_inspect(target), source):
            return
        parts = _parts(source.path)
        for name, path in parts:
            _put(path, target.below(name) if name else target)
        if source.path.is_dir():
            _clear(target, {name for name, _ in parts})
        elif target.is_local:
            sweep(Path(target.path).parent)
        if not is_same(_inspect(target), source):
            with suppress(Exception):
                _remove(target)
            raise CheckpointError(
                f"{source.path} was not copied: what arrived at {target.url} is not what was recorded. "
                f"The file has changed since, or another program writes there."
            )


def _parts(path: Path) -> list[tuple[str, Path]]:
    """Return the files of a checkpoint with their relative names; of a single file that is empty.

    Raises:
        CheckpointError: it is gone, or a folder with links, which a bucket cannot have.
    """
    if not path.is_dir():
        if not path.is_file():
            raise CheckpointError(f"The file {path} is missing.")
        return [("", path)]
    parts = sorted(files_in(path))
    for name, file in parts:
        if file.is_symlink():
            raise CheckpointError(
                f"The folder {path} holds a link, {os.fsdecode(name)}, which a remote folder cannot: "
                f"save the file itself there."
            )
    return [(os.fsdecode(name), file) for name, file in parts]


def _clear(folder: RemotePath, names: set[str]) -> None:
    """Remove the temporary files that a kill has left in a folder."""
    for name in _names(folder):
        if name not in names and _TEMPORARY.search(name):
            folder.files.rm_file(folder.below(name).path)


def _put(source: Path, target: RemotePath) -> None:
    """Bring one file there, unless it is there already."""
    if _kind(target) is not None:
        there, here = _inspect(target), inspect_file(source)
        if here is not None and is_same(there, here):
            return
    if target.is_local:
        # By our own protocol, which a power loss does not break.
        save_file(target.path, lambda temporary: shutil.copyfile(source, temporary))
        return
    if target.is_atomic:
        _send(source, target)
        return
    target.files.makedirs(os.path.dirname(target.path), exist_ok=True)  # noqa: PTH120 - not a local path
    temporary = RemotePath(target.url, f"{target.path}.part-{secrets.token_hex(4)}", target.files)
    try:
        _send(source, temporary)
        _move(temporary, target)
    except BaseException:
        with suppress(Exception):
            target.files.rm_file(temporary.path)
        raise


def _move(source: RemotePath, target: RemotePath) -> None:
    from fsspec import AbstractFileSystem

    files = source.files
    if type(files).mv is AbstractFileSystem.mv:
        # Which would take * and ? in a name for a pattern.
        files.cp_file(source.path, target.path)
        files.rm_file(source.path)
    else:
        files.mv(source.path, target.path)


def _remove(place: RemotePath) -> None:
    if _kind(place) != "directory":
        place.files.rm_file(place.path)
        return
    for name in _names(place):
        place.files.rm_file(place.below(name).path)


def _send(source: Path, target: RemotePath) -> None:
    block = max(_BLOCK, source.stat().st_size // _MOST_BLOCKS)
    with source.open("rb") as file:
        to = target.files.open(target.path, "wb", block_size=block)
        try:
            shutil.copyfileobj(file, to, _CHUNK)
        except BaseException:
            _abort(to)
            raise
        to.close()


def _abort(file: Any) -> None:
    """Give up an upload that is not whole: closing it, as its end would, makes an object of what has arrived."""
    from fsspec.spec import AbstractBufferedFile

    with suppress(Exception):
        if isinstance(file, AbstractBufferedFile):
            file.discard()
            file.closed = True
        file.close()


def fetch(source: RemotePath, target: Path, recorded: Any) -> None:
    """Copy a file or a folder to ``target``, which must not exist, and check that it is what was recorded.

    Raises:
        CheckpointError: it cannot be read, or is another one; what was written of it stays.
    """
    with _explained("read", source.url):
        kind = _kind(source)
        if kind is None:
            raise CheckpointError(f"The copy {source.url} is missing.")
        if kind == "directory":
            for name in _names(source):
                part = target / _inside(name, source)
                part.parent.mkdir(parents=True, exist_ok=True)
                _receive(source.below(name), part)
        else:
            _receive(source, target)
    found = inspect_path(target)
    if not is_same(found, recorded):
        raise CheckpointError(
            f"The copy {source.url} is not the file that was saved (size or SHA-256 differ)."
        )


def _inside(name: str, source: RemotePath) -> PurePosixPath:
    """Return a relative name from a bucket, which others may write, if it stays within the folder."""
    path = PurePosixPath(name)
    outside = os.sep != "/" and os.sep in name  # as on Windows, where it would be a path
    if path.is_absolute() or ".." in path.parts or outside or not path.parts:
        raise CheckpointError(f"The copy {source.url} holds {name!r}, which is outside of it.")
    return path


def _receive(source: RemotePath, target: Path) -> None:
    with source.files.open(source.path, "rb", block_size=_BLOCK) as file, target.open("xb") as to:
        shutil.copyfileobj(file, to, _CHUNK)
