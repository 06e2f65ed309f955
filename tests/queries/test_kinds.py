"""What kind of column parameters make."""

from __future__ import annotations

from typing import Any

import pytest

from tracker.queries.result import common_kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "optional"), ([1, None], "optional"), ([1, 0.5], "number"), ([2**70, 1], "any"),
        ([2**60, 0.5], "any"), (["a", None], "text"), ([True, False], "boolean"), ([True, None], "boolean"),
        ([True, 1], "any"), ([[1], [2]], "any"), ([None], "any"),
    ],
)  # fmt: skip
def test_a_parameters_column_has_the_kind_that_holds_it_exactly(
    values: list[Any], kind: str
) -> None:
    assert common_kind(values) == kind
