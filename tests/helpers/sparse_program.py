"""Random programs that log names which few calls have: what must come back is in a plain dictionary."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tracker
from tracker.maintenance.doctor import runs_with_wrong_summaries
from tracker.models import SUMMARY
from tracker.queries.blocks import last_points, point_counts
from tracker.queries.pieces import pieces
from tracker.queries.points import Points, points
from tracker.queries.stored_series import parts_of, read_parts
from tracker.queries.totals import totals
from tracker.series.blocks import SeriesWriter
from tracker.series.buffer import Buffer
from tracker.storage import entries, journal
from tracker.storage.database import Reader, reading
from tracker.storage.prepare import writing

Point = tuple[int, int, int]
"""Attempt, step, and the bits of the value."""
ODD = [math.nan, math.inf, -math.inf, -0.0, 0.0, 0.1]


def bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))


@dataclass
class Program:
    """Logs like a training whose names change from call to call, and keeps a plain dictionary of what it logged."""

    dice: random.Random
    logged: dict[str, list[Point]] = field(default_factory=dict)
    late: list[Any] = field(default_factory=list)
    run: str = ""
    step: int = 0

    def calls(self) -> Iterator[dict[str, float]]:
        """Yield the values of some calls: of one way to log after the other."""
        many = [f"layer/{place}" for place in range(self.dice.choice([5, 40, 300]))]
        width = self.dice.choice([1, 1, 3])
        for call in range(self.dice.randrange(60)):
            names = [many[(call * width + place) % len(many)] for place in range(width)]
            if self.dice.random() < 0.3:
                names += ["loss", "lr"]
            if self.dice.random() < 0.02:
                names.append("seldom")
            yield {name: self.value() for name in names}

    def value(self) -> float:
        return self.dice.choice(
            [self.dice.random(), float(np.float32(self.dice.random())), *ODD[:3]]
        )

    def attempt(self, number: int) -> None:
        """Log, flush now and then, and be killed."""
        run = tracker.start_run(name="a", resume="auto")
        run.finish("failed")
        self.run = run.id
        self.step = max(0, self.step - self.dice.choice([0, 10, 1000]))
        writer = SeriesWriter(
            most_calls=self.dice.choice([20, 64]),
            fewest_calls=8,
            points=self.dice.choice([50, 500]),
        )
        buffer = Buffer(next_step=self.step)
        unsaved: list[tuple[str, Point]] = []
        for _ in range(self.dice.randrange(1, 9)):
            for values in self.calls():
                self.step += self.dice.choice([1, 1, 1, 0, 3, -2])
                buffer.log(values, self.step)
                unsaved += [(name, (number, self.step, bits(v))) for name, v in values.items()]
            if self.dice.random() < 0.2:
                continue
            writer.add(buffer.drain())
            pending = [entries.series(self.run, number, block) for block in writer.pending()]
            if self.dice.random() < 0.2:
                continue
            self.save(pending)
            writer.saved()
            for name, point in unsaved:
                self.logged.setdefault(name, []).append(point)
            unsaved.clear()

    def save(self, pending: list[Any]) -> None:
        """Commit now, more than once, or when a spool is imported."""
        how = self.dice.random()
        if how < 0.2 or self.late:
            self.late += pending
        else:
            with writing() as connection:
                journal.apply(connection, pending)
                if how < 0.4:
                    journal.apply(connection, pending)

    def import_late(self) -> None:
        with writing() as connection:
            assert not journal.apply_each(connection, through_json(self.late[:3]))
            journal.apply(connection, through_json(self.late))
        self.late.clear()

    def effective(self, name: str) -> list[Point]:
        """Return the points that no later attempt has repeated."""
        return [
            point
            for point in self.logged[name]
            if not any(later[0] > point[0] and later[1] <= point[1] for later in self.logged[name])
        ]


def through_json(some: list[Any]) -> list[Any]:
    from tracker.storage.spool import _line, _parse

    return [_parse(_line(entry).encode()) for entry in some]


def by_name(found: Points) -> dict[str, list[Point]]:
    columns = found.columns
    points: dict[str, list[Point]] = {}
    rows = zip(columns.name, columns.attempt, columns.step, columns.value, strict=True)
    for name, attempt, step, value in rows:
        points.setdefault(found.names[name], []).append((int(attempt), int(step), bits(value)))
    return points


def in_pieces(reader: Reader, **options: Any) -> dict[str, list[Point]]:
    """Return the points of all pieces; a name's come in one piece after the other."""
    points: dict[str, list[Point]] = {}
    for piece in pieces(reader, **options):
        for name, some in by_name(piece).items():
            points.setdefault(name, []).extend(some)
    return points


def summary_of(points: list[Point]) -> tuple[Any, ...]:
    values = [(float(np.int64(point[2]).view(np.float64)), point[1]) for point in points]
    known = [pair for pair in values if not math.isnan(pair[0])]
    low = min(known, key=lambda pair: pair[0], default=(None, None))
    high = max(known, key=lambda pair: pair[0], default=(None, None))
    return (values[-1][1], *low, *high)


def check(program: Program) -> None:
    expected = {name: found for name in program.logged if (found := program.effective(name))}
    with reading() as reader:
        assert by_name(points(reader)) == expected
        assert by_name(points(reader, superseded=True)) == program.logged
        for size in (1, 100, 10**6):
            assert in_pieces(reader, size=size) == expected
        assert in_pieces(reader, size=50, superseded=True) == program.logged
        middle = program.step // 2
        sliced = {
            name: inside
            for name, some in expected.items()
            if (inside := [point for point in some if middle <= point[1] < middle + 20])
        }
        assert by_name(points(reader, start=middle, stop=middle + 20)) == sliced
        assert in_pieces(reader, size=30, start=middle, stop=middle + 20) == sliced
        counts = {name: count for name, count in point_counts(reader, program.run).items() if count}
        assert counts == {name: len(some) for name, some in expected.items()}
        assert totals(reader)["step_metrics"] == sum(map(len, program.logged.values()))
        last = {
            name: bits(v) for name, v in last_points(reader, program.run).items() if v is not None
        }
        assert last == {name: some[-1][2] for name, some in program.logged.items()}
        for name in list(program.logged)[:20]:
            alone = by_name(points(reader, names=name)).get(name, [])
            assert alone == expected.get(name, [])
            parts = parts_of(reader, program.run, name)
            read = dict(read_parts(reader, program.run, parts))
            assert [
                (int(step), bits(value))
                for part in parts
                for step, value in zip(read[part].x, read[part].values, strict=True)
            ] == [point[1:] for point in alone]
        assert runs_with_wrong_summaries(reader.connection) == []
        stored = {
            row.name: (row.last_step, row.min, row.min_step, row.max, row.max_step)
            for row in reader.connection.execute(SUMMARY.select())
        }
        assert stored == {name: summary_of(some) for name, some in expected.items()}


def run_program(seed: int) -> None:
    """Record up to three attempts, some of them late, and check what is stored after each."""
    program = Program(random.Random(seed))
    for attempt in range(1, 2 + program.dice.randrange(3)):
        program.attempt(attempt)
        if program.dice.random() < 0.5:
            program.import_late()
            check(program)
    program.import_late()
    check(program)
