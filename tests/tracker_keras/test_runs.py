"""Which run a training belongs to, and how that run ends."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import pytest

import tracker
import tracker_keras
from tracker_keras import EarlyStopping, History, LambdaCallback, ModelCheckpoint, TrackerCallback
from tracker_keras.session.base import Recorded

ADAPTERS = Path(tracker_keras.__file__).parents[1]

ALONE = {
    "TrackerCallback": (),
    "EarlyStopping": (),
    "ModelCheckpoint": ("m.keras",),
    "LearningRateScheduler": (lambda epoch, lr: lr,),
    "ReduceLROnPlateau": (),
    "History": (),
    "BaseLogger": (),
    "CSVLogger": ("log.csv",),
    "TensorBoard": ("board",),
    "LambdaCallback": (),
    "BackupAndRestore": ("backup",),
    "TerminateOnNaN": (),
}


@pytest.mark.parametrize("name", ALONE)
def test_alone(name, fit, model, record):
    """Any of them, on its own, starts a run for this fit and ends it, with its epochs."""
    fit(model, [getattr(tracker_keras, name)(*ALONE[name])], epochs=2)
    assert record.run()["status"] == "finished"
    assert [one["epoch"] for one in record.epochs()] == [0, 1]


def test_every_class_is_tried_alone():
    """None is left out above."""
    offered = {name: getattr(tracker_keras, name) for name in tracker_keras.__all__}
    classes = {name: kind for name, kind in offered.items() if isinstance(kind, type)}
    assert set(ALONE) == {name for name, kind in classes.items() if issubclass(kind, Recorded)}


def test_every_name_of_keras_callbacks_is_offered():
    """Ours where we have one, Keras' own else: `from keras.callbacks import …` is changed in one word."""
    names = {name for name in dir(keras.callbacks) if name[0].isupper()}
    assert names <= set(dir(tracker_keras))
    for name in names - set(ALONE):
        assert getattr(tracker_keras, name) is getattr(keras.callbacks, name)
    for name in names & set(ALONE):
        assert issubclass(getattr(tracker_keras, name), getattr(keras.callbacks, name))
    with pytest.raises(ImportError):
        from tracker_keras import Nonsense  # noqa: F401
    with pytest.raises(AttributeError):
        _ = tracker_keras.callback_list


OURS = {
    "BaseLogger": {"seen", "stateful_metrics", "totals"},  # Keras 2 had them
    "History": {"from_run"},
    "ModelCheckpoint": {"background", "initial_value_threshold", "keep"},
    "TrackerCallback": {"log_every", "run"},
}


@pytest.mark.parametrize("name", ALONE)
def test_names_that_keras_does_not_have_begin_with_tracker(name, fit, model):
    """People subclass these and set attributes of their own, which must not meet ours."""
    ours = getattr(tracker_keras, name)(*ALONE[name])
    known = getattr(keras.callbacks, name, None)
    theirs = keras.callbacks.Callback() if known is None else known(*ALONE[name])
    fit(model, [ours, theirs], epochs=1)
    added = set(dir(ours)) - set(dir(theirs)) - OURS.get(name, set())
    plain = {one for one in added if not one.startswith("__")}
    assert {one for one in plain if not one.lstrip("_").startswith("tracker_")} == set()


@pytest.mark.parametrize(
    "name",
    [
        "TrackerCallback",
        "EarlyStopping",
        "ModelCheckpoint",
        "ReduceLROnPlateau",
        "BackupAndRestore",
    ],
)
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_a_subclass_that_does_not_call_ours(name, hook, fit, model, record):
    """Keras' own classes take it, and the epochs are those of the training all the same."""
    ours = getattr(tracker_keras, name)
    silent = type("Silent", (ours,), {hook: lambda self, *args, **kwargs: None})
    fit(model, [silent(*ALONE[name])], epochs=2)
    assert (record.run()["status"], record.run()["experiment"]) == ("finished", "default")
    history = model.history.history
    assert [one["metrics"]["loss"] for one in record.epochs()] == history["loss"]
    assert "on_epoch_end" not in model.history.__dict__


