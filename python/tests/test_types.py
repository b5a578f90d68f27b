"""The stubs say what there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import polyscene


def test_the_stubs_are_those_of_the_module() -> None:
    words = [sys.executable, "-m", "mypy.stubtest", "polyscene._native"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_typed(tmp_path: Path) -> None:
    package = Path(polyscene.__file__).parent
    assert (package / "py.typed").is_file()
    # Apart from where it is installed, where mypy would not look for faults.
    sources = shutil.copytree(
        package, tmp_path / "polyscene", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    )
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(sources)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_the_engine_s() -> None:
    cargo = Path(__file__).parents[2] / "Cargo.toml"
    assert f'version = "{polyscene.__version__}"' in cargo.read_text(encoding="utf-8").split("[lib]")[0]
