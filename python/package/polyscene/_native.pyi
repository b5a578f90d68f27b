from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, final

from polyscene._progress import Event

__all__ = ["Model", "Predictions", "__version__", "check_run", "export_onnx", "read_config", "train"]

__version__: str

def train(
    config: object,
    data: object | None,
    *,
    overrides: dict[str, Any],
    out: str | PathLike[str] | None,
    device: str,
    tuning: str,
    resume: bool,
    callback: Callable[[Event], object] | None,
) -> Path: ...
def check_run(path: str | PathLike[str]) -> None: ...
def read_config(path: str | PathLike[str]) -> str: ...
def export_onnx(
    path: str | PathLike[str],
    out: str | PathLike[str],
    *,
    inputs: str,
    embeddings: str,
    external_data: bool,
) -> tuple[list[tuple[str, str, list[str], str]], Path | None, Path | None]: ...

@final
class Model:
    def __new__(cls, path: str | PathLike[str], *, device: str, batch_size: int | None) -> Model: ...
    def predict(self, data: object, *, max_unknown: float | None) -> Predictions: ...
    def evaluate(self, data: object | None, *, split: str, max_unknown: float | None) -> str: ...

@final
class Predictions:
    """Probabilities, one for each row of a table and in its order. An Arrow array of single-precision floats."""

    @property
    def summary(self) -> dict[str, Any]:
        """What `polyscene predict --json` prints: rows, skipped rows, and what of each column is missing or unknown."""

    def to_numpy(self) -> Any:
        """As a NumPy array of float32; NaN for rows without a prediction."""

    def to_list(self) -> list[float | None]:
        """As a list of floats; `None` for rows without a prediction."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...
    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> float | None: ...
    def __iter__(self) -> Iterator[float | None]: ...
