"""Golden values of `dnn` and `mi-dpg` in float64: an independent, literal reading of models.md.

    python generate.py             write every case beside this script
    python generate.py --check     regenerate in memory and compare with the files (nothing is written)
    python generate.py NAME ...    only these cases

One `.safetensors` file per case; README.md lists the tensors and the JSON of the options. Everything is written the
slow way on purpose: the B x d_m x d_n weighting matrix is built, nothing is factorised, gradients come from autograd.
"""

import argparse
import json
import math
import pathlib

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

HERE = pathlib.Path(__file__).resolve().parent
AWARE = 3  # fields f0..f2 are scenario-aware, the rest agnostic
ROWS = [5, 4, 7, 23, 31, 11, 3]  # rows of each field's table, row 0 (unknown) included
NUMERIC = 5  # the field that `dnn-numeric` makes numeric
BATCH = 13
STEPS = 10
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

# ---------------------------------------------------------------------------------------------------------- the cases

COMMON = dict(
    width=4,
    lr=0.01,
    beta1=BETA1,
    beta2=BETA2,
    epsilon=EPSILON,
    steps=STEPS,
    batch=BATCH,
    batches="same",
    embedding_adam="lazy",
    weight_decay=0.0,
    embedding_l2=0.0,
    numeric=False,
)
DNN = dict(COMMON, model="dnn", hidden=[24, 16, 8])
MI_DPG = dict(
    COMMON,
    model="mi-dpg",
    hidden=[12, 8],  # shorter than dnn's, for the files' size
    decomposition="r",
    row_div=4,
    col_div=4,
    d_k=1,
    repeat="interleave",
    row_axis="output",
    weight_last=True,
    weight_scale=1.0,
    mir=True,
    mir_reduce="mean",
    aux_hidden=32,
    discriminator_hidden=32,
)
MI_DPG["lambda"] = 1.0

CASES = {
    "dnn": DNN,
    "dnn-l2": dict(DNN, weight_decay=0.01, embedding_l2=0.02),
    "dnn-numeric": dict(DNN, numeric=True),
    # On one batch repeated, dense and lazy Adam agree (an absent row has zero moments): these two change the batch.
    "dnn-lazy-adam": dict(DNN, batches="changing"),
    "dnn-dense-adam": dict(DNN, batches="changing", embedding_adam="dense"),
    "mi-dpg-r": dict(MI_DPG, hidden=[24, 16, 8]),
    "mi-dpg-rc": dict(MI_DPG, decomposition="rc"),
    "mi-dpg-c": dict(MI_DPG, decomposition="c"),
    "mi-dpg-non": dict(MI_DPG, decomposition="non", hidden=[3, 2]),
    "mi-dpg-r-tile": dict(MI_DPG, repeat="tile"),
    "mi-dpg-rc-dk2": dict(MI_DPG, decomposition="rc", d_k=2, row_div=2, col_div=4),
    "mi-dpg-r-options": dict(MI_DPG, weight_last=False, weight_scale=2.0, mir_reduce="sum", **{"lambda": 0.3}),
    "mi-dpg-c-last": dict(MI_DPG, decomposition="c", mir_reduce="last"),
    "dpg-r": dict(MI_DPG, mir=False),
    "mi-dpg-r-input": dict(MI_DPG, row_axis="input"),
    "mi-dpg-c-gate": dict(MI_DPG, decomposition="c", row_div=12, col_div=1, mir=False),
}


def fields_of(case):
    fields = []
    for f, rows in enumerate(ROWS):
        numeric = case["numeric"] and f == NUMERIC
        fields.append(
            {
                "name": f"f{f}",
                "group": "aware" if f < AWARE else "agnostic",
                "kind": "numeric" if numeric else "categorical",
                "rows": 2 if numeric else rows,
            }
        )
    return fields


def layer_sizes(case):
    """(d_n, d_m) of every layer: inputs, outputs; the last is the logit layer."""
    widths = [len(ROWS) * case["width"]] + case["hidden"] + [1]
    return list(zip(widths[:-1], widths[1:]))


def weighted_layers(case):
    count = len(case["hidden"]) + 1
    return range(count if case["weight_last"] else count - 1)


def divided(d, div):
    """d / div, at least 1; it must divide."""
    if d < div:
        return 1
    assert d % div == 0, f"{div} does not divide {d}"
    return d // div


