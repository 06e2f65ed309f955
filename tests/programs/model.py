"""What the record of a program should be: no database, no callback, only who trains in which run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.programs.program import Block, Statement, Threads, Train, Try

BATCHES = 2


class Recorded(NamedTuple):
    """One run of the database: its epochs with their values, and the steps that were streamed."""

    name: str
    parent: str | None
    status: str
    epochs: dict[int, float]
    steps: list[int]


def ordered(runs: Iterable[Recorded]) -> list[Recorded]:
    """Return runs in an order that does not depend on when they began; several may have one name."""
    return sorted(runs, key=lambda run: (run.name, run.parent or "", repr(run)))


class Raised(Exception):
    """The program raised; its text is the status of a run that it leaves."""


@dataclass
class Paper:
    """A run as one would draw it on paper."""

    name: str
    parent: str | None = None
    status: str = "running"
    epochs: dict[int, float] = field(default_factory=dict)
    steps: set[int] = field(default_factory=set)
    steps_at: dict[int, int] = field(default_factory=dict)
    """Steps done before an epoch."""
    trained: bool = False
    """Whether a training has recorded into it, so that the next one is its next phase."""
    ends: str = "finished"
    """The status that it has when its block ends without an error."""
    left: bool = False
    """A training was left in it without an end."""
    own: bool = False
    """The run was started by its training."""
    held: bool = False

    def recorded(self) -> Recorded:
        """Return it as it is read back from the database."""
        return Recorded(self.name, self.parent, self.status, self.epochs, sorted(self.steps))


class Model:
    """All runs of a program, by following it statement by statement."""

    def __init__(self) -> None:
        self.runs: list[Paper] = []

    def execute(self, program: Sequence[Statement]) -> list[Recorded]:
        """Return what is found when the process of this program has ended."""
        self._script(program)
        for run in self.runs:
            if run.status == "running":
                run.status = "interrupted"
        return ordered(run.recorded() for run in self.runs)

    def _script(self, program: Sequence[Statement]) -> None:
        context: list[Paper] = []
        with suppress(Raised):
            for statement in program:
                self._do(statement, context)

    def _do(self, statement: Statement, context: list[Paper]) -> None:
        match statement:
            case Block():
                run = self._start(statement.name, context)
                with _ending(run):
                    for inner in statement.body:
                        self._do(inner, context)
                    if statement.error:
                        raise Raised(statement.error)
            case Train():
                self._train(statement, context)
            case Threads():
                for body in statement.bodies:
                    self._script(body)
            case Try():
                with suppress(Raised):
                    self._do(statement.body, context)

    def _train(self, train: Train, context: list[Paper]) -> None:
        run, first, last = self._claim(train, context)
        bare = train.framework == "torch" and not train.in_block
        run.held = True
        try:
            self._epochs(train, run, first, last, context)
        except Raised as error:
            run.left = bare
            if run.own and not bare:
                run.status = _status(error)
            raise
        finally:
            run.held = run.left
        if run.own and not run.left:
            run.status = run.ends

    def _epochs(
        self, train: Train, run: Paper, first: int, last: int, context: list[Paper]
    ) -> None:
        done = run.steps_at.get(first, len(run.steps))
        for ordinal, epoch in enumerate(range(first, last)):
            run.steps_at[epoch] = done
            run.steps = {step for step in run.steps if step <= done}
            run.steps |= {done + 1, done + 2}
            done += BATCHES
            for at, inner in train.inner:
                if at == ordinal:
                    self._do(inner, context)
            if ordinal == train.at and train.ends in ("ValueError", "KeyboardInterrupt"):
                raise Raised(train.ends)
            if ordinal == train.at and train.ends == "left":
                run.left = not train.in_block
                run.ends = "stopped_early" if train.in_block else run.ends
                return
            if ordinal == 0:
                _supersede(run, first)
            run.epochs[epoch] = train.value(epoch)
            run.ends = "finished"
            if train.ends == "stopped" and ordinal == max(train.at, 1):
                run.ends = "stopped_early"
                return

    def _claim(self, train: Train, context: list[Paper]) -> tuple[Paper, int, int]:
        """Return the run of a training, its first epoch, and the one after its last."""
        _close_left(context)
        enclosing = next((run for run in reversed(context) if run.status == "running"), None)
        if enclosing is not None and not enclosing.held:
            if train.resume:
                raise Raised("ValueError")  # refused: it comes too late
            first = max(enclosing.epochs, default=-1) + 1 if train.framework == "torch" else 0
            return enclosing, first, first + train.epochs
        if train.resume:
            unfinished = ("failed", "interrupted", "running")
            same = [run for run in self.runs if run.name == train.name and run.status in unfinished]
            if same:
                if same[-1].status == "running":
                    raise Raised("ValueError")  # refused: it is busy
                same[-1].status = "running"
                context.append(same[-1])
                return same[-1], len(same[-1].epochs), train.epochs
        run = self._start(train.name, context, enclosing)
        run.own = True
        return run, 0, train.epochs

    def _start(self, name: str, context: list[Paper], parent: Paper | None = None) -> Paper:
        run = Paper(name, parent.name if parent else None)
        self.runs.append(run)
        context.append(run)
        return run


@contextmanager
def _ending(run: Paper) -> Iterator[None]:
    """End a run as its block does."""
    try:
        yield
    except Raised as error:
        run.status = _status(error)
        raise
    run.status = run.ends


def _supersede(run: Paper, first: int) -> None:
    """A training that goes back to an epoch leaves nothing of that one and later ones."""
    run.epochs = {epoch: value for epoch, value in run.epochs.items() if epoch < first}


def _status(error: Raised) -> str:
    return "interrupted" if str(error) == "KeyboardInterrupt" else "failed"


def _close_left(context: list[Paper]) -> None:
    """End the trainings of a context that nobody drives any more."""
    for run in context:
        if run.left and run.status == "running":
            run.left = run.held = False
            run.status = "interrupted" if run.own else "running"
