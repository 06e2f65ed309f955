"""What a stranger installs: the wheel of the sdist, with the core dependencies only, outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.helpers import ROOT

HEAVY = ("tensorflow", "keras", "torch", "pandas", "alembic", "numpy", "rich", "sqlmodel")


def call(*command: object, folder: Path) -> str:
    """Run a command; returns what it prints."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist and wheel, and install the wheel into a bare environment."""
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT, folder=folder)
    sdist = next(folder.glob("*.tar.gz"))
    call(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", folder, sdist, folder=folder
    )
    venv.create(folder / "bare", with_pip=True)
    python = folder / "bare" / "bin" / "python"
    call(python, "-m", "pip", "install", "-q", next(folder.glob("*.whl")), folder=folder)
    return python


@pytest.mark.xdist_group("wheel")
def test_the_command_works_on_a_new_database(python: Path, folder: Path) -> None:
    listed = call(python.with_name("tracker"), "runs", "list", folder=folder)
    assert listed == ""
    assert not (folder / ".tracker").exists()
    call(python.with_name("tracker"), "db", "upgrade", folder=folder)
    assert (folder / ".tracker" / "tracker.db").exists()


@pytest.mark.xdist_group("wheel")
def test_a_run_is_recorded_and_read_back(python: Path, folder: Path) -> None:
    code = (
        "import tracker\n"
        "with tracker.start_run('wheel') as run: run.log_epoch(0, {'loss': 0.5}); run.log({'a': 1.0})\n"
        "assert tracker.epochs('wheel-1')['loss'].tolist() == [0.5]\n"
        "assert len(tracker.metrics('wheel-1')) == 1\n"
    )
    call(python, "-c", code, folder=folder)
    assert "wheel-1" in call(python.with_name("tracker"), "runs", "list", folder=folder)


@pytest.mark.xdist_group("wheel")
def test_importing_and_listing_load_nothing_heavy(python: Path, folder: Path) -> None:
    call(python, "-c", "import tracker; tracker.start_run('x').finish()", folder=folder)
    loaded = f"import sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert call(python, "-c", f"import tracker; {loaded}", folder=folder).strip() == "[]"
    listing = (
        "import sys\nfrom tracker.cli import main\n"
        "try: main(['runs', 'list'])\nexcept SystemExit: pass\n" + loaded
    )
    # The schema is made of SQLModel classes; that is all a listing needs of the heavy ones.
    assert call(python, "-c", listing, folder=folder).splitlines()[-1] == "['sqlmodel']"


@pytest.mark.xdist_group("wheel")
def test_the_adapters_and_migrations_are_inside(python: Path, folder: Path) -> None:
    code = (
        "import importlib.util as u, tracker.storage.migrate as m\n"
        "assert all(map(u.find_spec, ('tracker_keras', 'tracker_torch', 'tracker_integrations')))\n"
        "assert not u.find_spec('migrations')\n"
        "print(m.scripts())"
    )
    assert call(python, "-c", code, folder=folder).strip().endswith("tracker/migrations")


@pytest.mark.xdist_group("wheel")
def test_every_package_inside_says_that_it_is_typed(python: Path, folder: Path) -> None:
    code = (
        "import importlib.util as u, pathlib\n"
        "for name in ('tracker', 'local_tracker', 'tracker_keras', 'tracker_torch', 'tracker_integrations'):\n"
        "    assert pathlib.Path(u.find_spec(name).origin).with_name('py.typed').exists(), name\n"
    )
    call(python, "-c", code, folder=folder)
