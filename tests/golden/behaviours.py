"""`din` and `bst`: a history of behaviours, read in the item field's own table, sample by sample."""

import math

import torch

from common import (
    COMMON,
    LONGEST,
    ROWS,
    SEQUENCE,
    WATCH,
    Watch,
    aware_and_all,
    check_logits,
    cross_entropy,
    histories_vary,
    linear,
    lookups_of_fields,
    mlp,
    relu,
    scalar_aware_and_all,
    scalar_linear,
    scalar_mlp,
    scalar_plain,
    scalar_softmax,
)

ITEM = f"embedding.f{SEQUENCE}"
NORM_EPSILON = 1e-5
SLOPE = 0.01  # of the leaky ReLU below 0

HISTORY = dict(COMMON, hidden=[12, 8], sequence=True)

CASES = {
    "din": dict(HISTORY, model="din", attention_hidden=9),
    "bst": dict(HISTORY, model="bst", width=8, heads=4),
}


def initial_parameters(case, initial):
    width = case["width"]
    initial.tables("embedding", case, width)
    if case["model"] == "din":
        initial.linear("attention.0", case["attention_hidden"], 4 * width)
        initial.linear("attention.1", 1, case["attention_hidden"])
    else:
        initial.normal("transformer.position", (LONGEST + 1, width), 0.3)
        for part in ("query", "key", "value", "output"):
            initial.normal(f"transformer.attention.{part}.weight", (width, width), 0.5)
        for n in range(2):
            initial.normal(f"transformer.norm.{n}.scale", (1, width), 0.2, mean=1.0)
            initial.normal(f"transformer.norm.{n}.shift", (1, width), 0.2)
        initial.linear("transformer.feed.0", 4 * width, width)
        initial.linear("transformer.feed.1", width, 4 * width)
    widths = [(len(ROWS) + 1) * width] + case["hidden"] + [1]
    for l, (d_in, d_out) in enumerate(zip(widths[:-1], widths[1:])):
        initial.linear(f"mlp.{l}", d_out, d_in)


# ------------------------------------------------------------------------------------------------------------ the model


def pooled(params, history, target):
    """DIN's sum [D] of one history's embeddings [T, D], each by its weight against the target's [D]."""
    if len(history) == 0:
        return torch.zeros(len(target))
    q = target.expand(len(history), -1)
    seen = torch.cat([history, q, history - q, history * q], dim=1)
    w = linear(params, "attention.1", relu(linear(params, "attention.0", seen)))
    return (w * history).sum(dim=0)


def leaky(z):
    WATCH.relu.append(z.detach().abs().min().item())
    return torch.where(z > 0, z, SLOPE * z)


def layer_norm(params, name, x):
    """Every row by its own mean and biased variance."""
    centred = x - x.mean(dim=1, keepdim=True)
    variance = centred.square().mean(dim=1, keepdim=True)
    Watch.add(WATCH.deviation, variance.sqrt())
    return centred / (variance + NORM_EPSILON).sqrt() * params[name + ".scale"] + params[name + ".shift"]


def self_attention(params, heads, x):
    """Every token [T, W] asks all of them."""
    name, results = "transformer.attention", []
    q, k, v = (x @ params[f"{name}.{part}.weight"].T for part in ("query", "key", "value"))
    d = x.shape[1] // heads
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        p = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(d), dim=1)
        results.append(p @ v[:, part])
    return torch.cat(results, dim=1) @ params[f"{name}.output.weight"].T


def transformed(case, params, history, target):
    """BST's mean [W] over the tokens: the behaviours in order, then the target, whose position is 0."""
    tokens = torch.cat([history, target[None]], dim=0)
    positions = torch.arange(len(tokens) - 1, -1, -1)
    tokens = tokens + params["transformer.position"][positions]
    z = layer_norm(params, "transformer.norm.0", tokens + self_attention(params, case["heads"], tokens))
    fed = linear(params, "transformer.feed.1", leaky(linear(params, "transformer.feed.0", z)))
    return layer_norm(params, "transformer.norm.1", z + fed).mean(dim=0)


