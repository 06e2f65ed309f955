"""Where the database is."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tracker.errors import BadValue, NotATrackerDatabase, NotWritable, StoreError
from tracker.files import private_folder, shared_folder
from tracker.redact import redact
from tracker.values import brief
from tracker.variables import DATABASE_URL, report_misspelt

FOLDER = ".tracker"
SPOOL = "spool"
FILE = "tracker.db"
_ROOT = 0


@dataclass(frozen=True)
class Location:
    """A database, open or not. ``path`` is None for a server; ``root`` is what checkpoint paths are relative to."""

    url: URL
    path: Path | None
    root: Path | None

    def __str__(self) -> str:
        """Name it without passwords, which a URL may hold in its query too."""
        return str(self.path) if self.path else redact(self.url.render_as_string())

    def label(self) -> str:
        """Return what tells it apart from other databases that share its data folder; without passwords."""
        return self.path.name if self.path else str(self)

    def file_id(self) -> tuple[int, int] | None:
        """Return what tells the database's file from another one in its place; None for a server, or no file."""
        try:
            status = None if self.path is None else self.path.stat()
        except OSError:
            return None
        return None if status is None else (status.st_dev, status.st_ino)

    def exists(self) -> bool:
        """Say whether there is a database file that is not empty; always True for a server.

        Raises:
            NotATrackerDatabase: it is a device, a pipe or a socket, which a new database would replace.
            StoreError: this user may not look at it.
        """
        if self.path is None:
            return True
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError as error:
            raise unreadable(self, error) from error
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise NotATrackerDatabase(
                f"{self} is a device, a pipe or a socket, and was left as it is: name a file with "
                f"database=, --database or {DATABASE_URL}."
            )
        return status.st_size > 0

    def relative(self, path: Path) -> str:
        """Return ``path`` as it is stored: POSIX, relative to ``root`` when below it."""
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the user's links
        if self.root is not None and absolute.is_relative_to(self.root):
            return absolute.relative_to(self.root).as_posix()
        return absolute.as_posix()

    def absolute(self, stored: str) -> Path:
        """Return the file that a stored path names."""
        return Path(stored) if self.root is None else self.root / stored

    def data_folder(self) -> Path:
        """Return the folder for files of ours beside the database: spool, backups."""
        if self.path is not None:
            return self.path.parent
        from platformdirs import user_state_path

        return user_state_path("local-tracker")

    def spool_files(self, ending: str = ".jsonl") -> list[Path]:
        """Return the spool files beside the database (`tracker.storage.spool`), oldest first.

        Those that another process removes meanwhile are left out.
        """
        ages: list[tuple[float, Path]] = []
        with suppress(OSError):
            for path in (self.data_folder() / SPOOL).glob(f"*{ending}"):
                with suppress(OSError):
                    ages.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(ages)]

    def create_folder(self) -> None:
        """Create the database's folder: 0700 and ignored by git when it is a ``.tracker`` folder."""
        if self.path is None:
            return
        folder = self.path.parent
        try:
            shared_folder(folder.parent)
            private_folder(folder)
            if folder.name == FOLDER:
                _hide_from_git(folder / ".gitignore")
        except OSError as error:
            raise unwritable(self, error) from error
        if not os.access(folder, os.W_OK):
            raise unwritable(self, None)


def unreadable(location: Location, error: OSError) -> StoreError:
    """Return the error for a database that this user may not read."""
    return StoreError(f"The database {location} cannot be read: {error.strerror}.")


