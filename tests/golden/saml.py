"""`saml`: every branch is computed for every sample; what must not send gradient passes through `stop`."""

import math

import torch

from common import (
    COMMON,
    ROWS,
    SEQUENCE,
    WATCH,
    Watch,
    block,
    cosine,
    cross_entropy,
    histories_vary,
    linear,
    own_linear,
    relu,
    samples_of_scenarios,
    stop,
)

SAML = dict(
    COMMON,
    model="saml",
    scenarios=3,
    width=8,
    specific_width=4,
    specific="per-scenario",
    specific_rows=20,  # read where `specific` is "hashed"
    heads=4,
    hidden=[10, 6],
    alpha="paper",
    stop_aux=True,
    without="none",
    sequence=False,
)

CASES = {
    "saml": SAML,
    "saml-sequence": dict(SAML, sequence=True),
    "saml-cosine": dict(SAML, alpha="cosine"),
    "saml-hashed": dict(SAML, specific="hashed"),
    "saml-no-stop": dict(SAML, stop_aux=False),
    "saml-no-gate": dict(SAML, without="gate"),
    "saml-no-auxiliary": dict(SAML, without="auxiliary"),
    "saml-no-gate-and-mutual": dict(SAML, without="gate-and-mutual"),
    "saml-sequence-no-auxiliary": dict(SAML, sequence=True, without="auxiliary"),
    "saml-one-scenario": dict(SAML, scenarios=1),
}


def feature_sizes(case):
    """The widths of x_g and x_l."""
    attended = case["width"] if case["sequence"] else 0
    return len(ROWS) * case["width"] + attended, len(ROWS) * case["specific_width"] + attended


def mutual(case):
    """Whether branches learn from one another."""
    return case["scenarios"] > 1 and case["without"] in ("none", "auxiliary")


def has_auxiliary(case):
    return case["without"] in ("none", "gate")


def pcg(v):
    """The hash of a 32-bit number, all arithmetic modulo 2^32."""
    state = (v * 747796405 + 2891336453) % 2**32
    word = (((state >> ((state >> 28) + 4)) ^ state) * 277803737) % 2**32
    return (word >> 22) ^ word


def specific_rows(case, f):
    """Rows of specific.f{f}."""
    whole = case["scenarios"] * ROWS[f]
    return min(whole, case["specific_rows"]) if case["specific"] == "hashed" else whole


def specific_row(case, f, scenario, identity):
    """The row of specific.f{f} that an id has in a scenario."""
    row = scenario * ROWS[f] + identity
    return row if specific_rows(case, f) == case["scenarios"] * ROWS[f] else pcg(row) % specific_rows(case, f)


def initial_parameters(case, initial):
    count, d_g, d_s = case["scenarios"], case["width"], case["specific_width"]
    for f, rows in enumerate(ROWS):
        initial.normal(f"global.f{f}", (rows, d_g), 0.6)
        initial.normal(f"specific.f{f}", (specific_rows(case, f), d_s), 0.6)
    if case["sequence"]:
        for space, d in (("global", d_g), ("specific", d_s)):
            for part, size in (("query", d), ("key", d), ("value", d_g), ("output", d_g)):
                initial.normal(f"attention.{space}.{part}.weight", (size, size), 0.7)
    g, x = feature_sizes(case)
    if case["without"] == "gate-and-mutual":
        widths = [g + x] + case["hidden"] + [1]
        for l, (d_in, d_out) in enumerate(zip(widths[:-1], widths[1:])):
            initial.linear(f"mlp.{l}", d_out, d_in)
        return
    before_a, before = g, x if has_auxiliary(case) else g + x
    for l, width in enumerate(case["hidden"]):
        if has_auxiliary(case):
            initial.linear(f"auxiliary.{l}", width, before_a)
        initial.linears(f"branch.{l}", count, width, before + (width if has_auxiliary(case) else 0))
        if mutual(case):
            initial.linears(f"gate.{l}", count, 1, width)
        before_a = before = width
    if has_auxiliary(case):
        initial.linear(f"auxiliary.{len(case['hidden'])}", 1, before)
    initial.linears(f"branch.{len(case['hidden'])}", count, 1, before)


# ------------------------------------------------------------------------------------------------------------ the model


def specific_rows_of(case, batch, f):
    """Which row of specific.f{f} each sample reads."""
    pairs = zip(batch["scenarios"].tolist(), batch["ids"][:, f].tolist())
    return torch.tensor([specific_row(case, f, s, identity) for s, identity in pairs])


def specific_rows_of_history(case, batch, b):
    """Which row of specific.f{SEQUENCE} each behaviour of sample b reads."""
    s = batch["scenarios"][b].item()
    rows = [specific_row(case, SEQUENCE, s, identity) for identity in batch["histories"][b].tolist()]
    return torch.tensor(rows, dtype=torch.int64)


def attention(params, space, heads, e, values):
    """One history's multi-head attention, averaged over its positions; e [T, d] asks, values [T, 8] answer."""
    if len(e) == 0:
        return torch.zeros(values.shape[1])
    name = f"attention.{space}"
    q, k = e @ params[name + ".query.weight"].T, e @ params[name + ".key.weight"].T
    v = values @ params[name + ".value.weight"].T
    d_k, d_v = q.shape[1] // heads, v.shape[1] // heads
    results = []
    for h in range(heads):
        ask, offer = q[:, h * d_k : (h + 1) * d_k], k[:, h * d_k : (h + 1) * d_k]
        p = torch.softmax(ask @ offer.T / math.sqrt(d_k), dim=1)
        results.append(p @ v[:, h * d_v : (h + 1) * d_v])
    return (torch.cat(results, dim=1) @ params[name + ".output.weight"].T).mean(dim=0)


