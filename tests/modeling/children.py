"""Trainings in processes of their own, for tests that end them or give them little memory.

The child is ``python -m tests.modeling.children <json>``. The JSON holds ``folder`` (pictures, cache and model go
there), ``architecture``, ``backbone`` and ``training``; and ``hold``, the batch behind which it waits to be killed, or
``memory``, the MiB that it may take on top of what it has when everything is loaded. Each batch done is a line on
stdout, "42 of 99"; an error for people is a line that starts with "error: ".
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modeling.errors import ModelingError
from modeling.repeats import train_repeats
from modeling.training_settings import BackboneSettings, TrainingSettings
from tests.modeling.training_case import ADJACENCY, LABELS, WORD_VECTORS, make_case

ROOT = Path(__file__).parents[2]


def killed(values: dict[str, Any]) -> list[str]:
    """Run a child to the batch where it holds, and kill it there; return its lines."""
    lines: list[str] = []
    with started(values) as child:
        for line in lines_of(child):
            lines.append(line)
            if line.startswith(f"{values['hold']} of"):
                child.kill()
    assert child.returncode == -9
    return lines


def finished(values: dict[str, Any]) -> list[str]:
    """Run a child to its end; return its lines."""
    with started(values) as child:
        lines = list(lines_of(child))
    assert child.returncode == 0
    return lines


def started(values: dict[str, Any]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.modeling.children", json.dumps(values)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def lines_of(child: "subprocess.Popen[str]") -> Iterator[str]:
    assert child.stdout is not None
    return (line.strip() for line in child.stdout)


def main(values: dict[str, Any]) -> None:
    folder, hold = Path(values["folder"]), values.get("hold")

    def progress(done: int, total: int) -> None:
        print(f"{done} of {total}", flush=True)  # noqa: T201
        if done == hold:
            time.sleep(600)

    case = make_case(folder / "pictures")
    if "memory" in values:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + values["memory"] * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        models = train_repeats(
            case.data_set,
            LABELS,
            WORD_VECTORS,
            ADJACENCY,
            values["architecture"],
            BackboneSettings(**values["backbone"]),
            TrainingSettings(**values["training"]),
            case.image_path,
            folder / "cache",
            folder / "model",
            progress,
        )
        models.forget()
    except ModelingError as error:
        print(f"error: {error}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
