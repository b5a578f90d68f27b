"""Gradients by autograd, and Adam with lazy or dense rows of the embedding tables."""

import math

import torch

import mi_dpg
import optmsm
import saml
from common import BETA1, BETA2, EPSILON, STEPS, WATCH, Watch

MODELS = {"dnn": mi_dpg, "mi-dpg": mi_dpg, "optmsm": optmsm, "saml": saml}
CASES = mi_dpg.CASES | optmsm.CASES | saml.CASES


def model_of(case):
    return MODELS[case["model"]]


def gradients(case, params, batch, of="loss"):
    leaves = {name: p.clone().requires_grad_(True) for name, p in params.items()}
    out = model_of(case).outputs(case, leaves, batch)
    grads = torch.autograd.grad(out[of], list(leaves.values()), allow_unused=True)
    grads = {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(leaves.items(), grads)}
    if "scenarios" in case:
        Watch.add(WATCH.gradient, torch.cat([g.flatten() for g in grads.values()]))
    return {name: t.detach() for name, t in out.items()}, grads


def adam(case, params, batches):
    """The loss before each of ten updates, and the parameters after them."""
    w = {name: p.clone() for name, p in params.items()}
    m = {name: torch.zeros_like(p) for name, p in params.items()}
    v = {name: torch.zeros_like(p) for name, p in params.items()}
    losses = []
    for t in range(1, STEPS + 1):
        batch = batches[t - 1]
        out, grads = gradients(case, w, batch)
        losses.append(out["loss"])
        rate = case["lr"] * math.sqrt(1 - BETA2**t) / (1 - BETA1**t)
        read = model_of(case).lookups(case, batch)
        for name, g in grads.items():
            if name in read:
                present = torch.unique(read[name])
                g[present] += case["embedding_l2"] * w[name][present]
                rows = present if case["embedding_adam"] == "lazy" else torch.arange(len(g))
            else:
                g = g + case["weight_decay"] * w[name]
                rows = torch.arange(len(g))
            m[name][rows] = BETA1 * m[name][rows] + (1 - BETA1) * g[rows]
            v[name][rows] = BETA2 * v[name][rows] + (1 - BETA2) * g[rows] ** 2
            w[name][rows] -= rate * m[name][rows] / (v[name][rows].sqrt() + EPSILON)
    return torch.stack(losses), w
