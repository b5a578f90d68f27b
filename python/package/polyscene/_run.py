"""Training, and what came of it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, Union

from polyscene import _native
from polyscene._progress import Event, Progress


class ArrowStream(Protocol):
    """A table that Arrow's PyCapsule interface hands on, batch by batch."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class ArrowArray(Protocol):
    """One batch of rows that Arrow's PyCapsule interface hands on."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...


StrPath = Union[str, "os.PathLike[str]"]
Table = Union[ArrowStream, ArrowArray]
Split = Literal["train", "valid", "test"]


def train(
    config: StrPath | Mapping[str, Any],
    data: Table | Mapping[Split, Table] | StrPath | None = None,
    *,
    out: StrPath | None = None,
    device: str | int = "auto",
    seed: int | None = None,
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
    tuning: StrPath = "auto",
    progress: bool | Callable[[Event], object] = True,
) -> Run:
    """Trains a model, tests it, and gives the run, as `polyscene train` does.

    Args:
        config: a TOML file, or its sections as a dict. All keys: docs/configuration.md.
        data: what to train on instead of the files that `data.path` names, which may then be left out. A table is divided as
            `[data.split]` says; a dict of the splits `"train"`, `"valid"` and `"test"` (the first is needed) to tables takes the place
            of that. A path is a file, a glob or a folder.
        out: the run's folder. By default `runs/CONFIG-MODEL` with a number where that is taken; CONFIG is the file's name, or
            `config` for a dict.
        device: `"auto"` (the best GPU, else the CPU), `"cpu"`, `"software"`, or an adapter's number or name.
        seed: `train.seed`.
        resume: go on from the checkpoint in `out`, or in the newest folder of the default names.
        overrides: values by key, such as `{"train.epochs": 2}`; what `--set` takes. None leaves a key as it is.
        tuning: where the choice of a GPU's kernels comes from: `"auto"`, `"off"`, or a file that training has written.
        progress: whether to show how far training is; or a function to call with each `Event` instead. What it raises ends
            training as Ctrl-C does.

    Raises:
        Error: with the text that the program prints. Its classes say what is at fault.
        KeyboardInterrupt: at Ctrl-C; once training has begun, with a checkpoint from which `resume` goes on.
    """
    sets = dict(overrides or {})
    if seed is not None:
        sets["train.seed"] = seed
    folder = _native.train(
        _plain(config),
        _plain(data),
        overrides=sets,
        out=out,
        device=str(device),
        tuning=os.fspath(tuning),
        resume=resume,
        callback=_callback(progress),
    )
    return Run(folder, device=device)


def _plain(value: Any) -> Any:
    """A mapping of any kind as a dict; but for tables, some of which are mappings too."""
    is_table = hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")
    return dict(value) if isinstance(value, Mapping) and not is_table else value


def _callback(progress: bool | Callable[[Event], object]) -> Callable[[Event], object] | None:
    if callable(progress):
        return progress
    return Progress() if progress else None


class Run:
    """A trained model in its folder, which `train` or `polyscene train` has written.

    The model is put on the device when it is first needed, and stays there as long as the run does.
    """

    def __init__(self, path: StrPath, *, device: str | int = "auto") -> None:
        """Opens the run of a folder.

        Args:
            path: the folder.
            device: where `predict` and `evaluate` compute, as for `train`.

        Raises:
            RunError: where the folder holds no run.
        """
        _native.check_run(path)
        self._path = Path(path)
        self._device = str(device)
        self._lock = threading.Lock()
        self._model: tuple[tuple[str, int | None], _native.Model] | None = None

    def __repr__(self) -> str:
        return f"Run({str(self._path)!r})"

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, with every default written out."""
        config: dict[str, Any] = json.loads(_native.read_config(self._path))
        return config

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """What `metrics.jsonl` holds: of each epoch its losses, and its metrics on the validation rows."""
        file = self._path / "metrics.jsonl"
        if not file.is_file():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]

    @property
    def result(self) -> dict[str, Any] | None:
        """What `result.json` holds: metrics on the test and validation rows, sizes, speed. None while the run is not finished."""
        file = self._path / "result.json"
        if not file.is_file():
            return None
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return result

    def predict(
        self,
        data: Table | StrPath,
        *,
        device: str | int | None = None,
        batch_size: int | None = None,
        max_unknown: float | None = None,
    ) -> _native.Predictions:
        """The probability of each row, in the rows' order.

        Values that the model does not know, where there are more of them than in the validation rows, and bad rows that are
        skipped, are told as a `UserWarning`.

        Args:
            data: a table, or a file, glob or folder. It needs no label.
            device: another device than the run's.
            batch_size: rows that the device computes at once, by default `train.eval_batch_size`.
            max_unknown: the largest share of a column's values, from 0 to 1, that may be unknown to the model.

        Raises:
            DataError: where a column is missing, a row is bad (unless `data.on_bad_row = "skip"`), or more is unknown than may be.
        """
        return self._on(device, batch_size).predict(data, max_unknown=max_unknown)

    def evaluate(
        self,
        data: Table | StrPath | None = None,
        *,
        split: Split = "test",
        device: str | int | None = None,
        batch_size: int | None = None,
        max_unknown: float | None = None,
    ) -> dict[str, Any]:
        """Metrics over all rows and by scenario: what `polyscene eval --json` prints.

        Args:
            data: a table, or a file, glob or folder, with labels; by default the run's own rows, where they were files.
            split: which of the run's own rows.
            device, batch_size, max_unknown: as for `predict`.

        Raises:
            DataError: as for `predict`; or where the run's own rows are not there any more, such as those of a table.
        """
        if data is not None and split != "test":
            raise ValueError(f"split={split!r} is one of the run's own; leave it out, or leave data out")
        metrics: dict[str, Any] = json.loads(
            self._on(device, batch_size).evaluate(data, split=split, max_unknown=max_unknown)
        )
        return metrics

    def export(
        self,
        out: StrPath,
        *,
        inputs: Literal["raw", "encoded"] = "raw",
        embeddings: Literal["inside", "external"] = "inside",
        external_data: bool = False,
    ) -> dict[str, Any]:
        """Writes the model as an ONNX file (docs/serving.md), as `polyscene export` does.

        Args:
            out: the file, whose name ends in `.onnx`.
            inputs: whether the model takes the data's columns as they are, or the numbers of embedding rows.
            embeddings: whether they are in the model, or in files of their own for a lookup service.
            external_data: whether weights are written beside the model, to `out` with `.data` after it.

        Returns:
            `inputs`, a list of what the model takes, each with `name`, `type`, `shape` and `what` it holds; `weights` and
            `embeddings`, the paths of what lies beside the model, or None.
        """
        taken, weights, apart = _native.export_onnx(
            self._path, out, inputs=inputs, embeddings=embeddings, external_data=external_data
        )
        names = ("name", "type", "shape", "what")
        return {"inputs": [dict(zip(names, each)) for each in taken], "weights": weights, "embeddings": apart}

    def _on(self, device: str | int | None, batch_size: int | None) -> _native.Model:
        """The model on a device; the last one is kept."""
        wanted = (self._device if device is None else str(device), batch_size)
        with self._lock:
            if self._model is None or self._model[0] != wanted:
                # The old one goes first: a device may not have room for both.
                self._model = None
                self._model = (wanted, _native.Model(self._path, device=wanted[0], batch_size=batch_size))
            return self._model[1]
