"""What the tests share: the program to compare with, and a small model to train."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import polyscene

# A small model that trains in a second.
OVERRIDES: dict[str, Any] = {
    "model.name": "dnn",
    "model.width": 4,
    "model.hidden": [16, 8],
    "train.epochs": 2,
    "train.batch_size": 256,
}


def program() -> str:
    """The `polyscene` program: POLYSCENE_PROGRAM, else the one on the path."""
    found = os.environ.get("POLYSCENE_PROGRAM") or shutil.which("polyscene")
    assert found, "set POLYSCENE_PROGRAM to the program of the same commit: cargo build --profile ci"
    return found


class Cli:
    """The program in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        words = [program(), *map(str, arguments)]
        return subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False)

    def ok(self, *arguments: object) -> str:
        """What a command that must succeed prints."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def error(self, *arguments: object) -> str:
        """What a command that must fail says after `error: `."""
        done = self(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr.split("error: ", 1)[1].rstrip("\n")


def sets(overrides: dict[str, Any]) -> list[str]:
    """Overrides as the program takes them."""
    words = []
    for key, value in overrides.items():
        words += ["--set", f"{key}={str(value).replace(chr(39), chr(34))}"]
    return words


def train(folder: Path, config: Any, data: Any = None, **arguments: Any) -> polyscene.Run:
    """Trains the small model in a folder, in silence."""
    arguments.setdefault("progress", False)
    arguments.setdefault("overrides", OVERRIDES)
    return polyscene.train(config, data, device="cpu", out=folder, **arguments)


def bits(run: Path) -> dict[str, bytes]:
    """The files of a run that must be the same to the bit."""
    names = ["model.safetensors", "checkpoint.safetensors", "calibration.csv"]
    vocabularies = sorted((run / "vocabularies").iterdir())
    # Also what the run's encoder knows, but for the path that it was told.
    files = [run / name for name in names] + [path for path in vocabularies if path.suffix == ".csv"]
    assert len(files) > len(names)
    return {path.name: path.read_bytes() for path in files}
