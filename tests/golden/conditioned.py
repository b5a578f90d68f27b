"""`pepnet`, `adasparse` and `apg`: every layer is changed for each sample by a small net's output."""

import torch

from common import (
    AWARE,
    COMMON,
    ROWS,
    STEPS,
    WATCH,
    aware_and_all,
    check_logits,
    close,
    cross_entropy,
    linear,
    lookups_of_fields,
    relu,
    scalar_aware_and_all,
    scalar_linear,
    scalar_plain,
    scalar_sigmoid,
    stop,
)

HIDDEN = dict(COMMON, hidden=[12, 8])
PEPNET = dict(HIDDEN, model="pepnet", gate_hidden=7)
ADASPARSE = dict(
    HIDDEN,
    model="adasparse",
    beta_prune=2.0,
    epsilon_prune=0.25,
    alpha=1.0,
    alpha_growth=1.2,
    alpha_max=3.0,
    r_min=0.15,
    r_max=0.25,
)
ADASPARSE["lambda"] = 0.7  # large, so that it shows
APG = dict(HIDDEN, model="apg", condition="group", auxiliary_hidden=7)

CASES = {
    "pepnet": PEPNET,
    "adasparse": ADASPARSE,
    "apg": APG,
    "apg-self": dict(APG, condition="self"),
    "apg-mix": dict(APG, condition="mix"),
}


def layer_sizes(case):
    """(inputs, outputs) of every layer; the last is the logit."""
    widths = [len(ROWS) * case["width"]] + case["hidden"] + [1]
    return list(zip(widths[:-1], widths[1:]))


