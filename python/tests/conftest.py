"""What the tests share: generated data, and a run of it by the program and by the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polyscene
import pyarrow.parquet as pq
import pytest
from helpers import OVERRIDES, Cli, sets, train


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with generated data, sequences included: data/data.parquet and data/config.toml."""
    folder = tmp_path_factory.mktemp("polyscene")
    Cli(folder).ok("synth", "--out", "data", "--rows", 6000, "--sequence", 5, "--vocab", 300)
    return folder


@pytest.fixture(scope="session")
def cli(folder: Path) -> Cli:
    """The program there."""
    return Cli(folder)


@pytest.fixture(scope="session")
def config(folder: Path) -> Path:
    """The data's configuration."""
    return folder / "data" / "config.toml"


@pytest.fixture(scope="session")
def rows(folder: Path) -> Any:
    """The data as a table of pyarrow."""
    return pq.read_table(folder / "data" / "data.parquet")


@pytest.fixture(scope="session")
def cli_run(cli: Cli, config: Path) -> Path:
    """What the program trains on the file."""
    cli.ok("train", config, "--device", "cpu", "--out", "cli", *sets(OVERRIDES))
    return cli.folder / "cli"


@pytest.fixture(scope="session")
def run(folder: Path, config: Path, rows: Any) -> polyscene.Run:
    """What the package trains on the table."""
    return train(folder / "run", config, rows)
