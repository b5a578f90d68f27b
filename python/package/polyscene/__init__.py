"""Train multi-scenario click and conversion models, on any GPU or on none, from tables in memory or from files.

    import polyscene

    run = polyscene.train("config.toml", data=frame)
    frame["prediction"] = run.predict(frame)

A table is whatever has Arrow's PyCapsule interface: a DataFrame of pandas or polars, a table of pyarrow, a relation of DuckDB. Its
columns are read where they are.
"""

from polyscene._errors import ConfigError, DataError, DeviceError, Error, RunError
from polyscene._native import Predictions, __version__
from polyscene._progress import Event, Progress
from polyscene._run import Run, train

__all__ = [
    "ConfigError",
    "DataError",
    "DeviceError",
    "Error",
    "Event",
    "Predictions",
    "Progress",
    "Run",
    "RunError",
    "__version__",
    "train",
]
