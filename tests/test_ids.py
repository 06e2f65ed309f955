"""Identifiers."""

import string

from tracker.ids import new_id


def test_no_id_is_a_number_to_whoever_reads_an_export() -> None:
    ids = [new_id() for _ in range(5000)]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 12 and set(one) <= set(string.hexdigits.lower()) for one in ids)
    assert all(one[0].isalpha() for one in ids)