def features(case, params, batch):
    """x_g and x_l."""
    x_g = [params[f"global.f{f}"][batch["ids"][:, f]] for f in range(len(ROWS))]
    x_l = [params[f"specific.f{f}"][specific_rows_of(case, batch, f)] for f in range(len(ROWS))]
    if case["sequence"]:
        global_, specific = [], []
        for b, history in enumerate(batch["histories"]):
            e_g = params[f"global.f{SEQUENCE}"][history]
            e_l = params[f"specific.f{SEQUENCE}"][specific_rows_of_history(case, batch, b)]
            global_.append(attention(params, "global", case["heads"], e_g, e_g))
            specific.append(attention(params, "specific", case["heads"], e_l, e_g))
        x_g.append(torch.stack(global_))
        x_l.append(torch.stack(specific))
    return torch.cat(x_g, dim=1), torch.cat(x_l, dim=1)


def quotients(case, cosines):
    """Eq 8 before its softmax; `cosines` [B] of branch i with each of the others."""
    if case["alpha"] == "cosine":
        return cosines
    total = sum(cosines)
    Watch.add(WATCH.denominator, total)
    least = torch.where(total.detach() < 0, torch.full_like(total, -1e-6), torch.full_like(total, 1e-6))
    total = torch.where(total.detach().abs() < 1e-6, least, total)
    return [c / total for c in cosines]


def mutual_unit(case, params, l, branches):
    """M_i of eq 6 for every branch; the other branches' V_j come in stopped."""
    results = []
    for i, v in enumerate(branches):
        others = [stop(w) for j, w in enumerate(branches) if j != i]
        g = torch.sigmoid(v @ params[f"gate.{l}.weight"][i] + params[f"gate.{l}.bias"][i])
        q = torch.stack(quotients(case, [cosine(v, w) for w in others]), dim=1)
        alpha = torch.softmax(q, dim=1)
        results.append(v + g[:, None] * sum(alpha[:, j : j + 1] * w for j, w in enumerate(others)))
    return results


def outputs(case, params, batch):
    """logits, loss, bce and, with the auxiliary net, auxiliary."""
    x_g, x_l = features(case, params, batch)
    count, scenarios, labels, last = case["scenarios"], batch["scenarios"], batch["labels"], len(case["hidden"])
    if case["without"] == "gate-and-mutual":
        x = torch.cat([x_g, x_l], dim=1)
        for l in range(last):
            x = relu(linear(params, f"mlp.{l}", x))
        logits = linear(params, f"mlp.{last}", x)[:, 0]
        bce = cross_entropy(logits, labels)
        return {"logits": logits, "loss": bce, "bce": bce}

    helped = has_auxiliary(case)
    v_a = x_g
    branches = [x_l if helped else torch.cat([x_g, x_l], dim=1)] * count
    for l in range(last):
        if helped:
            v_a = relu(linear(params, f"auxiliary.{l}", v_a))
            seen = stop(v_a) if case["stop_aux"] else v_a
            branches = [torch.cat([m, seen], dim=1) for m in branches]
        weights = [block(params, f"branch.{l}.weight", i, count) for i in range(count)]
        branches = [relu(m @ weights[i].T + params[f"branch.{l}.bias"][i]) for i, m in enumerate(branches)]
        if mutual(case):
            branches = mutual_unit(case, params, l, branches)
    own = torch.stack(branches, dim=1)[torch.arange(len(scenarios)), scenarios]
    logits = own_linear(params, f"branch.{last}", own, scenarios, count)[:, 0]
    bce = cross_entropy(logits, labels)
    if not helped:
        return {"logits": logits, "loss": bce, "bce": bce}
    auxiliary = cross_entropy(linear(params, f"auxiliary.{last}", v_a)[:, 0], labels)
    return {"logits": logits, "loss": bce + auxiliary, "bce": bce, "auxiliary": auxiliary}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    read = {}
    for f in range(len(ROWS)):
        read[f"global.f{f}"] = batch["ids"][:, f]
        read[f"specific.f{f}"] = specific_rows_of(case, batch, f)
    if case["sequence"]:
        histories = batch["histories"]
        rows = [specific_rows_of_history(case, batch, b) for b in range(len(histories))]
        for table, also in ((f"global.f{SEQUENCE}", histories), (f"specific.f{SEQUENCE}", rows)):
            read[table] = torch.cat([read[table], *also])
    return read


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario."""
    return name.startswith(("branch.", "gate."))


def unused(case, name):
    """Whether a parameter has no gradient by definition."""
    return False


def telling(case, params, batch):
    """Whether the batch shows what the case is about."""
    if samples_of_scenarios(case, batch).min() < 2:
        return False
    if case["specific"] == "hashed" and not collides(case, batch):
        return False
    return not case["sequence"] or histories_vary(batch)


def collides(case, batch):
    """Whether a hashed row is read for two different ids or scenarios."""
    for f in range(len(ROWS)):
        keys = set(zip(batch["scenarios"].tolist(), batch["ids"][:, f].tolist()))
        if len({specific_row(case, f, *key) for key in keys}) < len(keys):
            return True
    return False


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur."""
    return mutual(case)


def further_tensors(case, params, batch):
    return {}