def _hide_from_git(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write("*\n")


def unwritable(location: Location, error: OSError | None) -> NotWritable:
    """Return the error for a database in whose folder no file can be made, for the reason that ``error`` gives."""
    folder = None if location.path is None else location.path.parent
    why = f" ({error.strerror})" if error is not None and error.strerror else ""
    return NotWritable(
        f"The database folder {folder} cannot be written{why}. Choose another place with "
        f"database=, --database or {DATABASE_URL}."
    )


def locate(database: str | os.PathLike[str] | None = None) -> Location:
    """Find the database: the argument, ``TRACKER_DATABASE_URL``, the nearest ``.tracker/`` upward, else ``./.tracker``.

    Args:
        database: an SQLAlchemy URL (``sqlite:///…``, ``postgresql://…``), the path of a file, a folder or
            one that holds ``.tracker/``, or None.

    Raises:
        BadValue: for a URL that cannot be read, or of a kind of database that is not supported.
        StoreError: the nearest ``.tracker/`` is another user's.
    """
    report_misspelt()
    if database is None:
        # A blank is what a variable that is not set leaves in a script.
        database = os.environ.get(DATABASE_URL, "").strip() or None
    if database is None:
        return _at(_nearest(_working_folder()))
    if isinstance(database, str) and "://" in database:
        return _from_url(database)
    if not isinstance(database, (str, os.PathLike)):
        raise BadValue(f"database is {brief(database)}: it must be a file's path or a URL.")
    try:
        text = os.fsdecode(database)
        os.fsencode(text)
    except Exception as error:  # whatever __fspath__ raises
        raise BadValue(
            f"database is {brief(database)}: it must be a file's path or a URL."
        ) from error
    if text in {":memory:", ""} or "\0" in text:
        raise BadValue(
            f"database is {text!r}: it must be a file's path or a URL; memory is not kept."
        )
    try:
        path = Path(text).expanduser()
        return _at(_in_folder(path) if _is_folder(path) else path)
    except (RuntimeError, OSError) as error:  # ~nobody/…, a name too long
        raise BadValue(f"database is {text[:200]!r}, which cannot be a path: {error}.") from error


def _from_url(text: str) -> Location:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise BadValue(f"The database URL cannot be read: {type(error).__name__}.") from error
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise BadValue("The database URL names no file: write sqlite:///path/to/tracker.db.")
        return locate(Path(unquote(url.database)))
    if backend in {"postgresql", "postgres"}:
        return Location(url.set(drivername="postgresql+psycopg"), None, None)
    raise BadValue(f"The database URL is for {backend}: possible are sqlite and postgresql.")


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise NotWritable(
            f"The working directory has been deleted: name a database with database= or {DATABASE_URL}."
        ) from error


def _nearest(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            _refuse_strangers(folder / FOLDER)
            return folder / FOLDER / FILE
    return start / FOLDER / FILE


def _refuse_strangers(folder: Path) -> None:
    """Refuse a folder that was found, and not named, where another user may have laid it down.

    As git does with a repository that it finds (https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory).
    A project of somebody else's that one works in may have its own, which only its owner and group write.
    """
    if not hasattr(os, "geteuid"):
        return
    found, project = folder.stat(), folder.parent.stat()
    theirs = found.st_uid == project.st_uid and not found.st_mode & stat.S_IWOTH
    if found.st_uid in (os.geteuid(), _ROOT) or theirs:
        return
    raise StoreError(
        f"{folder} belongs to another user (uid {found.st_uid}), and is not used unless it is named: "
        f"pass database=, --database or {DATABASE_URL}, or make a .tracker folder of your own here."
    )


def _is_folder(path: Path) -> bool:
    """Say whether a path is that of a folder; what this user may not look at is said where it is opened."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _in_folder(folder: Path) -> Path:
    """Return the database of a folder: its own, or that of the ``.tracker/`` in it where it has none itself."""
    own, nested = folder / FILE, folder / FOLDER
    return nested / FILE if nested.is_dir() and not own.exists() else own


def _at(path: Path) -> Location:
    path = Path(os.path.abspath(path))  # noqa: PTH100 - keep links as the user wrote them
    root = path.parent.parent if path.parent.name == FOLDER else path.parent
    return Location(URL.create("sqlite", database=str(path)), path, root)