def core_sizes(case, d_n, d_m):
    """(d_r, d_c): how many distinct rows and columns S has."""
    rows, columns = (d_m, d_n) if case["row_axis"] == "output" else (d_n, d_m)
    if case["decomposition"] == "non":
        return rows, columns
    return divided(rows, case["row_div"]), divided(columns, case["col_div"])


# ------------------------------------------------------------------------------------------- initial values and batches


def initial_parameters(case, rng):
    """Random and nowhere zero; every value is representable in float32, so that an f32 program starts at the same point."""
    params = {}

    def normal(name, shape, deviation):
        params[name] = torch.tensor(rng.normal(0.0, deviation, shape).astype(np.float32).astype(np.float64))

    def kernel(name, d_out, d_in):
        limit = math.sqrt(6.0 / (d_in + d_out))
        params[name] = torch.tensor(rng.uniform(-limit, limit, (d_out, d_in)).astype(np.float32).astype(np.float64))

    def linear(name, d_out, d_in, deviation=0.2):
        kernel(name + ".weight", d_out, d_in)
        normal(name + ".bias", (d_out,), deviation)

    width = case["width"]
    for f, field in enumerate(fields_of(case)):
        normal(f"embedding.f{f}", (field["rows"], width), 0.3)
    sizes = layer_sizes(case)
    if case["model"] == "dnn":
        for l, (d_n, d_m) in enumerate(sizes):
            linear(f"mlp.{l}", d_m, d_n)
        return params

    for l, (d_n, d_m) in enumerate(sizes):
        linear(f"backbone.{l}", d_m, d_n)
    for l in weighted_layers(case):
        d_n, d_m = sizes[l]
        d_r, d_c = core_sizes(case, d_n, d_m)
        d_k, hidden, u = case["d_k"], case["aux_hidden"], AWARE * width + d_n
        generated = {"r": ["row"], "c": ["column"], "rc": ["row", "column"], "non": ["full"]}[case["decomposition"]]
        for part in generated:
            size = {"row": d_r * d_k, "column": d_k * d_c, "full": d_m * d_n}[part]
            linear(f"weighting.{l}.{part}.0", hidden, u)
            linear(f"weighting.{l}.{part}.1", size, hidden, deviation=0.5)
        if case["decomposition"] == "r":
            normal(f"weighting.{l}.column_share", (d_k, d_c), math.sqrt(1.0 / d_k))
        if case["decomposition"] == "c":
            normal(f"weighting.{l}.row_share", (d_r, d_k), math.sqrt(1.0 / d_k))
    if case["mir"]:
        for l in weighted_layers(case):
            d_r, d_c = core_sizes(case, *sizes[l])
            hidden = case["discriminator_hidden"]
            kernel(f"discriminator.{l}.aware.weight", hidden, AWARE * width)
            kernel(f"discriminator.{l}.weighting.weight", hidden, d_r * d_c)
            normal(f"discriminator.{l}.hidden.bias", (hidden,), 0.2)
            linear(f"discriminator.{l}.output", 1, hidden)
    return params


def random_batch(case, rng):
    """ids [B, 7], labels [B], values [B, numeric fields] of one batch."""
    ids = np.zeros((BATCH, len(ROWS)), dtype=np.int64)
    values = np.ones((BATCH, 1))
    for f, field in enumerate(fields_of(case)):
        if field["kind"] == "numeric":
            values[:, 0] = rng.normal(0.0, 1.0, BATCH).astype(np.float32)
            ids[:, f] = rng.random(BATCH) > 0.25  # id 1 with its value; 0 where it is missing, with value 1
            values[ids[:, f] == 0, 0] = 1.0
        else:
            ids[:, f] = np.floor(field["rows"] * rng.random(BATCH) ** 2)  # small ids come more often
    labels = (rng.random(BATCH) < 0.4).astype(np.float64)
    return {"ids": torch.tensor(ids), "labels": torch.tensor(labels), "values": torch.tensor(values)}


def inputs_of(case, rng):
    """The batch and the permutation of each of the ten steps."""
    if case["batches"] == "changing":
        batches = [random_batch(case, rng) for _ in range(STEPS)]
    else:
        batches = [random_batch(case, rng)] * STEPS
    shuffles = [torch.tensor(rng.permutation(BATCH)) for _ in range(STEPS)]
    return batches, shuffles


