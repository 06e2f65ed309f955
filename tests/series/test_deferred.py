"""`tracker.series.deferred`: values of every framework, and those that wait on a device."""

from decimal import Decimal

import numpy as np
import pytest

from tracker.errors import BadValue
from tracker.series.batch import Calls, Codes, pack
from tracker.series.buffer import Buffer
from tracker.series.deferred import (
    Deferred,
    check,
    fetch,
    numbers,
    read_torch,
    ready_number,
    snapshot,
)

torch = pytest.importorskip("torch")


def waiting(value, dtype=torch.float32):
    """What `snapshot` makes of a tensor on an accelerator, here on the CPU."""
    return Deferred(torch.tensor(value, dtype=dtype), read_torch)


@pytest.mark.parametrize(
    "value",
    [
        1,
        True,
        Decimal(1),
        np.float32(1),
        np.array([[1]]),
        np.bool_(True),
        torch.tensor(1),
        torch.tensor([[1.0]], dtype=torch.bfloat16, requires_grad=True),
        torch.tensor(1.0, dtype=torch.float16),
    ],
)
def test_values_that_need_no_waiting_become_floats_at_once(value):
    """Whatever the type, shape, dtype and gradient."""
    number = snapshot(value, "loss")
    assert type(number) is float
    assert number == 1.0


@pytest.mark.parametrize("value", [torch.zeros(2), torch.zeros(0), torch.tensor(1j)])
def test_tensors_that_are_not_one_number_are_refused(value):
    """Without waiting for the device: the number of elements is known."""
    with pytest.raises(BadValue, match="loss"):
        snapshot(value, "loss")


def test_tensors_of_several_dtypes_are_fetched_together():
    """One transfer a dtype, each value back in its place, exact."""
    values = [
        waiting(0.1),
        waiting(0.1, torch.float64),
        waiting(3, torch.int64),
        waiting([[0.2]]),
        waiting(float("nan"), torch.bfloat16),
    ]
    found = fetch(values)
    assert found[:4] == [float(np.float32(0.1)), 0.1, 3.0, float(np.float32(0.2))]
    assert np.isnan(found[4])


def test_one_unreadable_tensor_does_not_take_the_others():
    """It is None; a tensor without storage stands for a device that is gone."""
    gone = Deferred(torch.empty((), device="meta"), read_torch)
    assert fetch([waiting(1.0), gone, waiting(2.0)]) == [1.0, None, 2.0]
    broken = Deferred(torch.zeros(2), read_torch)
    assert fetch([waiting(1.0), broken, waiting(2.0)]) == [1.0, None, 2.0]


def test_numbers_are_read_together_and_keep_their_order():
    """One name each, in the order given; a name need not be text."""
    values = {"a": torch.tensor([[2.5]]), 1: np.float32(0.5), "b": True, "c": float("inf")}
    assert list(numbers(values).items()) == [
        ("a", 2.5),
        ("1", 0.5),
        ("b", 1.0),
        ("c", float("inf")),
    ]
    with pytest.raises(BadValue, match="loss has 2 elements"):
        numbers({"acc": 1.0, "loss": torch.zeros(2)})


@pytest.mark.parametrize("value", ["low", None, torch.zeros(2), torch.empty(2, device="meta")])
def test_what_has_no_number_is_never_ready(value):
    """Known without asking the device."""
    with pytest.raises(BadValue, match="loss"):
        ready_number(value, "loss")


def test_a_tensor_that_cannot_be_read_is_named_when_it_is_read():
    """Not before: a tensor without storage stands for a device that is gone."""
    gone = torch.empty((), device="meta")
    assert ready_number(gone, "loss") is None
    assert isinstance(snapshot(gone, "loss"), Deferred)
    check(gone, "loss")
    with pytest.raises(BadValue, match=r"^loss is tensor"):
        numbers({"acc": 1.0, "loss": gone})


def test_packing_reads_what_waits_and_counts_what_it_cannot():
    """Its place stays empty, the rest of the call is kept."""
    gone = Deferred(torch.empty((), device="meta"), read_torch)
    calls = Calls([0, 1], [0.0, 1.0], [{"a": waiting(1.0), "b": 2.0}, {"a": gone, "b": 3.0}])
    batch, lost = pack(calls, Codes())
    columns = {c.name: (c.rows, c.values.tolist()) for c in batch.columns}
    assert columns["a"][0].tolist() == [0]
    assert columns["a"][1] == [1.0]
    assert columns["b"][1] == [2.0, 3.0]
    assert lost == (1, "a could not be read from its device")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_tensors_wait_in_the_buffer_and_keep_their_value():
    """`log` does not wait for the device; a tensor changed in place afterwards changes nothing."""
    buffer, loss = Buffer(), torch.ones((), device="cuda")
    for _ in range(10):
        buffer.log({"loss": loss})
        loss += 1
    (batch,) = buffer.drain()
    assert batch.columns[0].values.tolist() == list(range(1, 11))


@pytest.mark.tensorflow
def test_tensorflow_scalars_are_taken():
    """Eager tensors and variables; a variable that changes afterwards changes nothing."""
    tensorflow = pytest.importorskip("tensorflow")
    buffer, variable = Buffer(), tensorflow.Variable(1.0)
    buffer.log({"constant": tensorflow.constant([2.0]), "variable": variable})
    variable.assign(5.0)
    (batch,) = buffer.drain()
    assert {c.name: c.values.tolist() for c in batch.columns} == {"constant": [2], "variable": [1]}
    with pytest.raises(BadValue, match="loss has 2 elements"):
        buffer.log({"loss": tensorflow.zeros(2)})
