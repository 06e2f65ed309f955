"""Names of checkpoint files, made from a template such as ``ckpt/{epoch:03d}-{val_loss:.2f}.pt``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from tracker import BadValue
from tracker_torch.state.checkpoint_file import SUFFIXES

_EXAMPLES: dict[str, int | str] = {
    "epoch": 1, "step": 1, "batch": 1, "run": "0123456789ab", "name": "digits-1", "experiment": "digits",
}  # fmt: skip
"""What is no metric; those are floats."""


class _Names(Formatter):
    """Takes a field as one name, whatever it contains: ``{val/loss}``, ``{acc.top5}``."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return kwargs[field_name], field_name


class MissingMetric(BadValue):
    """A name asks for a metric that there is not at this point."""


class FileName:
    """A template for the paths of checkpoints.

    Args:
        template: a path that ends in .pt, .pth or .safetensors. Fields: ``epoch`` (counted from 1,
            as in Keras), ``step``, ``batch`` (from 1), ``run`` (the run's id), ``name`` and ``experiment`` (the
            run's, with ``-`` for what cannot be in a file's name), and every metric.

    Attributes:
        fields: the names in braces.
        folder: the absolute folder that does not change.

    Raises:
        BadValue: it has no file name, another suffix, or braces that do not match
            or hold no name.
    """

    def __init__(self, template: str | Path) -> None:
        self.template = str(template)
        if self.template.startswith("~/"):
            self.template = f"{Path.home()}{self.template[1:]}"
        path = Path(self.template)
        if self.template.endswith(("/", "\\")) or not path.suffix or path.is_dir():
            raise BadValue(
                f"filepath is {self.template!r}: it must name a file, such as "
                f"{str(path / '{epoch:03d}.pt')!r}."
            )
        if path.suffix not in SUFFIXES:
            raise BadValue(
                f"filepath is {self.template!r}: it must end in one of {', '.join(SUFFIXES)}. "
                f".pt holds everything to continue from, .safetensors the weights."
            )
        try:
            parsed = list(Formatter().parse(self.template))
        except ValueError as error:
            raise BadValue(f"filepath is {self.template!r}: {error}.") from error
        self.fields = {field for _, field, _, _ in parsed if field is not None}
        for field in self.fields:
            if not field or field.isdecimal():
                raise BadValue(
                    f"filepath is {self.template!r}: {{{field}}} names nothing. Put a name into the "
                    f"braces: {{epoch}}, {{step}}, {{batch}}, {{run}}, {{name}}, {{experiment}} or a metric's."
                )
        self._try_formats(parsed)
        self.suffix = path.suffix
        self.folder = Path(self.template.partition("{")[0] + "x").parent.absolute()

    def _try_formats(self, parsed: list[tuple[str, str | None, str | None, str | None]]) -> None:
        """Refuse a format that no value takes: numbers of epochs, steps and batches, metrics, the run's id."""
        for _, field, spec, conversion in parsed:
            if field is None:
                continue
            value = _EXAMPLES.get(field, 0.5)
            written = f"{{{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
            try:
                written.format(value)
            except (ValueError, TypeError, KeyError, IndexError) as error:
                raise BadValue(
                    f"filepath is {self.template!r}: {{{field}}} cannot be written so: {error}."
                ) from error
            head, dot, _ = field.partition(".")
            if dot and head in _EXAMPLES:
                raise BadValue(
                    f"filepath is {self.template!r}: it asks for {field!r}, and {head} is a plain value "
                    f"without parts. Write {{{head}}}."
                )

    def fill(self, facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
        """Return the path for these values, relative where the template is.

        Raises:
            MissingMetric: a field is neither; the text names those there are.
            BadValue: a value cannot be written so.
        """
        known = {**{name: metrics[name] for name in metrics if name in self.fields}, **facts}
        try:
            return Path(_Names().vformat(self.template, (), known))
        except KeyError as error:
            raise MissingMetric(
                f"filepath {self.template!r} asks for {error.args[0]!r}, which there is not at this "
                f"point: there are {', '.join([*facts, *metrics])}. Log it before, or leave it out."
            ) from error
        except (ValueError, TypeError) as error:
            raise BadValue(f"filepath {self.template!r} cannot be filled in: {error}.") from error

    def short(self, path: Path) -> str:
        """Return ``path`` as seen from `folder`: that is how states remember it."""
        path = path.absolute()
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)