# ------------------------------------------------------------------------------------------------------------ the models

PRE_ACTIVATION = []  # smallest |argument| of every ReLU called: how far the case stays from the kink


def relu(z):
    PRE_ACTIVATION.append(z.detach().abs().min().item())
    return torch.relu(z)


def linear(params, name, x):
    return x @ params[name + ".weight"].T + params[name + ".bias"]


def softplus(z):
    return torch.logaddexp(torch.zeros_like(z), z)


def embed(case, params, batch):
    """e_aw [B, A D], e_ag [B, ...]: fields in schema order."""
    embedded = []
    for f, field in enumerate(fields_of(case)):
        e = params[f"embedding.f{f}"][batch["ids"][:, f]]
        if field["kind"] == "numeric":
            e = batch["values"][:, 0:1] * e
        embedded.append(e)
    return torch.cat(embedded[:AWARE], dim=1), torch.cat(embedded[AWARE:], dim=1)


def dnn(case, params, batch):
    e_aw, e_ag = embed(case, params, batch)
    h = torch.cat([e_aw, e_ag], dim=1)
    for l in range(len(case["hidden"])):
        h = relu(linear(params, f"mlp.{l}", h))
    return linear(params, f"mlp.{len(case['hidden'])}", h)[:, 0]


def generate(params, name, u):
    """G, G_R or G_C: one hidden ReLU layer, linear output."""
    return linear(params, name + ".1", relu(linear(params, name + ".0", u)))


def distinct_weights(case, params, l, e_aw, h):
    """sigma(core) [B, d_r, d_c] of layer l (eqs 2-5 before psi)."""
    d_n, d_m = layer_sizes(case)[l]
    d_r, d_c = core_sizes(case, d_n, d_m)
    d_k, name = case["d_k"], f"weighting.{l}"
    u = torch.cat([e_aw, h], dim=1)
    if case["decomposition"] == "non":
        return torch.sigmoid(generate(params, name + ".full", u).reshape(-1, d_r, d_c))
    if case["decomposition"] in ("r", "rc"):
        s_r = generate(params, name + ".row", u).reshape(-1, d_r, d_k)
    else:
        s_r = params[name + ".row_share"].expand(len(u), d_r, d_k)
    if case["decomposition"] in ("c", "rc"):
        s_c = generate(params, name + ".column", u).reshape(-1, d_k, d_c)
    else:
        s_c = params[name + ".column_share"].expand(len(u), d_k, d_c)
    return torch.sigmoid(s_r @ s_c)


