"""What can be done with a run: predictions and metrics are the program's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import polyscene
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import Cli


@pytest.fixture(scope="session")
def scored(cli: Cli, cli_run: Path) -> pa.Table:
    """What the program predicts of all rows."""
    cli.ok("predict", cli_run, "--device", "cpu", "--data", "data/data.parquet", "--out", "scored.parquet")
    return pq.read_table(cli.folder / "scored.parquet")


def test_predictions_are_the_program_s(run: polyscene.Run, rows: pa.Table, scored: pa.Table, folder: Path) -> None:
    expected = scored["prediction"].combine_chunks()
    for data in [rows, rows.to_pandas(), pl.from_arrow(rows), folder / "data" / "data.parquet"]:
        assert pa.array(run.predict(data)).equals(expected)
    # A table that is to be predicted needs no label.
    assert pa.array(run.predict(rows.drop_columns(["label", "true_probability"]))).equals(expected)


def test_predictions_go_everywhere(run: polyscene.Run, rows: pa.Table, scored: pa.Table) -> None:
    predictions = run.predict(rows)
    expected = scored["prediction"].to_numpy()
    assert len(predictions) == rows.num_rows
    assert predictions.to_numpy().dtype == np.float32
    assert np.array_equal(predictions.to_numpy(), expected)
    assert np.array_equal(np.asarray(predictions), expected)
    assert np.asarray(predictions, dtype="float64").dtype == np.float64
    assert predictions.to_list() == expected.tolist() == list(predictions)
    assert predictions[-1] == expected[-1]
    with pytest.raises(IndexError, match="row 6000 of 6000"):
        predictions[6000]
    assert pl.Series("p", predictions).to_numpy().tolist() == expected.tolist()
    frame = rows.to_pandas()
    frame["p"] = predictions
    assert frame["p"].to_numpy(dtype="float32").tolist() == expected.tolist()
    assert rows.append_column("p", pa.array(predictions))["p"].to_numpy().tolist() == expected.tolist()
    assert repr(predictions).startswith("Predictions(6000 rows: 0.")


def test_what_predictions_are_of_is_told(
    run: polyscene.Run, rows: pa.Table, cli: Cli, cli_run: Path, folder: Path
) -> None:
    users = pa.array(["nobody"] * rows.num_rows)
    unknown = rows.set_column(rows.schema.get_field_index("city"), "city", users)
    pq.write_table(unknown, folder / "unknown.parquet")
    words = ["--device", "cpu", "--data", "unknown.parquet", "--out", "unknown scored.parquet"]
    expected = json.loads(cli.ok("predict", cli_run, "--json", *words))
    with pytest.warns(UserWarning, match='column "city": 6000 of 6000 values'):
        predictions = run.predict(unknown)
    assert predictions.summary == expected
    text = cli.error("predict", cli_run, "--max-unknown", "0.5", *words)
    with pytest.raises(polyscene.DataError) as raised:
        run.predict(unknown, max_unknown=0.5)
    assert str(raised.value) == text


def test_bad_rows_that_are_skipped_have_no_prediction(folder: Path, rows: pa.Table, run: polyscene.Run) -> None:
    bad = rows.slice(0, 10).to_pylist()
    bad[4]["scenario"] = "elsewhere"
    table = pa.Table.from_pylist(bad, schema=rows.schema)
    with pytest.raises(polyscene.DataError, match='<table>, row 5, column "scenario"'):
        run.predict(table)
    shared = polyscene.train(
        run.config,
        rows,
        device="cpu",
        out=folder / "skipping",
        progress=False,
        overrides={"data.unknown_scenario": "skip"},
    )
    with pytest.warns(UserWarning, match="1 bad row skipped"):
        predictions = shared.predict(table)
    assert predictions[4] is None and pa.array(predictions).null_count == 1
    assert np.isnan(predictions.to_numpy()).tolist() == [row == 4 for row in range(10)]


def test_metrics_are_the_program_s(run: polyscene.Run, rows: pa.Table, cli: Cli, cli_run: Path) -> None:
    expected = json.loads(cli.ok("eval", cli_run, "--device", "cpu", "--data", "data/data.parquet", "--json"))
    assert run.evaluate(rows) == expected
    # Another size of batches changes results by rounding at most.
    assert run.evaluate(rows.to_pandas(), batch_size=100)["logloss"] == pytest.approx(expected["logloss"], abs=1e-6)
    own = polyscene.Run(cli_run, device="cpu")
    for split in ["test", "valid"]:
        expected = json.loads(cli.ok("eval", cli_run, "--device", "cpu", "--split", split, "--json"))
        assert own.evaluate(split=split) == expected  # type: ignore[arg-type]


def test_rows_in_memory_are_gone_with_the_program_that_had_them(run: polyscene.Run, cli: Cli, folder: Path) -> None:
    with pytest.raises(polyscene.DataError, match="was a table in memory") as raised:
        run.evaluate(device="cpu")
    assert str(raised.value) == cli.error("eval", run.path, "--device", "cpu")
    # A file of the same rows serves.
    cli.ok("eval", run.path, "--device", "cpu", "--set", f"data.path={folder / 'data' / 'data.parquet'}")


def test_a_run_says_what_it_is(run: polyscene.Run, folder: Path) -> None:
    assert run.path == folder / "run"
    assert repr(run) == f"Run({str(run.path)!r})"
    assert run.config["model"]["name"] == "dnn"
    assert run.config["model"]["hidden"] == [16, 8]
    assert [epoch["epoch"] for epoch in run.metrics] == [1, 2]
    assert run.result is not None and 0 < run.result["test"]["auc"] < 1


def test_a_run_is_exported(run: polyscene.Run, folder: Path) -> None:
    exported = run.export(folder / "model.onnx")
    assert (folder / "model.onnx").stat().st_size > 1000
    names = [each["name"] for each in exported["inputs"]]
    assert "user_id" in names and exported["weights"] is None
    apart = run.export(folder / "apart.onnx", external_data=True)
    assert apart["weights"] == folder / "apart.onnx.data" and apart["weights"].is_file()
    with pytest.raises(ValueError, match="ends in .onnx"):
        run.export(folder / "model.pb")


def test_empty_tables_have_no_predictions(run: polyscene.Run, rows: pa.Table) -> None:
    assert len(run.predict(rows.slice(0, 0))) == 0
    assert len(run.predict(pd.DataFrame(rows.slice(0, 0).to_pandas()))) == 0


def test_threads_share_a_run(run: polyscene.Run, rows: pa.Table, scored: pa.Table) -> None:
    from concurrent.futures import ThreadPoolExecutor

    parts = [rows.slice(at, 1500) for at in range(0, 6000, 1500)]
    with ThreadPoolExecutor(4) as pool:
        found: list[Any] = list(pool.map(lambda part: run.predict(part).to_list(), parts))
    assert [each for part in found for each in part] == scored["prediction"].to_pylist()