def test_a_subclass_that_judges_some_epochs_only(fit, model, record):
    """As people did before Keras had start_from_epoch."""

    class Late(EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            if epoch > 1:
                super().on_epoch_end(epoch, logs)

    fit(model, [Late("loss", patience=1, min_delta=100)], epochs=9)
    assert [one["epoch"] for one in record.epochs()] == [0, 1, 2, 3]
    assert [one["step"] for one in record.epochs()] == [3, 6, 9, 12]
    assert [(one["epoch"], one["verdict"]) for one in record.decisions()] == [
        (2, "improved"), (3, "stopped"),
    ]  # fmt: skip
    assert record.run()["status"] == "stopped_early"


def test_beside_a_tracker_callback(fit, model, record):
    """Wherever it stands in the list, its arguments start the run, and all record into that one."""
    cb = TrackerCallback("digits", name="mine", params={"lr": 0.1}, tags=["a"])
    fit(model, [EarlyStopping(patience=9), cb, ModelCheckpoint("m.keras")])
    run = record.run()
    assert (run["experiment"], run["name"], run["id"]) == ("digits", "mine", cb.run.id)
    assert {one["kind"] for one in record.decisions()} == {"EarlyStopping", "ModelCheckpoint"}
    assert record.ask("SELECT name, number FROM param") == [{"name": "lr", "number": 0.1}]


def test_inside_a_run(fit, model, record):
    """They join it, add params and tags, and leave its end to the block."""
    with tracker.start_run("outer") as run:
        fit(model, [TrackerCallback(params={"a": 1}, tags=["t"]), EarlyStopping(patience=9)])
        assert not run.finished
    assert record.run()["status"] == "finished"
    assert record.ask("SELECT count(*) AS n FROM param")[0]["n"] == 1


def test_inside_a_run_that_records_nothing(fit, model, record):
    """They judge and record nothing, not even into the run around."""
    with tracker.start_run("outer"), tracker.start_run(recording=False) as silent:
        stopping = EarlyStopping("loss", mode="max", patience=1)
        assert len(fit(model, [cb := TrackerCallback(), stopping], epochs=9).epoch) == 2
        assert cb.run is silent and not silent.finished
    assert (record.run()["experiment"], record.run()["epochs"]) == ("outer", 0)


def test_arguments_that_an_active_run_makes_idle_are_named(fit, model):
    """A name that is not used is said, not swallowed."""
    with tracker.start_run("outer"), pytest.warns(UserWarning, match=r"experiment='inner'.*active"):
        fit(model, [TrackerCallback("inner")], epochs=1)


def test_two_fits_with_one_instance(fit, build, record):
    """Are two runs, each with its own epochs and decisions."""
    stopping, cb = EarlyStopping("loss", patience=9), TrackerCallback("twice")
    for _ in range(2):
        fit(build(), [cb, stopping], epochs=2)
    assert [run["epochs"] for run in record.runs()] == [2, 2]
    assert record.verdicts() == ["improved"] * 4


def test_a_fit_inside_a_fit(fit, build, record):
    """Another model, trained by a callback, has a run of its own, below the outer one."""
    inner = LambdaCallback(on_train_begin=lambda logs: fit(build(), [TrackerCallback("in")]))
    fit(build(), [TrackerCallback("out"), inner], epochs=1)
    outer, other = record.runs()
    assert (outer["experiment"], other["experiment"]) == ("out", "in")
    assert other["parent_id"] == outer["id"]
    assert {run["status"] for run in record.runs()} == {"finished"}


def _boom(epoch, logs):
    raise RuntimeError("the disk of the data set is gone")


def test_a_fit_that_raises(fit, model, record):
    """Is failed at once, with the exception's text, and what was recorded stays."""
    with pytest.raises(RuntimeError):
        fit(model, [TrackerCallback(), keras.callbacks.LambdaCallback(on_epoch_end=_boom)])
    run = record.run()
    assert (run["status"], run["epochs"]) == ("failed", 1)
    assert run["error"] == "RuntimeError: the disk of the data set is gone"
    assert tracker.active_run() is None


def test_a_fit_that_raises_inside_a_run(fit, model, record):
    """Is the block's to judge: it may catch it and go on."""
    with tracker.start_run() as run:
        with pytest.raises(RuntimeError):
            fit(model, [EarlyStopping(), keras.callbacks.LambdaCallback(on_epoch_end=_boom)])
        run.log_params({"caught": True})
    assert record.run()["status"] == "finished"


def test_a_fit_that_is_interrupted(fit, model, record):
    """Ctrl-C is interrupted, not failed."""

    def stop(batch, logs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, [TrackerCallback(), keras.callbacks.LambdaCallback(on_train_batch_end=stop)])
    assert record.run()["status"] == "interrupted"


def test_stopped_early_says_why(fit, model, record):
    """The reason of the run is the sentence of the decision that stopped it."""
    fit(model, [EarlyStopping("loss", mode="max", patience=1)], epochs=9)
    run, last = record.run(), record.decisions()[-1]
    assert (run["status"], last["verdict"]) == ("stopped_early", "stopped")
    assert run["reason"] == last["reason"] and "did not beat" in last["reason"]


def test_a_stop_by_somebody_else(fit, model, record):
    """Is stopped early as well, and says that nobody knows why."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    fit(model, [TrackerCallback(), Stop()], epochs=9)
    assert record.run()["status"] == "stopped_early"
    assert record.run()["reason"] == "a callback that is not recorded set stop_training at epoch 1"


def test_switched_off(fit, build, same_weights, monkeypatch):
    """With TRACKER_MODE=disabled all of it works, and no database is made."""
    monkeypatch.setenv("TRACKER_MODE", "disabled")
    model, plain = build(), build()
    fit(model, [getattr(tracker_keras, name)(*given) for name, given in ALONE.items()])
    fit(plain)
    assert same_weights(model, plain)
    assert not Path(".tracker").exists() and Path("m.keras").exists()


def test_hooks_called_by_hand(model, record):
    """In a loop of one's own the last callback's end is the run's end."""
    callbacks = keras.callbacks.CallbackList(
        [TrackerCallback("hand"), EarlyStopping("loss", mode="min")], model=model, epochs=2
    )
    callbacks.on_train_begin()
    for epoch in range(2):
        callbacks.on_epoch_begin(epoch)
        callbacks.on_epoch_end(epoch, {"loss": 1.0 - epoch})
    callbacks.on_train_end()
    assert (record.run()["status"], record.run()["epochs"]) == ("finished", 2)
    assert record.verdicts() == ["improved", "improved"]


def test_callbacks_called_one_by_one(model, record):
    """Without a list they find each other by the model, and a TrackerCallback's arguments count."""
    callbacks = [EarlyStopping("loss", mode="min"), TrackerCallback("hand", name="mine")]
    for name, *given in (
        ("set_model", model),
        ("on_train_begin",),
        ("on_epoch_end", 0, {"loss": 1.0}),
        ("on_train_end",),
    ):
        for callback in callbacks:
            getattr(callback, name)(*given)
    run = record.run()
    assert (run["experiment"], run["name"], run["status"]) == ("hand", "mine", "finished")


def test_two_lists_made_beforehand(model, record):
    """Each loop by hand is the run of its own TrackerCallback, whichever begins first."""
    lists = {
        name: keras.callbacks.CallbackList([History(), TrackerCallback(name)], model=model)
        for name in ("first", "second")
    }
    for name in ("second", "first"):
        lists[name].on_train_begin()
        lists[name].on_epoch_end(0, {"loss": 1.0})
        lists[name].on_train_end()
    assert [run["experiment"] for run in record.runs()] == ["second", "first"]


@pytest.mark.parametrize("again", ["the same callbacks", "the same model", "fit"])
def test_a_loop_by_hand_that_was_left(again, fit, model, record):
    """Is closed by the next training of its callbacks or its model, which has a run beside it."""
    left = keras.callbacks.CallbackList([TrackerCallback("left")], model=model)
    left.on_train_begin()
    left.on_epoch_end(0, {"loss": 1.0})
    if again == "fit":
        fit(model, [TrackerCallback("next")], epochs=1)
    else:
        same = again == "the same callbacks"
        following = left if same else keras.callbacks.CallbackList([TrackerCallback()], model=model)
        following.on_train_begin()
        following.on_train_end()
    first, second = record.runs()
    assert (first["status"], first["reason"]) == (
        "interrupted",
        "training was left before it ended",
    )
    assert (second["status"], second["parent_id"]) == ("finished", None)


def test_a_loop_by_hand_that_was_left_inside_a_run(fit, model, record):
    """Leaves the run to the next training, as its next phase."""
    with tracker.start_run("block") as run:
        left = keras.callbacks.CallbackList([TrackerCallback()], model=model)
        left.on_train_begin()
        fit(model, [cb := TrackerCallback()], epochs=1)
        assert cb.run is run
    assert record.run()["status"] == "finished"


def test_a_fit_in_a_thread(fit, build, record):
    """Has a run of its own: the block around belongs to the thread that began it."""
    models = [build(), build()]
    with tracker.start_run("block"), ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda model: fit(model, [TrackerCallback("in")], epochs=1), models))
    block, *others = record.runs()
    assert block["epochs"] == 0
    assert [(run["experiment"], run["epochs"], run["parent_id"]) for run in others] == [
        ("in", 1, None)
    ] * 2


