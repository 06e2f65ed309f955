"""Which database is meant, and who may read its folder."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import tracker
from tracker.errors import BadValue, NotATrackerDatabase, NotWritable, StoreError
from tracker.storage.location import locate


def test_the_argument_wins_over_the_variable_and_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".tracker").mkdir()
    assert locate().path == folder / ".tracker/tracker.db"
    monkeypatch.setenv("TRACKER_DATABASE_URL", "sqlite:///by-variable.db")
    assert locate().path == folder / "by-variable.db"
    assert locate("by-argument.db").path == folder / "by-argument.db"
    monkeypatch.setenv("TRACKER_DATABASE_URL", " ")
    assert locate().path == folder / ".tracker/tracker.db"


def test_the_nearest_tracker_folder_upward_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".tracker").mkdir()
    (folder / "a/b").mkdir(parents=True)
    monkeypatch.chdir(folder / "a/b")
    assert locate().path == folder / ".tracker/tracker.db"


def test_without_any_it_is_made_in_the_working_directory(folder: Path) -> None:
    assert locate().path == folder / ".tracker/tracker.db"
    assert not (folder / ".tracker").exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_folder_is_private_and_hidden_from_git(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        locate().create_folder()
        locate().create_folder()
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / ".tracker").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / ".tracker/.gitignore").stat().st_mode) == 0o600
    assert (folder / ".tracker/.gitignore").read_text() == "*\n"


def test_a_gitignore_of_the_users_stays(folder: Path) -> None:
    (folder / ".tracker").mkdir()
    (folder / ".tracker/.gitignore").write_text("mine")
    locate().create_folder()
    assert (folder / ".tracker/.gitignore").read_text() == "mine"


def test_a_folder_stands_for_the_database_in_it(folder: Path) -> None:
    (folder / "data").mkdir()
    assert locate("data").path == folder / "data/tracker.db"
    assert locate(folder / "data/x.db").path == folder / "data/x.db"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///x.db", "x.db"),
        ("sqlite:///a%20b/100%25.db", "a b/100%.db"),
        ("sqlite+pysqlite:///x.db?timeout=5", "x.db"),
    ],
)
def test_an_sqlite_url_names_a_file(folder: Path, url: str, path: str) -> None:
    assert locate(url).path == folder / path


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_a_postgres_url_uses_the_driver_that_we_ship(scheme: str) -> None:
    location = locate(f"{scheme}://host/db")
    assert location.url.drivername == "postgresql+psycopg"
    assert location.exists()


def test_a_location_is_shown_without_its_secrets() -> None:
    assert "HUSH" not in str(locate("postgresql://me:HUSH@host/db?password=HUSH&sslmode=require"))


@pytest.mark.parametrize(
    "wrong",
    ["", ":memory:", "a\0b", "sqlite://", "sqlite:///:memory:", "sqlite:///a%00b", "mysql://h/d",
     "://", "x" * 5000, "~no-such-user-here/x.db", 12, b"x.db"],
    ids=lambda wrong: repr(wrong)[:20],
)  # fmt: skip
def test_what_names_no_database_is_refused_with_a_sentence(wrong: object) -> None:
    with pytest.raises(BadValue, match="database"):
        locate(wrong)  # type: ignore[arg-type]


def test_paths_below_the_project_are_stored_relative_to_it(folder: Path) -> None:
    location = locate(".tracker/tracker.db")
    assert location.relative(folder / "ckpt/1.keras") == "ckpt/1.keras"
    assert location.relative(Path("ckpt/../ckpt/1.keras")) == "ckpt/1.keras"
    assert location.relative(Path("/elsewhere/1.keras")) == "/elsewhere/1.keras"
    for stored in ("ckpt/1.keras", "/elsewhere/1.keras"):
        assert location.relative(location.absolute(stored)) == stored


def test_a_file_where_the_folder_should_be_is_told(folder: Path) -> None:
    (folder / ".tracker").write_text("")
    with pytest.raises(NotWritable, match=r"\.tracker"):
        locate(folder / ".tracker/tracker.db").create_folder()


def test_a_working_directory_that_was_deleted_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    with pytest.raises(NotWritable, match="working directory"):
        locate()
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("named", [".", "project", Path("project"), "~/project"])
def test_a_folder_that_holds_a_tracker_folder_stands_for_the_database_in_that(
    named: str | Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    project = folder if named == "." else folder / "project"
    (project / ".tracker").mkdir(parents=True)
    found = locate(named)
    assert found.path == project / ".tracker/tracker.db"
    assert found.root == project


def test_a_folders_own_database_comes_before_that_of_its_tracker_folder(folder: Path) -> None:
    (folder / ".tracker").mkdir()
    (folder / "tracker.db").touch()
    assert locate(".").path == folder / "tracker.db"
    assert locate(".tracker").path == folder / ".tracker/tracker.db"


needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@needs_root
def test_a_folder_that_another_user_laid_down_is_not_used_unless_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".tracker").mkdir()
    (folder / "mine").mkdir()
    os.chown(folder / ".tracker", 65534, 65534)
    monkeypatch.chdir(folder / "mine")
    with pytest.raises(StoreError, match="belongs to another user"):
        locate()
    with pytest.raises(StoreError, match="belongs to another user"):
        tracker.start_run()
    assert locate(folder / ".tracker").path == folder / ".tracker/tracker.db"
    (folder / "mine/.tracker").mkdir()
    assert locate().path == folder / "mine/.tracker/tracker.db"


@needs_root
def test_a_project_of_another_user_has_its_own_folder(folder: Path) -> None:
    """As a home that is mounted into a container; one that everybody may write into is nobody's."""
    (folder / ".tracker").mkdir(mode=0o700)
    for place in (folder, folder / ".tracker"):
        os.chown(place, 65534, 65534)
    assert locate().path == folder / ".tracker/tracker.db"
    (folder / ".tracker").chmod(0o777)
    with pytest.raises(StoreError, match="belongs to another user"):
        locate()


@pytest.fixture
def special(folder: Path) -> Iterator[dict[str, Path]]:
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        yield {"pipe": folder / "pipe", "socket": folder / "socket"}


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_refused_and_left_alone(kind: str, special: dict[str, Path]) -> None:
    """Root once replaced /dev/null: here a character device of the test's own stands for it."""
    path = special.get(kind) or Path("device")
    if kind == "device":
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    before = path.stat()
    for use in (tracker.start_run, tracker.runs):
        with pytest.raises(NotATrackerDatabase, match="a device, a pipe or a socket"):
            use(database=path)
    after = path.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert list(Path().glob(f"{path.name}?*")) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("place", ["/proc", "/proc/x.db", "/proc/self/x/tracker.db"])
def test_where_no_file_can_be_made_the_cause_is_named(place: str) -> None:
    with pytest.raises(NotWritable, match=r"cannot be written \(No such file or directory\)"):
        tracker.start_run(database=place)
