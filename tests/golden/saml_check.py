"""`saml` again on Python numbers, sample by sample, and what its stop-gradients must leave at exactly zero."""

import math

import numpy as np
import torch

import saml
from common import (
    ROWS,
    SEQUENCE,
    close,
    scalar_block,
    scalar_cosine,
    scalar_linear,
    scalar_plain,
    scalar_sigmoid,
    scalar_softmax,
    softplus,
    subset,
)
from saml import has_auxiliary, mutual
from training import gradients


def check(case, params, batch, out):
    check_hash()
    check_scalar(case, params, batch, out)
    check_branches(case, params, batch)


def check_hash():
    """The hash against numpy's 32-bit arithmetic, which wraps by itself."""
    v = np.arange(1000, dtype=np.uint32)
    state = v * np.uint32(747796405) + np.uint32(2891336453)
    word = ((state >> ((state >> np.uint32(28)) + np.uint32(4))) ^ state) * np.uint32(277803737)
    assert ((word >> np.uint32(22)) ^ word).tolist() == [saml.pcg(i) for i in range(1000)]


def scalar_attention(case, params, space, e, values):
    """The attention of one history: positions one by one, head by head."""
    if not e:
        return [0.0] * case["width"]

    def project(part, x):
        weight = params[f"attention.{space}.{part}.weight"].tolist()
        return scalar_linear(weight, [0.0] * len(weight), x, False)

    q, k = [project("query", x) for x in e], [project("key", x) for x in e]
    v = [project("value", x) for x in values]
    heads = case["heads"]
    d_k, d_v = len(q[0]) // heads, len(v[0]) // heads
    total = [0.0] * len(v[0])
    for t in range(len(e)):
        joined = [0.0] * len(v[0])
        for h in range(heads):
            scores = [sum(q[t][d] * k[u][d] for d in range(h * d_k, (h + 1) * d_k)) / math.sqrt(d_k) for u in range(len(e))]
            for u, p in enumerate(scalar_softmax(scores)):
                for d in range(h * d_v, (h + 1) * d_v):
                    joined[d] += p * v[u][d]
        total = [a + b / len(e) for a, b in zip(total, project("output", joined))]
    return total


def scalar_features(case, params, batch, b):
    """x_g and x_l of sample b."""
    s = batch["scenarios"][b].item()

    def rows(f, identities):
        specific = [saml.specific_row(case, f, s, i) for i in identities]
        return params[f"global.f{f}"][identities].tolist(), params[f"specific.f{f}"][specific].tolist()

    x_g, x_l = [], []
    for f in range(len(ROWS)):
        e_g, e_l = rows(f, [batch["ids"][b, f].item()])
        x_g += e_g[0]
        x_l += e_l[0]
    if case["sequence"]:
        e_g, e_l = rows(SEQUENCE, batch["histories"][b].tolist())
        x_g += scalar_attention(case, params, "global", e_g, e_g)
        x_l += scalar_attention(case, params, "specific", e_l, e_g)
    return x_g, x_l


def scalar_mutual_unit(case, params, l, v):
    """M_i of every branch."""
    count, results = len(v), []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        weight, bias = scalar_block(params, f"gate.{l}", i, 1)
        g = scalar_sigmoid(scalar_linear(weight, bias, v[i], False)[0])
        q = [scalar_cosine(v[i], v[j]) for j in others]
        if case["alpha"] == "paper":
            total = sum(q)
            if abs(total) < 1e-6:
                total = -1e-6 if total < 0 else 1e-6
            q = [c / total for c in q]
        m = list(v[i])
        for a, j in zip(scalar_softmax(q), others):
            m = [x + g * a * y for x, y in zip(m, v[j])]
        results.append(m)
    return results


def check_scalar(case, params, batch, out):
    """Every logit, and the auxiliary loss."""
    hidden, count, last = case["hidden"], case["scenarios"], len(case["hidden"])
    losses = []
    for b, s in enumerate(batch["scenarios"].tolist()):
        x_g, x_l = scalar_features(case, params, batch, b)
        if case["without"] == "gate-and-mutual":
            x = x_g + x_l
            for l in range(last + 1):
                x = scalar_plain(params, f"mlp.{l}", x, l < last)
            assert close(x[0], out["logits"][b]), b
            continue
        v_a, m = x_g, [x_l if has_auxiliary(case) else x_g + x_l] * count
        for l in range(last):
            if has_auxiliary(case):
                v_a = scalar_plain(params, f"auxiliary.{l}", v_a, True)
                m = [x + v_a for x in m]
            m = [scalar_linear(*scalar_block(params, f"branch.{l}", i, hidden[l]), x, True) for i, x in enumerate(m)]
            if mutual(case):
                m = scalar_mutual_unit(case, params, l, m)
        logit = scalar_linear(*scalar_block(params, f"branch.{last}", s, 1), m[s], False)[0]
        assert close(logit, out["logits"][b]), b
        if has_auxiliary(case):
            z = torch.tensor(scalar_plain(params, f"auxiliary.{last}", v_a, False)[0])
            losses.append((softplus(z) - batch["labels"][b] * z).item())
    if losses:
        assert close(sum(losses) / len(losses), out["auxiliary"])
        assert close(out["bce"] + out["auxiliary"], out["loss"])


def check_branches(case, params, batch):
    """A scenario's samples leave the other branches' gradients exactly 0; their loss moves the auxiliary net only unstopped."""
    count = case["scenarios"]
    for s in range(count):
        rows = torch.nonzero(batch["scenarios"] == s)[:, 0]
        grads = gradients(case, params, subset(batch, rows))[1]
        for name, g in grads.items():
            if saml.per_scenario(name):
                touched = g.reshape(count, -1).any(dim=1)
                assert touched.tolist() == [i == s for i in range(count)], (name, s)
            if name.startswith("specific.") and case["specific"] == "per-scenario":
                assert not g.reshape(count, -1)[[i for i in range(count) if i != s]].any(), (name, s)
    if has_auxiliary(case):
        target = gradients(case, params, batch, of="bce")[1]
        reached = any(g.any() for name, g in target.items() if name.startswith("auxiliary."))
        assert reached == (not case["stop_aux"])
