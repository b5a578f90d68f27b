"""Golden values of every model in float64: an independent, literal reading of models.md.

    python generate.py             write every case beside this script
    python generate.py --check     regenerate in memory, by the files' seeds, and compare with them (nothing is written)
    python generate.py NAME ...    only these cases

One `.safetensors` file per case; README.md lists the tensors and the JSON of the options. Everything is written the
slow way on purpose: whole matrices are built, every scenario is computed for every sample, gradients come from autograd.
The models are in mi_dpg.py (with `dnn`), optmsm.py and saml.py, the others in experts.py, star.py, conditioned.py,
interactions.py and behaviours.py; what they share in common.py, Adam in training.py.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from checks import check_adam, check_finite_differences, check_model, check_rows, clear_of_edges, varied, visible
from common import BATCH, STEPS, STOPS, WATCH, Initial, close, fields_of, random_batch
from training import CASES, adam, gradients, initial_state, model_of

HERE = pathlib.Path(__file__).resolve().parent


def batches_of(case, rng):
    """The batch of each of the ten steps, and with it the permutation and the state to begin with."""
    if case["batches"] == "changing":
        batches = [random_batch(case, rng) for _ in range(STEPS)]
    else:
        batches = [random_batch(case, rng)] * STEPS
    return [
        batch | {"step": step, "shuffle": torch.tensor(rng.permutation(BATCH)), "state": initial_state(case)}
        for step, batch in enumerate(batches)
    ]


def input_tensors(case, batches):
    first = batches[0]
    tensors = {"input.ids": first["ids"], "input.labels": first["labels"]}
    if case["numeric"]:
        tensors["input.values"] = first["values"]
    if case["batches"] == "changing":
        tensors["input.step_ids"] = torch.stack([b["ids"] for b in batches])
        tensors["input.step_labels"] = torch.stack([b["labels"] for b in batches])
    if case.get("mir"):
        tensors["input.shuffle"] = torch.stack([b["shuffle"] for b in batches])
    if "scenarios" in case:
        tensors["input.scenarios"] = first["scenarios"]
    if case.get("sequence"):
        lengths = torch.tensor([0] + [len(history) for history in first["histories"]])
        tensors["input.sequence_offsets"] = lengths.cumsum(0)
        tensors["input.sequence_ids"] = torch.cat(first["histories"])
    for f, lists in first.get("tags", {}).items():
        lengths = torch.tensor([0] + [len(values) for values, _ in lists])
        tensors[f"input.tags.f{f}.offsets"] = lengths.cumsum(0)
        tensors[f"input.tags.f{f}.ids"] = torch.cat([values for values, _ in lists])
        tensors[f"input.tags.f{f}.weights"] = torch.cat([weights for _, weights in lists])
    return tensors


def build(name, seed):
    """The tensors and the JSON of one case, and what it was made from; None where the seed does not do."""
    case = dict(CASES[name], name=name, seed=seed)
    model = model_of(case)
    rng = np.random.default_rng([2023, seed])
    initial = Initial(rng)
    model.initial_parameters(case, initial)
    params = initial.params
    batches = batches_of(case, rng)

    if not varied(case, params, batches[0]):
        return None

    WATCH.clear()
    STOPS.record()
    out, grads = gradients(case, params, batches[0])
    if WATCH.guarded == 0 and model.zero_vectors(case):
        return None
    if not clear_of_edges(WATCH.margins()) or not visible(case, batches[0], out, grads):
        return None
    losses, trained, state = adam(case, params, batches)
    last = batches[-1] | {"state": state}
    evaluation = model.evaluation_logits(case, trained, last) if state else None
    margins = WATCH.margins()
    if not clear_of_edges(margins):
        return None
    assert losses[0] == out["loss"]

    tensors = {f"param.{n}": p for n, p in params.items()}
    tensors |= input_tensors(case, batches)
    tensors |= {f"output.{n}": t for n, t in out.items()}
    tensors |= model.further_tensors(case, params, batches[0])
    tensors |= {f"grad.{n}": g for n, g in grads.items()}
    tensors["adam.losses"] = losses
    tensors |= {f"adam.param.{n}": p for n, p in trained.items()}
    if state:
        tensors |= {f"adam.state.{n}": t for n, t in state.items()} | {"adam.evaluation_logits": evaluation}

    case["fields"] = fields_of(case)
    case |= margins
    tensors = {n: t.contiguous().clone() for n, t in tensors.items()}
    return tensors, case, (params, batches, out, grads, trained, last, evaluation)


def make(name, seeds):
    """The first seed that stays clear of the edges and hides nothing."""
    for seed in seeds:
        made = build(name, seed)
        if made is not None:
            return made
    raise SystemExit(f"{name}: no seed of {seeds} does")


def written(path):
    """The tensors and the JSON of a file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["case"])


def check(case, made):
    """Every assertion that one case can be put to."""
    params, batches, out, grads, trained, last, evaluation = made
    check_model(case, params, batches[0], out)
    check_finite_differences(case, params, batches[0], grads, np.random.default_rng(7))
    check_adam(case, params, batches, trained, last["state"])
    check_rows(case, params, batches, trained, grads)
    if evaluation is not None:
        model_of(case).check_evaluation(case, trained, last, evaluation)


def compare(path, tensors, case):
    old, options = written(path)
    assert old.keys() == tensors.keys(), path
    for name, t in tensors.items():
        assert close(old[name], t, 1e-9), (path, name)
    assert options.keys() == case.keys(), path
    for key, value in case.items():
        assert options[key] == value or key.endswith("margin") and close(options[key], value, 1e-9), (path, key)


def main():
    parser = argparse.ArgumentParser(description="golden values of every model")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases to make (all)")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    args = parser.parse_args()
    for name in args.names or CASES:
        path = HERE / f"{name}.safetensors"
        tensors, case, made = make(name, [written(path)[1]["seed"]] if args.check else range(10000))
        check(case, made)
        if args.check:
            compare(path, tensors, case)
        else:
            save_file(tensors, path, metadata={"case": json.dumps(case)})
        edges = "  ".join(f"{key.split('_')[0]} {value:.1e}" for key, value in case.items() if key.endswith("margin"))
        print(f"{name:26} seed {case['seed']:4}  {path.stat().st_size / 1024:6.1f} KiB  {edges}", flush=True)


if __name__ == "__main__":
    main()
