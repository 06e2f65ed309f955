"""The lock file beside a database: held by one at a time, its descriptor kept, whatever happens to the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from tracker.storage.location import Location, locate
from tracker.storage.lock_file import Lock, _Place


@pytest.fixture
def location(folder: Path) -> Location:
    (folder / ".tracker").mkdir()
    return locate()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def is_free(location: Location) -> bool:
    """Whether somebody else could take the lock, by the library that earlier versions take it with."""
    lock = FileLock(f"{location.path}.lock")
    try:
        with lock.acquire(timeout=0):
            return True
    except Timeout:
        return False


def test_one_at_a_time_holds_it(location: Location) -> None:
    first, second = Lock(location), Lock(location)
    with first.held(1.0):
        assert not is_free(location)
        with pytest.raises(Timeout), second.held(0.01):
            pass
    with second.held(0.0):
        assert not is_free(location)
    assert is_free(location)


def test_an_error_releases_it(location: Location) -> None:
    lock = Lock(location)
    with pytest.raises(ZeroDivisionError), lock.held(0.0):
        _ = 1 / 0
    assert is_free(location)


def test_its_descriptor_is_kept_until_it_is_closed(location: Location) -> None:
    before = descriptors()
    lock = Lock(location)
    for _ in range(3):
        with lock.held(0.0):
            assert descriptors() == before + 1
    assert descriptors() == before + 1
    lock.close()
    assert descriptors() == before
    with lock.held(0.0):
        pass
    del lock
    assert descriptors() == before


@pytest.mark.parametrize("back", [False, True], ids=["deleted", "replaced"])
def test_a_file_that_is_another_one_now_is_opened_again(back: bool, location: Location) -> None:
    lock = Lock(location)
    with lock.held(0.0):
        pass
    file = Path(f"{location.path}.lock")
    file.unlink()
    if back:
        file.touch(0o600)
    with lock.held(0.0):
        assert not is_free(location)
    assert is_free(location)


def exit_code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads
def test_a_child_that_ends_its_block_leaves_the_lock_with_the_parent(location: Location) -> None:
    lock = Lock(location)
    inside = os.getpid()
    with lock.held(0.0):
        pid = os.fork()
        if pid != 0:
            assert exit_code_of(pid) == 0
            assert not is_free(location)
    if os.getpid() != inside:
        os._exit(0)
    assert is_free(location)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_locks_for_itself(location: Location) -> None:
    """With a descriptor of its own: by the parent's it would have what the parent has."""
    lock = Lock(location)
    with lock.held(0.0):
        pid = os.fork()
        if pid == 0:
            try:
                with lock.held(0.05):
                    os._exit(1)
            except Timeout:
                os._exit(0)
        assert exit_code_of(pid) == 0
    assert is_free(location)


def test_who_came_earlier_is_served_first(location: Location) -> None:
    earlier, later = Lock(location), Lock(location)
    with earlier.held(0.0):
        pass
    place = _Place()
    place.wait(earlier._descriptor)
    with pytest.raises(Timeout), later.held(0.0):
        pass
    place.leave(earlier._descriptor)
    with later.held(0.0):
        assert not is_free(location)


def test_one_that_does_not_take_its_turn_is_not_waited_for_for_ever(location: Location) -> None:
    stopped, other = Lock(location), Lock(location)
    with stopped.held(0.0):
        pass
    _Place().wait(stopped._descriptor)
    with other.held(30.0):
        assert not is_free(location)
