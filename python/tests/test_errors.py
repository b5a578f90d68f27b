"""Errors are exceptions, with the program's text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import polyscene
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import OVERRIDES, Cli, sets, train


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ({"train.epoch": 1}, polyscene.ConfigError),
        ({"train.batch_size": 0}, polyscene.ConfigError),
        ({"model.name": "dn"}, polyscene.ConfigError),
        ({"model.widht": 3}, polyscene.ConfigError),
        ({"data.label": "click"}, polyscene.DataError),
        ({"data.path": "nothing.parquet"}, polyscene.DataError),
        ({"data.sequence.0.column": "price"}, polyscene.DataError),
    ],
)
def test_errors_have_the_program_s_text(
    overrides: dict[str, Any], kind: type[polyscene.Error], folder: Path, config: Path, cli: Cli
) -> None:
    # Not generated anew where it is not there.
    text = config.read_text(encoding="utf-8").split("[synth]")[0]
    (folder / "data" / "plain.toml").write_text(text, encoding="utf-8")
    config = folder / "data" / "plain.toml"
    overrides = {**OVERRIDES, **overrides}
    expected = cli.error("train", config, "--device", "cpu", "--out", "failed", *sets(overrides))
    with pytest.raises(kind) as raised:
        train(folder / "failed", config, overrides=overrides)
    assert str(raised.value) == expected
    assert isinstance(raised.value, ValueError)
    assert not (folder / "failed").exists()


def test_bad_cells_are_named_as_of_a_file(folder: Path, config: Path, rows: pa.Table, cli: Cli) -> None:
    labels = [2 if row == 4321 else 0 for row in range(rows.num_rows)]
    bad = rows.set_column(rows.schema.get_field_index("label"), "label", pa.array(labels))
    pq.write_table(bad, folder / "two.parquet")
    path = folder / "two.parquet"
    expected = cli.error("train", config, "--out", "failed", *sets({**OVERRIDES, "data.path": path}))
    assert expected.startswith(f'{path}, row 4322, column "label": expected 0 or 1, found "2"')
    with pytest.raises(polyscene.DataError) as raised:
        train(folder / "failed", config, bad)
    assert str(raised.value) == expected.replace(str(path), "<table>")
    with pytest.raises(polyscene.DataError, match='^<valid>, row 322, column "label"'):
        train(folder / "failed", config, {"train": rows, "valid": bad.slice(4000)})


def test_columns_of_the_wrong_type_are_named(folder: Path, config: Path, rows: pa.Table) -> None:
    odd = rows.set_column(rows.schema.get_field_index("city"), "city", pa.array([{"a": 1}] * rows.num_rows))
    with pytest.raises(polyscene.DataError, match='<table>, column "city": data.agnostic needs one value per row'):
        train(folder / "failed", config, odd)
    with pytest.raises(polyscene.DataError, match='<table>: no column "history"'):
        train(folder / "failed", config, rows.drop_columns(["history"]))


def test_what_is_no_table_is_a_type_error(folder: Path, config: Path, rows: pa.Table, run: polyscene.Run) -> None:
    with pytest.raises(TypeError, match="data: expected a table with Arrow's PyCapsule interface.*found list"):
        train(folder / "failed", config, [1, 2])
    with pytest.raises(TypeError, match=r'data\["train"\]: expected a table'):
        train(folder / "failed", config, {"train": 3})
    with pytest.raises(polyscene.DataError, match='unknown split "trian"; did you mean "train"'):
        train(folder / "failed", config, {"trian": rows})
    with pytest.raises(polyscene.DataError, match='no table for "train"'):
        train(folder / "failed", config, {"test": rows})
    with pytest.raises(polyscene.DataError, match="expected a table, found one column, of type Utf8"):
        run.predict(pa.chunked_array([["a"]]))
    nulls = pa.StructArray.from_arrays([pa.array([1, 2])], ["a"], mask=pa.array([False, True]))
    with pytest.raises(polyscene.DataError, match="expected rows, found some that are null"):
        run.predict(nulls)


def test_errors_of_a_stream_are_told(config: Path, rows: pa.Table, run: polyscene.Run) -> None:
    def batches() -> Any:
        yield rows.to_batches()[0].slice(0, 10)
        raise OSError("the source ran dry")

    with pytest.raises(polyscene.DataError, match="the source ran dry"):
        run.predict(pa.RecordBatchReader.from_batches(rows.schema, batches()))


def test_columns_that_cannot_be_taken_over_are_named(rows: pa.Table, run: polyscene.Run) -> None:
    frame = pl.DataFrame({"label": [0, 1], "huge": pl.Series([1, 2], dtype=pl.Int128)})
    with pytest.raises(polyscene.DataError, match='data: the column "huge" is of a type that cannot be taken over'):
        run.predict(frame)


def test_configurations_that_are_none(folder: Path, rows: pa.Table) -> None:
    with pytest.raises(
        TypeError, match="config: expected the path of a TOML file or a dict of its sections, found int"
    ):
        train(folder / "failed", 3, rows)
    with pytest.raises(TypeError, match=r"config.train.epochs: expected .*, found object"):
        train(folder / "failed", {"train": {"epochs": object()}}, rows, overrides=None)
    with pytest.raises(
        polyscene.ConfigError, match="^config: unknown key `epoch` in \\[train\\]; did you mean `epochs`"
    ):
        train(folder / "failed", {"model": {"name": "dnn"}, "train": {"epoch": 1}}, rows, overrides=None)
    with pytest.raises(polyscene.ConfigError, match="cannot read .*nothing.toml"):
        train(folder / "failed", folder / "nothing.toml", rows)


def test_devices_and_folders(folder: Path, config: Path, rows: pa.Table, run: polyscene.Run, cli: Cli) -> None:
    with pytest.raises(polyscene.DeviceError):
        polyscene.train(config, rows, device="", out=folder / "failed", progress=False)
    with pytest.raises(polyscene.RunError, match="already holds a run"):
        train(run.path, config, rows)
    with pytest.raises(polyscene.RunError, match="is not a folder"):
        polyscene.Run(folder / "nowhere")
    with pytest.raises(ValueError, match="max_unknown: expected a share from 0 to 1"):
        run.predict(rows, max_unknown=3)
    with pytest.raises(ValueError, match="split: expected train, valid or test"):
        run.evaluate(split="all")  # type: ignore[arg-type]
    text = cli.error("eval", folder / "nowhere")
    with pytest.raises(polyscene.RunError) as raised:
        polyscene.Run(folder / "nowhere")
    assert str(raised.value) == text
