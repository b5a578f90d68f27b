"""What every case is put to: central differences, torch's own Adam, the rows that moved."""

import math

import torch

import experts
import saml
import saml_check
import star
from common import BATCH, BETA1, BETA2, EPSILON, STEPS, STOPS, close, samples_of_scenarios, subset
from training import adam, gradients, initial_state, model_of, next_state, watched


def check_model(case, params, batch, out):
    """The outputs again by scalars, and what else the model promises."""
    model = model_of(case)
    (saml_check if model is saml else model).check(case, params, batch, out)
    if model in (experts, star):
        check_parts(case, params, batch)


def check_parts(case, params, batch):
    """A scenario's samples leave the gradients of the other scenarios' parts exactly 0."""
    for s in range(case["scenarios"]):
        rows = torch.nonzero(batch["scenarios"] == s)[:, 0]
        for name, g in gradients(case, params, subset(batch, rows))[1].items():
            if model_of(case).per_scenario(name):
                touched = g.reshape(case["scenarios"], -1).any(dim=1)
                assert touched.tolist() == [i == s for i in range(case["scenarios"])], (name, s)


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


def check_adam(case, params, batches, trained, state):
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
    reached = initial_state(case)
    for t in range(1, STEPS + 1):
        batch = batches[t - 1] | {"state": reached}
        for group in optimiser.param_groups:
            group["eps"] = EPSILON / math.sqrt(1 - BETA2**t)
        optimiser.zero_grad(set_to_none=False)
        model_of(case).outputs(case, leaves, batch)["loss"].backward()
        reached = next_state(case, reached, leaves, batch)
        optimiser.step()
    for name, p in leaves.items():
        rows = torch.arange(len(p))
        if name in read and case["embedding_l2"]:
            rows = torch.unique(read[name])
        assert close(p.detach()[rows], trained[name][rows], 1e-9), name
    assert all(close(reached[name], t, 1e-9) for name, t in state.items())


def check_rows(case, params, batches, trained, grads):
    """Exactly the rows seen in a batch moved; where all units are at 0, a row may stay for want of gradient."""
    reads = [model_of(case).lookups(case, batch) for batch in batches]
    for name in reads[0]:
        seen = set(torch.cat([read[name] for read in reads]).tolist())
        moved = set(torch.nonzero((trained[name] != params[name]).any(dim=1))[:, 0].tolist())
        left = list(seen - moved)
        assert moved <= seen, name
        assert not left or watched(case) and not grads[name][left].any(), name


def varied(case, params, batch):
    """Whether the batch shows what it should: ids repeat, rows are absent, scenarios are all there and in disorder."""
    read = model_of(case).lookups(case, batch)
    present = {name: len(torch.unique(rows)) for name, rows in read.items()}
    absent = sum(len(params[name]) - count for name, count in present.items())
    if "scenarios" in case:
        order, counts = batch["scenarios"].tolist(), samples_of_scenarios(case, batch)
        if counts.min() == 0 or (case["scenarios"] > 1 and order == sorted(order)):
            return False
    repeated = all(count < len(read[name]) for name, count in present.items())
    return repeated and absent > 10 and 0 < batch["labels"].sum() < BATCH and model_of(case).telling(case, params, batch)


def visible(case, batch, out, grads):
    """Nothing is hidden: every tensor has gradient, in each scenario's part; so have most rows that are read."""
    model = model_of(case)
    for name, g in grads.items():
        if model.unused(case, name) != (not g.any()):
            return False
        if model.per_scenario(name) and not g.reshape(case["scenarios"], -1).any(dim=1).all():
            return False
    if not watched(case):
        return True
    if len(torch.unique(out["logits"])) < BATCH:
        return False  # a bias alone
    rows = torch.cat([grads[name][torch.unique(read)].norm(dim=1) for name, read in model.lookups(case, batch).items()])
    return (rows > 0).double().mean() > 0.75


def clear_of_edges(margins):
    """In any of the ten steps no ReLU comes nearer to its kink, no cosine, quotient or norm nearer to a division by 0.

    Nor does a unit of AdaSparse come nearer to its threshold, or a ratio to an end of its interval; nor has any entry a
    gradient that is nothing but rounding (a vector with one entry is at its cosine's maximum along it): Adam would make a
    step of it in f32.
    """
    least = dict(relu=2e-5, norm=1e-2, denominator=1e-2, deviation=5e-2, prune=1e-4, ratio=1e-4, gradient=1e-9)
    return all(margin >= least[name.removesuffix("_margin")] for name, margin in margins.items())
