"""Of the processes of one training that `torchrun` starts, the first one records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

TORCHRUN = (
    "import runpy, sys\n"
    "sys.argv = ['torchrun', '--standalone', '--nproc-per-node', '2', 'train.py']\n"
    "runpy.run_module('torch.distributed.run', run_name='__main__')\n"
)
TRAINER = """
import json, os, warnings
warnings.simplefilter('ignore')
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from tests.helpers.regression import Regression, RegressionConfig, rows
from tracker_integrations.transformers import attach

arguments = TrainingArguments(
    output_dir='out', use_cpu=True, report_to='none', disable_tqdm=True, num_train_epochs=3,
    eval_strategy='epoch', save_strategy='epoch', logging_steps=1, save_total_limit=1,
    per_device_train_batch_size=8, load_best_model_at_end=True, metric_for_best_model='loss',
)
trainer = Trainer(
    Regression(RegressionConfig()), arguments, train_dataset=rows(32), eval_dataset=rows(32),
    callbacks=[EarlyStoppingCallback(2)],
)
callback = attach(trainer, experiment='demo')
trainer.train()
rank = os.environ['RANK']
with open(f'rank-{rank}.json', 'w') as file:
    json.dump([trainer.args.world_size, callback.run.recording, trainer.state.log_history], file)
"""
ACCELERATOR = """
import json, os
import torch
import tracker_integrations.accelerate
from accelerate import Accelerator

accelerator = Accelerator(log_with='tracker', cpu=True)
accelerator.init_trackers('demo', config={'lr': 0.1})
model = accelerator.prepare(torch.nn.Linear(2, 1))
for step in range(3):
    loss = model(torch.ones(4, 2)).square().mean()
    accelerator.backward(loss)
    accelerator.log({'loss': loss, 'rank': accelerator.process_index}, step=step)
rank, size = accelerator.process_index, accelerator.num_processes
accelerator.end_training()
with open(f'rank-{rank}.json', 'w') as file:
    json.dump([size, rank], file)
"""


def train(code: str, script: Any) -> list[Any]:
    """Train in two processes; returns what each has written about itself."""
    Path("train.py").write_text(code)
    process = script(TORCHRUN, env={"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"})
    _, error = process.communicate(timeout=500)
    assert process.returncode == 0, error[-3000:]
    return [json.loads(Path(f"rank-{rank}.json").read_text()) for rank in range(2)]


def test_of_a_trainer_of_transformers(script: Any) -> None:
    pytest.importorskip("transformers", reason="make test-neighbours")
    (size, first, history), (_, second, _) = train(TRAINER, script)
    assert (size, first, second) == (2, True, False)
    row = run_named()
    assert (row["experiment"], row["status"], row["epochs"]) == ("demo", "finished", 3)
    assert epochs()["eval_loss"] == [
        entry["eval_loss"] for entry in history if "eval_loss" in entry
    ]
    assert points()["loss"] == {
        entry["step"]: entry["loss"] for entry in history if "loss" in entry
    }
    files = tracker.checkpoints(row["id"])
    kept = {Path(path).name for path in files[files["state"] == "available"]["path"]}
    assert kept == {folder.name for folder in Path("out").glob("checkpoint-*")}


def test_of_an_accelerator(script: Any) -> None:
    pytest.importorskip("accelerate", reason="make test-neighbours")
    assert train(ACCELERATOR, script) == [[2, 0], [2, 1]]
    row = run_named()
    assert (row["name"], row["status"], row["params.lr"]) == ("demo-1", "finished", 0.1)
    assert points()["rank"] == {0: 0.0, 1: 0.0, 2: 0.0}
    assert sorted(points()["loss"]) == [0, 1, 2]