def outputs(case, params, batch):
    """logits, loss and bce."""
    _, x = aware_and_all(case, params, batch)
    read = []
    for b, history in enumerate(batch["histories"]):
        behaviours, target = params[ITEM][history], params[ITEM][batch["ids"][b, SEQUENCE]]
        if case["model"] == "din":
            read.append(pooled(params, behaviours, target))
        else:
            read.append(transformed(case, params, behaviours, target))
    logits = mlp(params, torch.cat([x, torch.stack(read)], dim=1), len(case["hidden"]))
    bce = cross_entropy(logits, batch["labels"])
    return {"logits": logits, "loss": bce, "bce": bce}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    read = lookups_of_fields(batch)
    return read | {ITEM: torch.cat([read[ITEM], *batch["histories"]])}


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario."""
    return False


def unused(case, name):
    """Whether a parameter has no gradient by definition."""
    return False


def telling(case, params, batch):
    """Whether the batch shows what the case is about."""
    return histories_vary(batch)


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur."""
    return False


def further_tensors(case, params, batch):
    return {}


# ------------------------------------------------------------------------------------------------------------ its check


def scalar_pooled(params, history, target):
    """Behaviour by behaviour."""
    total = [0.0] * len(target)
    for k in history:
        seen = k + target + [a - b for a, b in zip(k, target)] + [a * b for a, b in zip(k, target)]
        w = scalar_plain(params, "attention.1", scalar_plain(params, "attention.0", seen, True), False)[0]
        total = [t + w * v for t, v in zip(total, k, strict=True)]
    return total


def scalar_layer_norm(params, name, x):
    mean = sum(x) / len(x)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + NORM_EPSILON)
    scale, shift = params[name + ".scale"][0].tolist(), params[name + ".shift"][0].tolist()
    return [(v - mean) / deviation * a + b for v, a, b in zip(x, scale, shift, strict=True)]


def scalar_transformed(case, params, history, target):
    """Token by token, head by head."""
    tokens, width = history + [target], len(target)
    place = params["transformer.position"].tolist()
    tokens = [[a + b for a, b in zip(token, place[len(history) - t])] for t, token in enumerate(tokens)]

    def project(part, x):
        return scalar_linear(params[f"transformer.attention.{part}.weight"].tolist(), [0.0] * width, x, False)

    q, k, v = ([project(part, token) for token in tokens] for part in ("query", "key", "value"))
    d, total = width // case["heads"], [0.0] * width
    for t, token in enumerate(tokens):
        joined = [0.0] * width
        for first in range(0, width, d):
            part = range(first, first + d)
            scores = [sum(q[t][i] * k[u][i] for i in part) / math.sqrt(d) for u in range(len(tokens))]
            for u, p in enumerate(scalar_softmax(scores)):
                for i in part:
                    joined[i] += p * v[u][i]
        z = [a + b for a, b in zip(token, project("output", joined))]
        z = scalar_layer_norm(params, "transformer.norm.0", z)
        fed = [u if u > 0 else SLOPE * u for u in scalar_plain(params, "transformer.feed.0", z, False)]
        y = [a + b for a, b in zip(z, scalar_plain(params, "transformer.feed.1", fed, False))]
        y = scalar_layer_norm(params, "transformer.norm.1", y)
        total = [a + b / len(tokens) for a, b in zip(total, y)]
    return total


def check(case, params, batch, out):
    """Every logit again, on Python numbers, sample by sample."""
    logits = []
    for b, history in enumerate(batch["histories"]):
        _, x = scalar_aware_and_all(case, params, batch, b)
        behaviours, target = params[ITEM][history].tolist(), params[ITEM][batch["ids"][b, SEQUENCE]].tolist()
        if case["model"] == "din":
            read = scalar_pooled(params, behaviours, target)
        else:
            read = scalar_transformed(case, params, behaviours, target)
        logits.append(scalar_mlp(params, x + read, len(case["hidden"])))
    check_logits(batch, out, logits)
