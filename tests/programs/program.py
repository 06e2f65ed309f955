"""What people do, as data: blocks, trainings in and after one another, threads, errors, resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Error = Literal["ValueError", "KeyboardInterrupt"]


@dataclass(frozen=True)
class Block:
    """``with tracker.start_run(name=...):`` and what is in it; may end with an error."""

    name: str
    body: tuple[Statement, ...]
    error: Error | None = None


@dataclass(frozen=True)
class Train:
    """A training of two batches per epoch; ``at`` counts its epochs, and is where it ends before its time."""

    framework: Literal["torch", "keras"]
    number: int
    name: str
    epochs: int
    ends: Literal["well", "stopped", "left", "ValueError", "KeyboardInterrupt"] = "well"
    at: int = 0
    in_block: bool = True
    resume: bool = False
    inner: tuple[tuple[int, Statement], ...] = ()

    def value(self, epoch: int) -> float:
        """Return what it logs in an epoch: no other training logs that."""
        return 1000.0 * self.number + epoch


@dataclass(frozen=True)
class Threads:
    """Programs that run at the same time, each in a thread of its own."""

    bodies: tuple[tuple[Statement, ...], ...]


@dataclass(frozen=True)
class Try:
    """``try: ... except: pass``."""

    body: Statement


Statement = Block | Train | Threads | Try


class Programs:
    """Random programs; names and numbers are used once, but for a resume, which repeats a name."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._count = 0
        self._resumable: list[str] = []

    def program(self) -> tuple[Statement, ...]:
        """Return the statements of one script."""
        self._resumable = []
        return self._body(3, in_thread=False)

    def _body(self, depth: int, *, in_thread: bool) -> tuple[Statement, ...]:
        count = self._random.randint(1, 3)
        return tuple(self._statement(depth, in_thread=in_thread) for _ in range(count))

    def _statement(self, depth: int, *, in_thread: bool) -> Statement:
        kinds = ["train"] * 5
        if depth > 0:
            kinds += ["block", "block", "try"]
            if not in_thread:
                kinds.append("threads")
        kind = self._random.choice(kinds)
        if kind == "block":
            error = self._random.choice([None, None, None, "ValueError", "KeyboardInterrupt"])
            body = self._body(depth - 1, in_thread=in_thread)
            return Block(f"block-{self._next()}", body, error)  # type: ignore[arg-type]
        if kind == "try":
            return Try(self._statement(depth - 1, in_thread=in_thread))
        if kind == "threads":
            return Threads(tuple(self._body(depth - 1, in_thread=True) for _ in range(2)))
        return self._train(depth, in_thread=in_thread)

    def _train(self, depth: int, *, in_thread: bool) -> Train:
        random = self._random
        framework = random.choice(["torch", "torch", "keras"])
        number, epochs = self._next(), random.randint(1, 4)
        ends = random.choice(["well", "well", "stopped", "left", "ValueError", "KeyboardInterrupt"])
        if framework == "keras" and ends == "left":
            ends = "well"
        # Threads end in any order, so a run that another thread may have is not resumed.
        resume = not in_thread and ends != "stopped" and random.random() < 0.4
        name = f"{framework}-{number}"
        same = [one for one in self._resumable if one.startswith(framework)]
        if resume and same and random.random() < 0.7:
            name = random.choice(same)
        elif resume:
            self._resumable.append(name)
        inner: tuple[tuple[int, Statement], ...] = ()
        if depth > 0 and random.random() < 0.25:
            statement = self._statement(depth - 1, in_thread=in_thread)
            inner = ((random.randrange(epochs), statement),)
        return Train(
            framework,  # type: ignore[arg-type]
            number,
            name,
            epochs,
            ends,  # type: ignore[arg-type]
            at=random.randrange(epochs),
            in_block=random.random() < 0.6,
            resume=resume,
            inner=inner,
        )

    def _next(self) -> int:
        self._count += 1
        return self._count


def source(program: Sequence[Statement], indent: str = "") -> str:
    """Return a program as one would write it down, a line per statement."""
    lines = []
    for statement in program:
        match statement:
            case Block(name, body, error):
                lines += [f"{indent}with start_run({name}):", source(body, indent + "    ")]
                if error:
                    lines.append(f"{indent}    raise {error}")
            case Try(body):
                lines += [f"{indent}try:", source([body], indent + "    ")]
            case Threads(bodies):
                for body in bodies:
                    lines += [f"{indent}in a thread:", source(body, indent + "    ")]
            case Train():
                how = ", with" * statement.in_block + ", resume" * statement.resume
                at = f" at {statement.at}" if statement.ends != "well" else ""
                lines.append(
                    f"{indent}{statement.name} #{statement.number}{how}: "
                    f"{statement.epochs} epochs, {statement.ends}{at}"
                )
                for at_epoch, inner in statement.inner:
                    lines += [
                        f"{indent}    in epoch {at_epoch}:",
                        source([inner], indent + " " * 8),
                    ]
    return "\n".join(lines)