def test_callbacks_dropped_by_hand(model, record):
    """A loop that never comes to its end leaves no run that looks alive."""
    stopping = EarlyStopping("loss", mode="min")
    stopping.set_model(model)
    stopping.on_train_begin()
    stopping.on_epoch_end(0, {"loss": 1.0})
    del stopping
    assert record.run()["status"] == "interrupted"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies(again, fit, model, record):
    """KerasTuner deep-copies callbacks: a copy, even in the middle of a fit, takes no run along."""
    copies = []
    cb = TrackerCallback("copied", log_every=1)
    spy = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: copies.append(_copy(cb, again))
    )
    fit(model, [cb, spy], epochs=1)
    assert copies[0].run is None and copies[0].log_every == 1
    fit(model, copies, epochs=1)
    assert [run["experiment"] for run in record.runs()] == ["copied", "copied"]
    assert record.ask("SELECT count(*) AS n FROM series")[0]["n"] > 0


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: copy.copy(copy.copy(one))])
def test_a_copy_of_a_lambda_callback_records_its_own_training(again, fit, model, record):
    """Its hooks are its own, not those of the one it was copied from."""
    called = []
    made = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: None,
        on_epoch_end=lambda epoch, logs: called.append(epoch),
        on_train_begin=lambda logs: None,
        on_train_end=lambda logs: None,
    )
    fit(model, [again(made)], epochs=2)
    assert (record.run()["status"], record.run()["epochs"]) == ("finished", 2)
    assert called == [0, 1]


