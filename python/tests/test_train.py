"""Training on tables: the same bits as the program's on a file, whatever library the table is of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import polyscene
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from helpers import OVERRIDES, Cli, bits, sets, train


def in_pieces(table: pa.Table) -> pa.Table:
    """The table in batches of odd sizes, some of them empty."""
    ends = [0, 0, 1, 700, 701, 701, 5000, table.num_rows]
    return pa.concat_tables([table.slice(a, b - a) for a, b in zip(ends, ends[1:])])


def with_dictionaries(table: pa.Table) -> pa.Table:
    """Texts as dictionaries, another one for each batch."""
    pieces = in_pieces(table)
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            chunks = [chunk.dictionary_encode() for chunk in pieces.column(at).chunks]
            pieces = pieces.set_column(at, field.name, pa.chunked_array(chunks))
    return pieces


TABLES: dict[str, Callable[[pa.Table], Any]] = {
    "pyarrow": lambda table: table,
    "batch": lambda table: table.combine_chunks().to_batches()[0],
    "reader": lambda table: table.to_reader(max_chunksize=999),
    "pieces": in_pieces,
    "dictionaries": with_dictionaries,
    "pandas": lambda table: table.to_pandas(),
    "pandas categories": lambda table: table.to_pandas().astype({"scenario": "category", "channel": "category"}),
    "polars": lambda table: pl.from_arrow(table),
    "polars categories": lambda table: pl.from_arrow(table).with_columns(
        pl.col("scenario").cast(pl.String).cast(pl.Categorical)
    ),
    "duckdb": lambda rows: duckdb.sql("select * from rows"),
}


@pytest.mark.parametrize("library", TABLES)
def test_a_table_trains_to_the_bits_of_its_file(
    library: str, folder: Path, config: Path, rows: pa.Table, cli_run: Path
) -> None:
    run = train(folder / f"run of {library}", config, TABLES[library](rows))
    assert bits(run.path) == bits(cli_run)
    assert run.config["data"]["path"] == "<table>"
    expected = polyscene.Run(cli_run)
    assert run.result is not None and expected.result is not None
    assert run.result["test"] == expected.result["test"]
    assert [epoch["train"] for epoch in run.metrics] == [epoch["train"] for epoch in expected.metrics]


def test_a_dict_of_sections_is_a_configuration(folder: Path, config: Path, rows: pa.Table, cli_run: Path) -> None:
    sections = polyscene.Run(cli_run).config
    del sections["data"]["path"]
    run = train(folder / "of sections", sections, rows, overrides=None)
    assert bits(run.path) == bits(cli_run)


def test_a_path_is_read_as_by_the_program(
    folder: Path, config: Path, cli_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = polyscene.Run(cli_run).config
    sections["data"]["path"] = "elsewhere.parquet"
    monkeypatch.chdir(folder)
    run = train(folder / "of a path", sections, Path("data/data.parquet"), overrides=None)
    assert bits(run.path) == bits(cli_run)
    assert run.config["data"]["path"] == str(folder / "data" / "data.parquet")


def test_tables_of_splits_are_as_folders_of_splits(folder: Path, config: Path, rows: pa.Table, cli: Cli) -> None:
    # A table may have a column of the name that says which split a row is in.
    rows = rows.append_column("split", pa.array(["x"] * rows.num_rows))
    tables = {"test": rows.slice(4000, 900), "train": rows.slice(0, 4000), "valid": rows.slice(4900)}
    # Tables are read in this order, files in that of their names.
    for order, split in enumerate(["train", "valid", "test"]):
        place = folder / "splits" / f"order={order}" / f"split_={split}"
        place.mkdir(parents=True)
        pq.write_table(tables[split], place / "rows.parquet")
    by_column = {"data.path": folder / "splits", "data.split.by": "column", "data.split.column": "split_"}
    cli.ok("train", config, "--device", "cpu", "--out", "cli splits", *sets({**OVERRIDES, **by_column}))
    run = train(folder / "splits of tables", config, tables)
    assert bits(run.path) == bits(folder / "cli splits")
    assert run.result is not None
    assert (run.result["test"]["rows"], run.result["valid"]["rows"]) == (900, 1100)


def test_splits_that_are_left_out_have_no_rows(folder: Path, config: Path, rows: pa.Table) -> None:
    run = train(folder / "train only", config, {"train": rows}, overrides={**OVERRIDES, "train.patience": 0})
    assert run.result is not None
    assert run.result["test"]["rows"] == 0
    assert "valid" not in run.result
    assert run.config["data"]["split"]["valid"] == ""


def test_a_seed_is_that_of_the_configuration(folder: Path, config: Path, rows: pa.Table, cli: Cli) -> None:
    cli.ok("train", config, "--device", "cpu", "--out", "cli seed", *sets({**OVERRIDES, "train.seed": 7}))
    run = train(folder / "seed", config, rows, seed=7)
    assert bits(run.path) == bits(folder / "cli seed")
    assert run.config["train"]["seed"] == 7


def test_columns_that_nobody_names_may_be_of_any_type(
    folder: Path, config: Path, rows: pa.Table, cli_run: Path
) -> None:
    odd = pa.array([{"a": 1}] * rows.num_rows)
    run = train(folder / "more columns", config, rows.append_column("odd", odd).append_column("odd", odd))
    assert bits(run.path) == bits(cli_run)


def test_progress_is_told_in_order(folder: Path, config: Path, rows: pa.Table) -> None:
    events: list[polyscene.Event] = []
    run = train(folder / "told", config, rows, progress=events.append)
    kinds = [event["kind"] for event in events]
    assert kinds.count("epoch") == 2 and kinds.count("result") == 1
    assert [event["record"] for event in events if event["kind"] == "epoch"] == run.metrics
    result = next(event["result"] for event in events if event["kind"] == "result")
    assert result == run.result
    starts = [event["what"] for event in events if event["kind"] == "progress"]
    assert {"reading data", "epoch 1/2", "epoch 2/2"} <= set(starts)
    assert events[-1]["text"] == f"the run is in {run.path}"
    for event in events:
        if event["kind"] == "progress":
            assert 0 <= event["done"] <= event["total"]


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_progress_is_shown_on_standard_error(
    has_tqdm: bool,
    folder: Path,
    config: Path,
    rows: pa.Table,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if has_tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    train(folder / f"shown {has_tqdm}", config, rows, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 1   train LogLoss" in shown.err
    assert "test rows: AUC" in shown.err
    assert ("steps/s" in shown.err) == has_tqdm


def test_warnings_are_python_s_where_nothing_is_shown(folder: Path, config: Path, rows: pa.Table) -> None:
    at = rows.schema.get_field_index("device")
    constant = rows.set_column(at, "device", pa.array(["same"] * rows.num_rows))
    with pytest.warns(UserWarning, match='column "device"'):
        train(folder / "warned", config, constant)


def test_rows_that_are_skipped_are_told(folder: Path, config: Path, rows: pa.Table, cli: Cli) -> None:
    labels = pc.cast(rows["label"], pa.int64()).to_pylist()
    labels[3], labels[5000] = 7, None
    bad = rows.set_column(rows.schema.get_field_index("label"), "label", pa.array(labels))
    pq.write_table(bad, folder / "bad.parquet")
    skip = {**OVERRIDES, "data.on_bad_row": "skip"}
    cli.ok(
        "train", config, "--device", "cpu", "--out", "cli skip", *sets({**skip, "data.path": folder / "bad.parquet"})
    )
    with pytest.warns(UserWarning, match="2 bad rows skipped") as caught:
        run = train(folder / "skip", config, bad, overrides=skip)
    assert any("<table>, row 4" in str(warning.message) for warning in caught)
    assert bits(run.path) == bits(folder / "cli skip")


def test_columns_of_every_type_are_read_as_of_a_file(folder: Path) -> None:
    count = 2000
    random = np.random.default_rng(0)

    def some(values: int) -> Any:
        return random.integers(0, values, count)

    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(some(9), unit="D")
    columns = {
        "small": some(5).astype("int8"),
        "large": some(9).astype("uint64"),
        "single": some(9).astype("float32"),
        "truth": some(2).astype(bool),
        "day": days,
        "zone": days.tz_localize("Europe/Berlin"),
        "duration": pd.to_timedelta(some(9), unit="h"),
        "category": pd.Categorical(np.array(["x", "y", "z"])[some(3)]),
        "number category": pd.Categorical(some(4)),
        "nullable": pd.array([None if n == 0 else int(n) for n in some(5)], dtype="Int64"),
        "object": np.array(["p", None, "q"], dtype=object)[some(3)],
    }
    frame = pd.DataFrame({"label": some(2), "scenario": np.array(["a", "b"])[some(2)], **columns})
    frame.to_parquet(folder / "types.parquet")
    sections = {
        "data": {
            "label": "label",
            "scenario": "scenario",
            "aware": ["scenario"],
            "agnostic": list(columns),
            "cache": False,
        },
        "model": {"name": "dnn", "width": 4, "hidden": (8,)},
        "train": {"epochs": np.int64(1), "learning_rate": np.float32(0.5)},
    }
    expected = bits(train(folder / "types file", sections, folder / "types.parquet", overrides=None).path)
    for name, table in [("pandas", frame), ("polars", pl.read_parquet(folder / "types.parquet"))]:
        assert bits(train(folder / f"types {name}", sections, table, overrides=None).path) == expected
