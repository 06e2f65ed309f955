"""``python -m tests.faults.recorders.serve trackio``: trains and reads, each time in a fork; JSON lines in and out."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.faults.recorders.script import Script


def main(name: str) -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what recorders print
    recorder = import_module(f"tests.faults.recorders.{name}")
    about = {"title": recorder.TITLE, "version": version(recorder.PACKAGE)}
    print(json.dumps(about | {"resumes": recorder.RESUMES}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if (pid := request.pop("collect", None)) is not None:
            answer = {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}
        elif (child := os.fork()) == 0:
            _work(recorder, request)
            return
        else:
            answer = {"pid": child}
        print(json.dumps(answer), file=answers, flush=True)


def _work(recorder: Any, request: dict[str, Any]) -> None:
    """Do it in this process, which ends as a script does."""
    do, folder = request.pop("do"), Path(request.pop("folder"))
    said = os.open(folder.parent / "said", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(said, descriptor)
    answer = getattr(recorder, do)(Script(folder, **request))
    if answer is not None:
        (folder.parent / "found").write_text(json.dumps(vars(answer)))


if __name__ == "__main__":
    main(sys.argv[1])
