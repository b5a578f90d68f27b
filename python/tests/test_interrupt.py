"""Ctrl-C, and what a callback raises: training ends with a checkpoint, and goes on from it to the same bits."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import polyscene
import pyarrow as pa
import pytest
from helpers import OVERRIDES, bits, train

LONG: dict[str, Any] = {**OVERRIDES, "train.epochs": 12, "train.patience": 0, "train.batch_size": 16}


def press_ctrl_c_in(epoch: str) -> Any:
    """A callback that does so once, when the epoch begins: it ends after its first steps."""
    seen = []

    def callback(event: polyscene.Event) -> None:
        if event["kind"] == "progress" and event["what"].startswith(epoch) and not seen:
            seen.append(event)
            signal.raise_signal(signal.SIGINT)

    return callback


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(epoch: int, folder: Path, config: Path, rows: pa.Table) -> None:
    whole = train(folder / f"whole {epoch}", config, rows, overrides=LONG)
    place = folder / f"interrupted {epoch}"
    with pytest.raises(KeyboardInterrupt, match=rf"stopped in epoch {epoch} .* Go on with out=.*, resume=True"):
        train(place, config, rows, overrides=LONG, progress=press_ctrl_c_in(f"epoch {epoch}/"))
    assert (place / "checkpoint.safetensors").is_file()
    stopped = polyscene.Run(place)
    assert stopped.result is None
    assert len(stopped.metrics) == epoch - 1
    with pytest.raises(polyscene.RunError, match="already holds a run"):
        train(place, config, rows, overrides=LONG)
    run = train(place, config, rows, overrides=LONG, resume=True)
    assert bits(run.path) == bits(whole.path)


def test_ctrl_c_before_training_leaves_nothing(folder: Path, config: Path, rows: pa.Table) -> None:
    def callback(event: polyscene.Event) -> None:
        if event["kind"] == "progress" and event["what"] == "reading data":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(folder / "not begun", config, rows, progress=callback)
    assert not (folder / "not begun").exists()
    # The interpreter and the engine are as they were.
    train(folder / "not begun", config, rows)


def test_what_a_callback_raises_ends_training(folder: Path, config: Path, rows: pa.Table) -> None:
    def callback(event: polyscene.Event) -> None:
        if event["kind"] == "epoch":
            raise RuntimeError("seen enough")

    with pytest.raises(RuntimeError, match="seen enough"):
        train(folder / "enough", config, rows, overrides=LONG, progress=callback)
    assert (folder / "enough" / "checkpoint.safetensors").is_file()
    assert len(polyscene.Run(folder / "enough").metrics) == 1


def test_other_threads_run_meanwhile(folder: Path, config: Path, rows: pa.Table) -> None:
    import threading

    count = 0
    done = threading.Event()

    def work() -> None:
        nonlocal count
        while not done.wait(0.01):
            count += 1

    thread = threading.Thread(target=work)
    thread.start()
    train(folder / "meanwhile", config, rows, overrides=LONG)
    done.set()
    thread.join()
    assert count > 10