def psi(s, rows, columns, repeat):
    """Repeats the distinct values [B, d_r, d_c] to the whole matrix [B, rows, columns]."""
    d_r, d_c = s.shape[1:]
    if repeat == "interleave":
        return s.repeat_interleave(rows // d_r, dim=1).repeat_interleave(columns // d_c, dim=2)
    return s.repeat(1, rows // d_r, columns // d_c)


def weighting_matrix(case, l, s):
    """S of eq 1 [B, d_m, d_n] from its distinct values."""
    d_n, d_m = layer_sizes(case)[l]
    if case["row_axis"] == "input":
        whole = psi(s, d_n, d_m, case["repeat"]).transpose(1, 2)
    else:
        whole = psi(s, d_m, d_n, case["repeat"])
    return case["weight_scale"] * whole


def mi_dpg(case, params, batch):
    """Logits [B], e_aw, and sigma(core) of each weighted layer."""
    e_aw, e_ag = embed(case, params, batch)
    h = torch.cat([e_aw, e_ag], dim=1)
    distinct = {}
    last = len(case["hidden"])
    for l in range(last + 1):
        w, b = params[f"backbone.{l}.weight"], params[f"backbone.{l}.bias"]
        if l in weighted_layers(case):
            distinct[l] = distinct_weights(case, params, l, e_aw, h)
            w = weighting_matrix(case, l, distinct[l]) * w  # [B, d_m, d_n]
        else:
            w = w.expand(len(h), *w.shape)
        out = torch.matmul(w, h[:, :, None])[:, :, 0] + b
        h = relu(out) if l < last else out
    return h[:, 0], e_aw, distinct


def gated(case, params, batch):
    """`mi-dpg-c-gate` written as AdaSparse / PPNet would: every layer's input times a generated gate."""
    e_aw, e_ag = embed(case, params, batch)
    h = torch.cat([e_aw, e_ag], dim=1)
    last = len(case["hidden"])
    for l in range(last + 1):
        pruner = generate(params, f"weighting.{l}.column", torch.cat([e_aw, h], dim=1))
        gate = torch.sigmoid(params[f"weighting.{l}.row_share"][0, 0] * pruner)
        h = linear(params, f"backbone.{l}", gate * h)
        h = relu(h) if l < last else h
    return h[:, 0]


def mutual_information(case, params, e_aw, distinct, shuffle):
    """L_mi (eqs 6, 7), reduced over the weighted layers."""

    def discriminator(l, e, s):
        a = e @ params[f"discriminator.{l}.aware.weight"].T
        b = s.flatten(1) @ params[f"discriminator.{l}.weighting.weight"].T
        hidden = relu(a + b + params[f"discriminator.{l}.hidden.bias"])
        return linear(params, f"discriminator.{l}.output", hidden)[:, 0]

    losses = []
    for l, s in distinct.items():
        positive = discriminator(l, e_aw, s)
        negative = discriminator(l, e_aw[shuffle], s)
        losses.append((softplus(-positive) + softplus(negative)).mean())
    return {"mean": sum(losses) / len(losses), "sum": sum(losses), "last": losses[-1]}[case["mir_reduce"]]


def outputs(case, params, batch, shuffle):
    """logits, loss, bce and, with MIR, mi."""
    if case["model"] == "dnn":
        logits, mi = dnn(case, params, batch), None
    else:
        logits, e_aw, distinct = mi_dpg(case, params, batch)
        mi = mutual_information(case, params, e_aw, distinct, shuffle) if case["mir"] else None
    bce = (softplus(logits) - batch["labels"] * logits).mean()
    if mi is None:
        return {"logits": logits, "loss": bce, "bce": bce}
    return {"logits": logits, "loss": bce + case["lambda"] * mi, "bce": bce, "mi": mi}


def gradients(case, params, batch, shuffle):
    leaves = {name: p.clone().requires_grad_(True) for name, p in params.items()}
    out = outputs(case, leaves, batch, shuffle)
    grads = torch.autograd.grad(out["loss"], list(leaves.values()), allow_unused=True)
    grads = {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(leaves.items(), grads)}
    return {name: t.detach() for name, t in out.items()}, grads


# -------------------------------------------------------------------------------------------------------------- Adam


def adam(case, params, batches, shuffles):
    """The loss before each of ten updates, and the parameters after them."""
    w = {name: p.clone() for name, p in params.items()}
    m = {name: torch.zeros_like(p) for name, p in params.items()}
    v = {name: torch.zeros_like(p) for name, p in params.items()}
    losses = []
    for t in range(1, STEPS + 1):
        batch = batches[t - 1]
        out, grads = gradients(case, w, batch, shuffles[t - 1])
        losses.append(out["loss"])
        rate = case["lr"] * math.sqrt(1 - BETA2**t) / (1 - BETA1**t)
        for name, g in grads.items():
            if name.startswith("embedding."):
                present = torch.unique(batch["ids"][:, int(name.removeprefix("embedding.f"))])
                g[present] += case["embedding_l2"] * w[name][present]
                rows = present if case["embedding_adam"] == "lazy" else torch.arange(len(g))
            else:
                g = g + case["weight_decay"] * w[name]
                rows = torch.arange(len(g))
            m[name][rows] = BETA1 * m[name][rows] + (1 - BETA1) * g[rows]
            v[name][rows] = BETA2 * v[name][rows] + (1 - BETA2) * g[rows] ** 2
            w[name][rows] -= rate * m[name][rows] / (v[name][rows].sqrt() + EPSILON)
    return torch.stack(losses), w


# ------------------------------------------------------------------------------------------------------------- checks


def close(a, b, tolerance=1e-12):
    return torch.allclose(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def check_psi():
    """psi against the index formulas of models.md, element by element."""
    s = torch.arange(2 * 3 * 2.0).reshape(2, 3, 2)
    d_m, d_n = 12, 8
    for repeat in ("interleave", "tile"):
        whole = psi(s, d_m, d_n, repeat)
        for m in range(d_m):
            for n in range(d_n):
                r, c = (m // (d_m // 3), n // (d_n // 2)) if repeat == "interleave" else (m % 3, n % 2)
                assert torch.equal(whole[:, m, n], s[:, r, c])


def check_finite_differences(case, params, batch, shuffle, grads, rng):
    """Three entries of every parameter: central differences against autograd."""
    for name, p in params.items():
        candidates = torch.nonzero(grads[name].flatten())[:, 0].tolist() or list(range(p.numel()))
        for i in rng.choice(candidates, min(3, len(candidates)), replace=False):
            ends = []
            for step in (1e-5, -1e-5):
                moved = dict(params)
                moved[name] = p.clone()
                moved[name].view(-1)[i] += step
                ends.append(outputs(case, moved, batch, shuffle)["loss"].item())
            difference, exact = (ends[0] - ends[1]) / 2e-5, grads[name].flatten()[i].item()
            assert abs(difference - exact) < 1e-9 + 1e-6 * abs(exact), (name, i, difference, exact)


def check_adam(case, params, batches, shuffles, trained):
    """The same ten steps by torch.optim.Adam, whose epsilon is scaled each step to mean ours.

    torch's Adam is dense, but where one batch repeats, the rows in it move alike; changing batches must tell the two apart.
    """
    if case["batches"] == "changing":
        other = {"lazy": "dense", "dense": "lazy"}[case["embedding_adam"]]
        apart = adam(dict(case, embedding_adam=other), params, batches, shuffles)[1]
        assert not close(apart["embedding.f4"], trained["embedding.f4"], 1e-4)
        if case["embedding_adam"] == "lazy":
            return
    leaves = {name: p.clone().requires_grad_(True) for name, p in params.items()}
    tables = [p for name, p in leaves.items() if name.startswith("embedding.")]
    dense = [p for name, p in leaves.items() if not name.startswith("embedding.")]
    groups = [
        {"params": tables, "weight_decay": case["embedding_l2"]},
        {"params": dense, "weight_decay": case["weight_decay"]},
    ]
    optimiser = torch.optim.Adam(groups, lr=case["lr"], betas=(BETA1, BETA2))
    for t in range(1, STEPS + 1):
        for group in optimiser.param_groups:
            group["eps"] = EPSILON / math.sqrt(1 - BETA2**t)
        optimiser.zero_grad(set_to_none=False)
        outputs(case, leaves, batches[t - 1], shuffles[t - 1])["loss"].backward()
        optimiser.step()
    for name, p in leaves.items():
        rows = torch.arange(len(p))
        if name.startswith("embedding.") and case["embedding_l2"]:
            rows = torch.unique(batches[0]["ids"][:, int(name.removeprefix("embedding.f"))])
        assert close(p.detach()[rows], trained[name][rows], 1e-9), name


def check_scalar(case, params, batch, logits):
    """The first sample's logit again, by loops over single weights."""
    if case["model"] == "dnn":
        return
    one = {name: t[:1] for name, t in batch.items()}
    e_aw, e_ag = embed(case, params, one)
    h = torch.cat([e_aw, e_ag], dim=1)
    for l, (d_n, d_m) in enumerate(layer_sizes(case)):
        w, b = params[f"backbone.{l}.weight"], params[f"backbone.{l}.bias"]
        out = b.tolist()
        s = distinct_weights(case, params, l, e_aw, h)[0] if l in weighted_layers(case) else None
        for m in range(d_m):
            for n in range(d_n):
                weight = 1.0
                if s is not None:
                    row, column = (m, n) if case["row_axis"] == "output" else (n, m)
                    rows, columns = (d_m, d_n) if case["row_axis"] == "output" else (d_n, d_m)
                    d_r, d_c = s.shape
                    if case["repeat"] == "interleave":
                        row, column = row // (rows // d_r), column // (columns // d_c)
                    else:
                        row, column = row % d_r, column % d_c
                    weight = case["weight_scale"] * s[row, column].item()
                out[m] += weight * w[m, n].item() * h[0, n].item()
        h = torch.tensor([out])
        h = torch.relu(h) if l < len(case["hidden"]) else h
    assert close(h[0, 0], logits[0])


def visible(case, batches, grads):
    """Nothing is hidden: every tensor has gradient (but discriminators that `last` leaves out), ids repeat, rows are absent."""
    for name, g in grads.items():
        unused = name.startswith("discriminator.") and case["mir_reduce"] == "last"
        unused = unused and int(name.split(".")[1]) != weighted_layers(case)[-1]
        if unused != (not g.any()):
            return False
    present = [len(torch.unique(batches[0]["ids"][:, f])) for f in range(len(ROWS))]
    absent = sum(field["rows"] for field in fields_of(case)) - sum(present)
    return max(present) < BATCH and absent > 10 and 0 < batches[0]["labels"].sum() < BATCH


# -------------------------------------------------------------------------------------------------------------- a file


def build(name, options, seed):
    """The tensors and the JSON of one case, and how near a ReLU came to its kink."""
    case = dict(options, name=name, seed=seed)
    rng = np.random.default_rng([2023, seed])
    params = initial_parameters(case, rng)
    batches, shuffles = inputs_of(case, rng)

    PRE_ACTIVATION.clear()
    out, grads = gradients(case, params, batches[0], shuffles[0])
    losses, trained = adam(case, params, batches, shuffles)
    margin = min(PRE_ACTIVATION)
    assert losses[0] == out["loss"]

    tensors = {f"param.{n}": p for n, p in params.items()}
    tensors |= {"input.ids": batches[0]["ids"], "input.labels": batches[0]["labels"]}
    if case["numeric"]:
        tensors["input.values"] = batches[0]["values"]
    if case["batches"] == "changing":
        tensors["input.step_ids"] = torch.stack([b["ids"] for b in batches])
        tensors["input.step_labels"] = torch.stack([b["labels"] for b in batches])
    if case.get("mir"):
        tensors["input.shuffle"] = torch.stack(shuffles)
    tensors |= {f"output.{n}": t for n, t in out.items()}
    if name == "mi-dpg-c-gate":
        tensors["output.gated_logits"] = gated(case, params, batches[0])
        assert close(tensors["output.gated_logits"], out["logits"])
    tensors |= {f"grad.{n}": g for n, g in grads.items()}
    tensors["adam.losses"] = losses
    tensors |= {f"adam.param.{n}": p for n, p in trained.items()}

    case["fields"] = fields_of(case)
    case["relu_margin"] = margin
    return {n: t.contiguous().clone() for n, t in tensors.items()}, case, (params, batches, shuffles)


def check(case, tensors, state):
    """Every assertion that one case can be put to."""
    params, batches, shuffles = state
    grads = {n.removeprefix("grad."): t for n, t in tensors.items() if n.startswith("grad.")}
    trained = {n.removeprefix("adam.param."): t for n, t in tensors.items() if n.startswith("adam.param.")}
    check_scalar(case, params, batches[0], tensors["output.logits"])
    check_finite_differences(case, params, batches[0], shuffles[0], grads, np.random.default_rng(7))
    check_adam(case, params, batches, shuffles, trained)
    for f in range(len(ROWS)):
        seen = torch.unique(torch.cat([b["ids"][:, f] for b in batches]))
        moved = (trained[f"embedding.f{f}"] != params[f"embedding.f{f}"]).any(dim=1)
        assert set(torch.nonzero(moved)[:, 0].tolist()) == set(seen.tolist())


MARGIN = 2e-5  # no ReLU comes nearer to its kink than this in any of the ten steps: an f32 program takes the same side


def make(name):
    """The first seed whose ReLUs stay clear of the kink and that hides nothing."""
    for seed in range(1000):
        tensors, case, state = build(name, CASES[name], seed)
        grads = {n.removeprefix("grad."): t for n, t in tensors.items() if n.startswith("grad.")}
        if case["relu_margin"] >= MARGIN and visible(case, state[1], grads):
            return tensors, case, state
    raise SystemExit(f"{name}: no seed does")


def main():
    parser = argparse.ArgumentParser(description="golden values of dnn and mi-dpg")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases to make (all)")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    args = parser.parse_args()
    check_psi()
    for name in args.names or CASES:
        tensors, case, state = make(name)
        check(case, tensors, state)
        path = HERE / f"{name}.safetensors"
        if args.check:
            compare(path, tensors)
        else:
            save_file(tensors, path, metadata={"case": json.dumps(case)})
        print(f"{name:18} seed {case['seed']:3}  margin {case['relu_margin']:.1e}  {path.stat().st_size / 1024:6.1f} KiB")


def compare(path, tensors):
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(tensors), path
        for name, t in tensors.items():
            assert close(file.get_tensor(name), t, 1e-9), (path, name)


if __name__ == "__main__":
    main()
