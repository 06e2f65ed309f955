"""What the stream benchmark records: training curves in single precision, always the same ones."""

from __future__ import annotations

import numpy as np

NOISE = 0.01


def names(metrics: int) -> list[str]:
    """Return that many metric names; the first four are those of most training loops."""
    return [*("loss", "accuracy", "grad_norm", "learning_rate")[:metrics]] + [
        f"layer_{i}/norm" for i in range(metrics - 4)
    ]


def calls(metrics: int) -> list[dict[str, float]]:
    """Return a power of two of calls: longer than a block, so that no curve repeats within one."""
    steps = 16384 if metrics <= 8 else 2048
    draw, time = np.random.default_rng(7), np.arange(steps) / steps
    base = 2.0 * np.exp(-3 * time) + 0.3
    columns = [
        _noisy(base, draw),
        np.round(np.clip(1 - base / 3 + 0.05 * draw.standard_normal(steps), 0, 1) * 32) / 32,
        _noisy(0.5 + base, draw),
        5e-4 * (1 + np.cos(np.pi * time)),
        *(_noisy(base, draw) for _ in range(metrics - 4)),
    ][:metrics]
    rows = zip(*(column.astype(np.float32).tolist() for column in columns), strict=True)
    return [dict(zip(names(metrics), row, strict=True)) for row in rows]


def _noisy(base: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    return base * (1 + NOISE * draw.standard_normal(len(base)))


def real(steps: int = 8192) -> dict[str, np.ndarray]:
    """Return the curves of a real training on digits, with the µs at which each step ended."""
    import time

    import torch
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    data = load_digits(return_X_y=True)
    x, y = torch.tensor(data[0], dtype=torch.float32) / 16, torch.tensor(data[1])
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(64, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    found = np.empty((steps, 4))
    times = np.empty(steps, np.int64)
    for step in range(steps):
        rows = torch.randint(0, len(x), (32,))
        outputs = model(x[rows])
        loss = torch.nn.functional.cross_entropy(outputs, y[rows])
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        optimizer.step()
        hits = (outputs.argmax(1) == y[rows]).float().mean()
        found[step] = loss.item(), hits.item(), norm.item(), schedule.get_last_lr()[0]
        schedule.step()
        times[step] = time.time_ns() // 1000
    return {"time": times, **dict(zip(names(4), found.T, strict=True))}
