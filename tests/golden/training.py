"""Gradients by autograd, and Adam with lazy or dense rows of the embedding tables."""

import math

import torch

import behaviours
import conditioned
import experts
import interactions
import mi_dpg
import optmsm
import saml
import star
from common import BETA1, BETA2, EPSILON, STEPS, WATCH, Watch

MODELS = {"dnn": mi_dpg, "mi-dpg": mi_dpg, "optmsm": optmsm, "saml": saml, "star": star}
MODELS |= dict.fromkeys(["shared-bottom", "mmoe", "hmoe", "ple"], experts)
MODELS |= dict.fromkeys(["pepnet", "adasparse", "apg"], conditioned)
MODELS |= dict.fromkeys(["wide-deep", "deepfm", "dcn", "dcn-v2"], interactions)
MODELS |= dict.fromkeys(["din", "bst"], behaviours)
CASES = mi_dpg.CASES | optmsm.CASES | saml.CASES
CASES |= experts.CASES | star.CASES | conditioned.CASES | interactions.CASES | behaviours.CASES


def model_of(case):
    return MODELS[case["model"]]


def watched(case):
    """Whether no entry of a gradient may be rounding alone; the cases of mi_dpg.py, the first ones, are not chosen so."""
    return model_of(case) is not mi_dpg


def initial_state(case):
    """What the model carries from step to step without training it, where there is such."""
    model = model_of(case)
    return model.initial_state(case) if hasattr(model, "initial_state") else {}


def next_state(case, state, params, batch):
    """The state after a training step with these parameters, before they are updated."""
    return model_of(case).next_state(case, state, params, batch) if state else state


def gradients(case, params, batch, of="loss"):
    leaves = {name: p.clone().requires_grad_(True) for name, p in params.items()}
    out = model_of(case).outputs(case, leaves, batch)
    grads = torch.autograd.grad(out[of], list(leaves.values()), allow_unused=True)
    grads = {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(leaves.items(), grads)}
    if watched(case):
        Watch.add(WATCH.gradient, torch.cat([g.flatten() for g in grads.values()]))
    return {name: t.detach() for name, t in out.items()}, grads


def adam(case, params, batches):
    """The loss before each of ten updates, and the parameters and the state after them."""
    w = {name: p.clone() for name, p in params.items()}
    m = {name: torch.zeros_like(p) for name, p in params.items()}
    v = {name: torch.zeros_like(p) for name, p in params.items()}
    state, losses = initial_state(case), []
    for t in range(1, STEPS + 1):
        batch = batches[t - 1] | {"state": state}
        out, grads = gradients(case, w, batch)
        losses.append(out["loss"])
        state = next_state(case, state, w, batch)
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
    return torch.stack(losses), w, state