def test_a_loop_that_numbers_every_epoch_0(model, record):
    """The last one is shown, the others are superseded."""
    callbacks = keras.callbacks.CallbackList(
        [EarlyStopping("loss", mode="min"), TrackerCallback()], model=model
    )
    callbacks.on_train_begin()
    for loss in (3.0, 2.0, 1.0):
        callbacks.on_epoch_begin(0)
        callbacks.on_epoch_end(0, {"loss": loss})
    callbacks.on_train_end()
    assert [one["metrics"]["loss"] for one in record.epochs()] == [1.0]
    assert record.ask("SELECT count(*) AS n FROM epoch WHERE superseded") == [{"n": 2}]


def _copy(callback, again):
    model, callback._model = callback._model, None
    try:
        return again(callback)
    finally:
        callback._model = model


def test_evaluate_inside_fit(fit, model, data, record):
    """With the same callbacks: neither a second run nor a wrong epoch."""
    cb = TrackerCallback()
    inside = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: model.evaluate(*data.validation, callbacks=[cb], verbose=0)
    )
    fit(model, [cb, inside])
    assert [one["epoch"] for one in record.epochs()] == [0, 1, 2]


def test_an_exception_that_nobody_catches(tmp_path, record):
    """The process ends with Keras' traceback and code 1; the run is failed, with the text."""
    script = tmp_path / "train.py"
    script.write_text(
        "import keras, numpy as np\n"
        "from tracker_keras import TrackerCallback\n"
        "model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "def boom(epoch, logs): raise ValueError('no such file: train.csv')\n"
        "model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[TrackerCallback(),\n"
        "          keras.callbacks.LambdaCallback(on_epoch_begin=boom)])\n"
    )
    paths = os.pathsep.join([str(ADAPTERS), str(ADAPTERS.parent)])
    env = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.rstrip().endswith("no such file: train.csv")
    run = record.run()
    assert (run["status"], run["error"]) == ("failed", "ValueError: no such file: train.csv")


def test_fit_is_wrapped_once_and_can_be_given_back(fit, model, record):
    """Without the wrapper runs end with the callbacks."""
    from tracker_keras.session.fit_hook import fit_hook

    wrapped = keras.Model.fit
    fit_hook.wrap()
    assert keras.Model.fit is wrapped
    fit_hook.unwrap()
    try:
        assert keras.Model.fit is not wrapped
        fit(model, [TrackerCallback(), History()], epochs=1)
    finally:
        fit_hook.wrap()
    assert record.run()["status"] == "finished"


def test_a_wrong_call_of_fit_is_left_to_keras(model):
    """Keras' own TypeError, and no run."""
    with warnings.catch_warnings(), pytest.raises(TypeError, match="nonsense"):
        model.fit(nonsense=1)
    assert not Path(".tracker").exists()