def rank(d_in, d_out):
    """k of APG."""
    return max(1, min(d_in, d_out) // 4)


def initial_gate(case, initial, name, d_in, d_out):
    initial.linear(f"{name}.0", case["gate_hidden"], d_in)
    initial.linear(f"{name}.1", d_out, case["gate_hidden"])


def initial_parameters(case, initial):
    aware, d_0, last = AWARE * case["width"], len(ROWS) * case["width"], len(case["hidden"])
    initial.tables("embedding", case, case["width"])
    if case["model"] == "pepnet":
        initial_gate(case, initial, "epnet", aware + d_0, d_0)
    for l, (d_in, d_out) in enumerate(layer_sizes(case)):
        if case["model"] == "apg" and l < last:
            k, condition = rank(d_in, d_out), {"group": aware, "self": d_in, "mix": aware + d_in}[case["condition"]]
            initial.kernel(f"apg.{l}.v.weight", k, d_in)
            initial.linear(f"apg.{l}.generator.0", case["auxiliary_hidden"], condition)
            initial.linear(f"apg.{l}.generator.1", k * k, case["auxiliary_hidden"])
            initial.linear(f"apg.{l}.u", d_out, k)
            continue
        if case["model"] == "pepnet":
            initial_gate(case, initial, f"ppnet.{l}", aware + d_0, d_in)
        if case["model"] == "adasparse":
            initial.linear(f"pruner.{l}", d_in, aware + d_in, deviation=0.8, mean=-0.5)  # some units start pruned
        initial.linear(f"apg.{l}" if case["model"] == "apg" else f"mlp.{l}", d_out, d_in)


def initial_state(case):
    """AdaSparse's α, which grows as it trains."""
    return {"anneal.alpha": torch.tensor([[case["alpha"]]])} if case["model"] == "adasparse" else {}


# ------------------------------------------------------------------------------------------------------------ the model


def gate(params, name, u):
    """GateNU: between 0 and 2."""
    return 2 * torch.sigmoid(linear(params, f"{name}.1", relu(linear(params, f"{name}.0", u))))


def pepnet(case, params, e_aw, x):
    o = x * gate(params, "epnet", torch.cat([e_aw, stop(x)], dim=1))
    seen = torch.cat([e_aw, stop(o)], dim=1)
    h = o
    for l, (_, d_out) in enumerate(layer_sizes(case)):
        h = linear(params, f"mlp.{l}", h * gate(params, f"ppnet.{l}", seen))
        h = relu(h) if d_out > 1 else h
    return h[:, 0]


def adasparse(case, params, e_aw, x, alpha):
    """Logits [B], and π [B, inputs] of every layer."""
    h, factors = x, []
    for l, (_, d_out) in enumerate(layer_sizes(case)):
        v = linear(params, f"pruner.{l}", torch.cat([e_aw, h], dim=1))
        pi = case["beta_prune"] * torch.sigmoid(alpha * v)
        WATCH.prune.append((pi.detach() - case["epsilon_prune"]).abs().min().item())
        pi = torch.where(pi <= case["epsilon_prune"], torch.zeros_like(pi), pi)
        factors.append(pi)
        h = linear(params, f"mlp.{l}", pi * h)
        h = relu(h) if d_out > 1 else h
    return h[:, 0], factors


def pruned_ratios(factors):
    """r [B, layers]."""
    return torch.stack([1 - pi.mean(dim=1) for pi in factors], dim=1)


def sparsity(case, factors):
    """The penalty of ratios outside the interval, mean over samples and layers."""
    r = pruned_ratios(factors)
    for end in (case["r_min"], case["r_max"]):
        WATCH.ratio.append((r.detach() - end).abs().min().item())
    inside = (r >= case["r_min"]) & (r <= case["r_max"])
    middle = (case["r_min"] + case["r_max"]) / 2
    return torch.where(inside, torch.zeros_like(r), (r - middle).square()).mean()


def apg(case, params, e_aw, x):
    h, last = x, len(case["hidden"])
    for l in range(last):
        z = {"group": e_aw, "self": h, "mix": torch.cat([e_aw, h], dim=1)}[case["condition"]]
        k = len(params[f"apg.{l}.v.weight"])
        generated = linear(params, f"apg.{l}.generator.1", relu(linear(params, f"apg.{l}.generator.0", z)))
        s = torch.eye(k) + generated.reshape(-1, k, k)
        low = h @ params[f"apg.{l}.v.weight"].T
        h = relu(linear(params, f"apg.{l}.u", torch.matmul(s, low[:, :, None])[:, :, 0]))
    return linear(params, f"apg.{last}", h)[:, 0]


def outputs(case, params, batch):
    """logits, loss, bce and, of AdaSparse, sparsity."""
    e_aw, x = aware_and_all(case, params, batch)
    if case["model"] == "adasparse":
        logits, factors = adasparse(case, params, e_aw, x, batch["state"]["anneal.alpha"])
        bce, term = cross_entropy(logits, batch["labels"]), sparsity(case, factors)
        return {"logits": logits, "loss": bce + case["lambda"] * term, "bce": bce, "sparsity": term}
    logits = {"pepnet": pepnet, "apg": apg}[case["model"]](case, params, e_aw, x)
    bce = cross_entropy(logits, batch["labels"])
    return {"logits": logits, "loss": bce, "bce": bce}


def evaluation_logits(case, params, batch):
    """AdaSparse, with the α that training reached."""
    return adasparse(case, params, *aware_and_all(case, params, batch), batch["state"]["anneal.alpha"])[0]


def next_state(case, state, params, batch):
    return {"anneal.alpha": (state["anneal.alpha"] * case["alpha_growth"]).clamp(max=case["alpha_max"])}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    return lookups_of_fields(batch)


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario."""
    return False


def unused(case, name):
    """Whether a parameter has no gradient by definition."""
    return False


def telling(case, params, batch):
    """Whether the batch shows what the case is about: every layer prunes, ratios lie below, above and in each layer inside."""
    if case["model"] != "adasparse":
        return True
    _, factors = adasparse(case, params, *aware_and_all(case, params, batch), batch["state"]["anneal.alpha"])
    r = pruned_ratios(factors)
    below, above = r < case["r_min"], r > case["r_max"]
    inside = ~below & ~above
    pruned = min((pi == 0).double().mean() for pi in factors)
    return pruned > 0.05 and below.sum() >= 3 and above.sum() >= 3 and inside.any(dim=0).all()


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur."""
    return False


def further_tensors(case, params, batch):
    return {}


# ------------------------------------------------------------------------------------------------------------ its check


def scalar_gated(params, name, u, h):
    """h, each entry times its gate."""
    g = scalar_plain(params, f"{name}.1", scalar_plain(params, f"{name}.0", u, True), False)
    return [2 * scalar_sigmoid(a) * v for a, v in zip(g, h, strict=True)]


def scalar_pepnet(case, params, e_aw, x):
    o = scalar_gated(params, "epnet", e_aw + x, x)
    h = o
    for l, (_, d_out) in enumerate(layer_sizes(case)):
        h = scalar_plain(params, f"mlp.{l}", scalar_gated(params, f"ppnet.{l}", e_aw + o, h), d_out > 1)
    return h[0]


def scalar_adasparse(case, params, e_aw, x, alpha):
    """The logit of one sample, and the sum of its layers' penalties."""
    h, penalty = x, 0.0
    for l, (_, d_out) in enumerate(layer_sizes(case)):
        pi = [case["beta_prune"] * scalar_sigmoid(alpha * v) for v in scalar_plain(params, f"pruner.{l}", e_aw + h, False)]
        pi = [p if p > case["epsilon_prune"] else 0.0 for p in pi]
        r = 1 - sum(pi) / len(pi)
        if not case["r_min"] <= r <= case["r_max"]:
            penalty += (r - (case["r_min"] + case["r_max"]) / 2) ** 2
        h = scalar_plain(params, f"mlp.{l}", [p * v for p, v in zip(pi, h, strict=True)], d_out > 1)
    return h[0], penalty


def scalar_apg(case, params, e_aw, x):
    h, last = x, len(case["hidden"])
    for l in range(last):
        z = {"group": e_aw, "self": h, "mix": e_aw + h}[case["condition"]]
        generated = scalar_plain(params, f"apg.{l}.generator.0", z, True)
        generated = scalar_plain(params, f"apg.{l}.generator.1", generated, False)
        v = params[f"apg.{l}.v.weight"].tolist()
        k = len(v)
        low = scalar_linear(v, [0.0] * k, h, False)
        mixed = [low[i] + sum(generated[i * k + j] * low[j] for j in range(k)) for i in range(k)]
        h = scalar_plain(params, f"apg.{l}.u", mixed, True)
    return scalar_plain(params, f"apg.{last}", h, False)[0]


def check(case, params, batch, out):
    """Every logit and the penalty again, on Python numbers, sample by sample."""
    samples = [scalar_aware_and_all(case, params, batch, b) for b in range(len(batch["labels"]))]
    if case["model"] == "adasparse":
        check_annealing(case, params, batch)
        alpha = batch["state"]["anneal.alpha"].item()
        logits, penalties = zip(*(scalar_adasparse(case, params, *sample, alpha) for sample in samples))
        check_logits(batch, out, logits)
        assert close(sum(penalties) / (len(penalties) * len(layer_sizes(case))), out["sparsity"])
    else:
        one = {"pepnet": scalar_pepnet, "apg": scalar_apg}[case["model"]]
        check_logits(batch, out, [one(case, params, *sample) for sample in samples])


def check_annealing(case, params, batch):
    """α after every step, by its power."""
    state = initial_state(case)
    for t in range(1, STEPS + 1):
        state = next_state(case, state, params, batch)
        assert close(state["anneal.alpha"], min(case["alpha"] * case["alpha_growth"] ** t, case["alpha_max"])), t


def check_evaluation(case, params, batch, logits):
    """Every logit of the evaluation again, on Python numbers, with the largest α: ten steps reach it."""
    assert batch["state"]["anneal.alpha"].item() == case["alpha_max"]
    for b, z in enumerate(logits):
        sample = scalar_aware_and_all(case, params, batch, b)
        assert close(scalar_adasparse(case, params, *sample, case["alpha_max"])[0], z), b
