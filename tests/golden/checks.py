"""What every case is put to: central differences, torch's own Adam, the rows that moved."""

import math

import torch

import mi_dpg
import optmsm
import saml_check
from common import BATCH, BETA1, BETA2, EPSILON, STEPS, STOPS, close
from training import adam, model_of

CHECKS = {"dnn": mi_dpg.check, "mi-dpg": mi_dpg.check, "optmsm": optmsm.check, "saml": saml_check.check}


def check_model(case, params, batch, out):
    """The outputs again by scalars, and what else the model promises."""
    CHECKS[case["model"]](case, params, batch, out)


def check_finite_differences(case, params, batch, grads, rng):
    """Three entries of every parameter: central differences against autograd; what is stopped stands still."""
    outputs = model_of(case).outputs
    STOPS.record()
    outputs(case, params, batch)
    for name, p in params.items():
        candidates = torch.nonzero(grads[name].flatten())[:, 0].tolist() or list(range(p.numel()))
        for i in rng.choice(candidates, min(3, len(candidates)), replace=False):
            ends = []
            for step in (1e-5, -1e-5):
                moved = dict(params)
                moved[name] = p.clone()
                moved[name].view(-1)[i] += step
                STOPS.hold()
                ends.append(outputs(case, moved, batch)["loss"].item())
            difference, exact = (ends[0] - ends[1]) / 2e-5, grads[name].flatten()[i].item()
            assert abs(difference - exact) < 1e-9 + 1e-6 * abs(exact), (name, i, difference, exact)
    STOPS.record()


def check_adam(case, params, batches, trained):
    """The same ten steps by torch.optim.Adam, whose epsilon is scaled each step to mean ours.

    torch's Adam is dense, but where one batch repeats, the rows in it move alike; changing batches must tell the two apart.
    """
    if case["batches"] == "changing":
        other = {"lazy": "dense", "dense": "lazy"}[case["embedding_adam"]]
        apart = adam(dict(case, embedding_adam=other), params, batches)[1]
        assert not close(apart["embedding.f4"], trained["embedding.f4"], 1e-4)
        if case["embedding_adam"] == "lazy":
            return
    read = model_of(case).lookups(case, batches[0])
    leaves = {name: p.clone().requires_grad_(True) for name, p in params.items()}
    groups = [
        {"params": [p for name, p in leaves.items() if name in read], "weight_decay": case["embedding_l2"]},
        {"params": [p for name, p in leaves.items() if name not in read], "weight_decay": case["weight_decay"]},
    ]
    optimiser = torch.optim.Adam(groups, lr=case["lr"], betas=(BETA1, BETA2))
    for t in range(1, STEPS + 1):
        for group in optimiser.param_groups:
            group["eps"] = EPSILON / math.sqrt(1 - BETA2**t)
        optimiser.zero_grad(set_to_none=False)
        model_of(case).outputs(case, leaves, batches[t - 1])["loss"].backward()
        optimiser.step()
    for name, p in leaves.items():
        rows = torch.arange(len(p))
        if name in read and case["embedding_l2"]:
            rows = torch.unique(read[name])
        assert close(p.detach()[rows], trained[name][rows], 1e-9), name


def check_rows(case, params, batches, trained, grads):
    """Exactly the rows seen in a batch moved; where a scenario's units are all at 0, a row may stay for want of gradient."""
    reads = [model_of(case).lookups(case, batch) for batch in batches]
    for name in reads[0]:
        seen = set(torch.cat([read[name] for read in reads]).tolist())
        moved = set(torch.nonzero((trained[name] != params[name]).any(dim=1))[:, 0].tolist())
        left = list(seen - moved)
        assert moved <= seen, name
        assert not left or "scenarios" in case and not grads[name][left].any(), name


def varied(case, params, batch):
    """Whether the batch shows what it should: ids repeat, rows are absent, scenarios are all there and in disorder."""
    read = model_of(case).lookups(case, batch)
    present = {name: len(torch.unique(rows)) for name, rows in read.items()}
    absent = sum(len(params[name]) - count for name, count in present.items())
    if "scenarios" in case:
        order, counts = batch["scenarios"].tolist(), torch.bincount(batch["scenarios"], minlength=case["scenarios"])
        if counts.min() < 2 or (case["scenarios"] > 1 and order == sorted(order)):
            return False
    repeated = all(count < len(read[name]) for name, count in present.items())
    return repeated and absent > 10 and 0 < batch["labels"].sum() < BATCH and model_of(case).telling(case, batch)


def visible(case, batch, out, grads):
    """Nothing is hidden: every tensor has gradient, in each scenario's part; so have most rows that are read."""
    model = model_of(case)
    for name, g in grads.items():
        if model.unused(case, name) != (not g.any()):
            return False
        if model.per_scenario(name) and not g.reshape(case["scenarios"], -1).any(dim=1).all():
            return False
    if "scenarios" not in case:
        return True
    if len(torch.unique(out["logits"])) < BATCH:
        return False  # a bias alone
    rows = torch.cat([grads[name][torch.unique(read)].norm(dim=1) for name, read in model.lookups(case, batch).items()])
    return (rows > 0).double().mean() > 0.75


def clear_of_edges(margins):
    """In any of the ten steps no ReLU comes nearer to its kink, no cosine or quotient nearer to a division by 0.

    Nor has any entry a gradient that is nothing but rounding (a vector with one entry is at its cosine's maximum along it):
    Adam would make a step of it in f32.
    """
    least = {"relu_margin": 2e-5, "norm_margin": 1e-2, "denominator_margin": 1e-2, "gradient_margin": 1e-9}
    return all(margin >= least[name] for name, margin in margins.items())
