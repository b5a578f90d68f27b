"""Runs exported models with onnxruntime on the rows of CSV files, as a server would.

    run_onnx.py ROWS.csv MODEL.onnx ...

Each model is checked in full by onnx, then runs with and without the runtime's optimisations, on the rows in batches of 1, 7
and all together. Prints {"MODEL.onnx": {"ran": [[probability, ...], ...], "logit": [...],
"heads": {OUTPUT: [...]}}} as JSON, where the last are further outputs.

Cells are as in the file: empty ones are missing. Lists are separated by "|", numbers of vectors in lists by ";".
"""

import csv
import json
import sys

import numpy
import onnx
import onnxruntime

KINDS = {"tensor(float)": numpy.float32, "tensor(double)": numpy.float64, "tensor(int64)": numpy.int64}
# No vocabulary of the tests has it.
MISSING = {numpy.float32: numpy.nan, numpy.float64: numpy.nan, numpy.int64: -(2**63)}


def values(cells, kind):
    if kind == "tensor(string)":
        return numpy.array(cells, dtype=object)
    number = KINDS[kind]
    return numpy.array([number(cell) if cell != "" else MISSING[number] for cell in cells], dtype=number)


def feed(inputs, rows):
    """What a model takes, made of rows of cells."""
    given = {}
    for column in inputs:
        cells = [row.get(column.name) for row in rows]
        if cells[0] is None:
            # How long lists are, which the lists themselves tell.
            continue
        if len(column.shape) == 1:
            given[column.name] = values(cells, column.type)
            continue
        lists = [cell.split("|") if cell else [] for cell in cells]
        longest = max([1, *map(len, lists)])
        width = column.shape[2] if len(column.shape) == 3 else 1
        # Padding must not count, so it may as well be something.
        known = [item for items in lists for item in items]
        padding = known[0] if known else ";".join(["0"] * width)
        padded = [items + [padding] * (longest - len(items)) for items in lists]
        flat = [number for items in padded for item in items for number in item.split(";")]
        shape = [len(rows), longest, width][: len(column.shape)]
        given[column.name] = values(flat, column.type).reshape(shape)
        given[column.name.split(".")[-1] + ".length"] = numpy.array(list(map(len, lists)), dtype=numpy.int64)
    return {column.name: given[column.name] for column in inputs}


def main(path, models):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for model in models:
        onnx.checker.check_model(model, full_check=True)
        ran = []
        for level in ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"]:
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            for size in [1, 7, len(rows)]:
                outputs = [
                    session.run(["probability", "logit"], feed(session.get_inputs(), rows[at : at + size]))
                    for at in range(0, len(rows), size)
                ]
                probability, logit = (numpy.concatenate(parts).tolist() for parts in zip(*outputs))
                ran.append([p if p == p else None for p in probability])
        heads = [output.name for output in session.get_outputs() if output.name not in ("probability", "logit")]
        further = session.run(heads, feed(session.get_inputs(), rows)) if heads else []
        found[model] = {
            "ran": ran,
            "logit": [x if x == x else None for x in logit],
            "heads": {head: values.tolist() for head, values in zip(heads, further)},
        }
    json.dump(found, sys.stdout)


main(sys.argv[1], sys.argv[2:])
