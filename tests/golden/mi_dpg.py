"""`dnn` and `mi-dpg`: the whole B x d_m x d_n weighting matrix is built, nothing is factorised."""

import math

import torch

from common import (
    AWARE,
    COMMON,
    ROWS,
    close,
    cross_entropy,
    embed_fields,
    fields_of,
    grown,
    linear,
    lookups_of_fields,
    relu,
    softplus,
    stop,
    subset,
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
    mir_input="aware",
    mir_stop=False,
    mir_warmup=0,
    aux_hidden=32,
    discriminator_hidden=32,
)
MI_DPG["lambda"] = 1.0

CASES = {
    "dnn": DNN,
    "dnn-l2": dict(DNN, weight_decay=0.01, embedding_l2=0.02),
    "dnn-numeric": dict(DNN, numeric=True),
    "dnn-tags": dict(DNN, tags=True),
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
    # As it is by default in polyscene: λ grows; T is told the scenario alone, which is the first field.
    "mi-dpg-r-warmup": dict(MI_DPG, mir_warmup=4),
    "mi-dpg-r-scenario": dict(MI_DPG, weight_scale=2.0, mir_input="scenario"),
    "mi-dpg-rc-stop": dict(MI_DPG, decomposition="rc", mir_stop=True),
    "dpg-r": dict(MI_DPG, mir=False),
    "mi-dpg-r-input": dict(MI_DPG, row_axis="input"),
    "mi-dpg-c-gate": dict(MI_DPG, decomposition="c", row_div=12, col_div=1, mir=False),
}


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


def told_fields(case):
    """How many fields T is told: all aware ones, or the first, which is the scenario."""
    return {"aware": AWARE, "scenario": 1}[case["mir_input"]]


def initial_parameters(case, initial):
    normal, kernel, linear = initial.normal, initial.kernel, initial.linear
    width = case["width"]
    for f, field in enumerate(fields_of(case)):
        normal(f"embedding.f{f}", (field["rows"], width), 0.3)
    sizes = layer_sizes(case)
    if case["model"] == "dnn":
        for l, (d_n, d_m) in enumerate(sizes):
            linear(f"mlp.{l}", d_m, d_n)
        return

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
            kernel(f"discriminator.{l}.aware.weight", hidden, told_fields(case) * width)
            kernel(f"discriminator.{l}.weighting.weight", hidden, d_r * d_c)
            normal(f"discriminator.{l}.hidden.bias", (hidden,), 0.2)
            linear(f"discriminator.{l}.output", 1, hidden)


def embed(case, params, batch):
    """e_aw [B, A D], e_ag [B, ...]: fields in schema order."""
    embedded = embed_fields(case, params, batch)
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
    told = e_aw[:, : told_fields(case) * case["width"]]
    told = stop(told) if case["mir_stop"] else told

    def discriminator(l, e, s):
        a = e @ params[f"discriminator.{l}.aware.weight"].T
        b = s.flatten(1) @ params[f"discriminator.{l}.weighting.weight"].T
        hidden = relu(a + b + params[f"discriminator.{l}.hidden.bias"])
        return linear(params, f"discriminator.{l}.output", hidden)[:, 0]

    losses = []
    for l, s in distinct.items():
        positive = discriminator(l, told, s)
        negative = discriminator(l, told[shuffle], s)
        losses.append((softplus(-positive) + softplus(negative)).mean())
    return {"mean": sum(losses) / len(losses), "sum": sum(losses), "last": losses[-1]}[case["mir_reduce"]]


def outputs(case, params, batch):
    """logits, loss, bce and, with MIR, mi."""
    if case["model"] == "dnn":
        logits, mi = dnn(case, params, batch), None
    else:
        logits, e_aw, distinct = mi_dpg(case, params, batch)
        mi = mutual_information(case, params, e_aw, distinct, batch["shuffle"]) if case["mir"] else None
    bce = cross_entropy(logits, batch["labels"])
    if mi is None:
        return {"logits": logits, "loss": bce, "bce": bce}
    return {"logits": logits, "loss": bce + grown(case["lambda"], case["mir_warmup"], batch) * mi, "bce": bce, "mi": mi}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    return lookups_of_fields(batch)


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario."""
    return False


def unused(case, name):
    """Whether a parameter has no gradient by definition: the discriminators that `last` leaves out."""
    if not name.startswith("discriminator.") or case["mir_reduce"] != "last":
        return False
    return int(name.split(".")[1]) != weighted_layers(case)[-1]


def telling(case, params, batch):
    """Whether the batch shows what the case is about."""
    return True


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur."""
    return False


def further_tensors(case, params, batch):
    if case["name"] != "mi-dpg-c-gate":
        return {}
    return {"output.gated_logits": gated(case, params, batch)}


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


def check(case, params, batch, results):
    """The first sample's logit again, by loops over single weights; what the gate's formula gives."""
    check_psi()
    for t in further_tensors(case, params, batch).values():
        assert close(t, results["logits"])
    if case["model"] == "dnn":
        return
    one = subset(batch, torch.tensor([0]))
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
    assert close(h[0, 0], results["logits"][0])
