"""TensorBoard: curves, weights and step metrics for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from tracker import BadValue
from tracker_torch.callback import Callback, Logs
from tracker_torch.loop import distributed
from tracker_torch.loop.notices import UNWRITABLE
from tracker_torch.loop.save_trigger import Trigger
from tracker_torch.state.serialization import named, unwrap


class TensorBoard(Callback):
    """Write ``epoch_<metric>`` to ``train`` and ``validation`` below ``log_dir``, as Keras does.

    With ``update_freq``, ``batch_<metric>`` goes to ``batch``, with the step as its axis. Steps and
    epochs continue when a run is resumed, and TensorBoard is told to drop what is written again.

    Args:
        log_dir: is recorded with the run.
        histogram_freq: every how many epochs histograms of the weights are written; 0 is never.
        write_graph: draw the model's graph from ``example`` at the start.
        write_images: also write weights of one to four dimensions as images.
        write_steps_per_second: also write the speed.
        update_freq: ``"epoch"``, ``"batch"`` or every so many steps.
        example: one input of the model (a tensor, or a tuple of them), for ``write_graph``.

    Raises:
        BadValue: for another ``update_freq`` or ``histogram_freq``.
    """

    order = 2

    def __init__(
        self,
        log_dir: str | Path = "logs",
        histogram_freq: int = 0,
        write_graph: bool = False,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        *,
        example: Any = None,
    ) -> None:
        self.log_dir = Path(log_dir).expanduser()
        self.trigger = Trigger(1 if update_freq == "batch" else update_freq, name="update_freq")
        self.histograms = Trigger("epoch", histogram_freq, epochs_name="histogram_freq")
        self.write_images, self.write_steps_per_second = write_images, write_steps_per_second
        if write_graph and example is None:
            raise BadValue("write_graph is True, but example is None: pass one input of the model.")
        self.example = example if write_graph else None
        self.batch_hooks = self.trigger.by_step
        self._writers: dict[str, Any] = {}
        self._mark = (0, 0.0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the files; in a resumed run, from its epoch and step on."""
        self._first = distributed.share(self.run.first_epoch)
        self._first_step = self.loop.step
        if not self.loop.main:
            return
        self.run.capture(tensorboard={"log_dir": str(self.log_dir.absolute())})
        if self.example is not None:
            inputs = self.example if isinstance(self.example, tuple) else (self.example,)
            self._writer("train").add_graph(unwrap(next(iter(named(self.model).values()))), inputs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin to measure the speed."""
        self._mark = (self.loop.step, perf_counter())

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write a step's metrics."""
        step = self.loop.step
        if self.trigger.at_step(step) and self.loop.main:
            with self._forgiving():
                for name, value in (logs or {}).items():
                    self._writer("batch").add_scalar(f"batch_{name}", value, step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write an epoch's metrics, and the weights where it is time."""
        if not self.loop.main:
            return
        values = {**(logs or {}), **self.loop.rates}
        if self.write_steps_per_second:
            step, began = self._mark
            values["steps_per_second"] = (self.loop.step - step) / (perf_counter() - began)
        with self._forgiving():
            self._write(epoch, values)

    def _write(self, epoch: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            where = "validation" if name.startswith("val_") else "train"
            self._writer(where).add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histograms.at_epoch(epoch):
            self._write_weights(epoch)
        for writer in self._writers.values():
            writer.flush()

    def get_state(self) -> None:
        """Flush the files to disk: a training that continues from this backup does not write them again."""
        with self._forgiving():
            for writer in self._writers.values():
                writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        while self._writers:
            with self._forgiving():
                self._writers.popitem()[1].close()

    def on_exception(self, error: BaseException) -> None:
        """Close the files."""
        self.on_train_end()

    def _write_weights(self, epoch: int) -> None:
        for prefix, module in named(self.model).items():
            for name, weight in unwrap(module).named_parameters(prefix):
                values = weight.detach().float().cpu()
                self._writer("train").add_histogram(f"{name}/histogram", values, epoch)
                if self.write_images and 1 <= values.squeeze().dim() <= 2:
                    low, high = values.aminmax()
                    image = (values.squeeze() - low) / (high - low).clamp_min(1e-12)
                    image = image.reshape(1, -1, image.shape[-1])
                    self._writer("train").add_image(f"{name}/image", image, epoch)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Continue without files that cannot be written; the next turn opens others."""
        try:
            yield
        except Exception as error:
            # Where TensorFlow is installed it does the writing, and its errors are not OSErrors.
            foreign = type(error).__module__.startswith("tensorflow.")
            if not (foreign or isinstance(error, UNWRITABLE)):
                raise
            self._writers.clear()
            self.loop.forgive(error, self, f"{self.log_dir} could not be written")

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            first = self._first_step + 1 if name == "batch" else self._first
            self._writers[name] = SummaryWriter(
                str(self.log_dir / name), purge_step=first if self._first else None
            )
        return self._writers[name]

    def __getstate__(self) -> dict[str, Any]:
        """Copies open files of their own."""
        return super().__getstate__() | {"_writers": {}}
