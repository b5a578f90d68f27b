"""What the models share: fields, initial values, batches, and the small functions they are written in."""

import math

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

AWARE = 3  # fields f0..f2 are scenario-aware, the rest agnostic
ROWS = [5, 4, 7, 23, 31, 11, 3]  # rows of each field's table, row 0 (unknown) included
NUMERIC = 5  # the field that `dnn-numeric` makes numeric
TAGS = {2: "mean", 3: "sum", 6: "max"}  # the fields that `dnn-tags` makes lists, and how they are pooled; the sum has weights
LENGTHS = [0, 1, 2, 4]  # of lists, so that 1 / length is representable in f32
SEQUENCE = 4  # the field whose vocabulary and tables a behaviour sequence shares
LONGEST = 5  # behaviours in a sequence, at most
SHARES = [0.5, 0.3, 0.2]  # of the scenarios
BATCH = 13
STEPS = 10
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

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


def fields_of(case):
    fields = []
    for f, rows in enumerate(ROWS):
        numeric = case["numeric"] and f == NUMERIC
        if case.get("tags") and f in TAGS:
            group = "aware" if f < AWARE else "agnostic"
            fields.append({"name": f"f{f}", "group": group, "kind": "tags", "pooling": TAGS[f], "rows": rows})
            continue
        fields.append(
            {
                "name": f"f{f}",
                "group": "aware" if f < AWARE else "agnostic",
                "kind": "numeric" if numeric else "categorical",
                "rows": 2 if numeric else rows,
            }
        )
    return fields


# ------------------------------------------------------------------------------------------- initial values and batches


class Initial:
    """Random and nowhere zero; every value is representable in float32, so that an f32 program starts at the same point."""

    def __init__(self, rng):
        self.rng = rng
        self.params = {}

    def _set(self, name, values):
        self.params[name] = torch.tensor(values.astype(np.float32).astype(np.float64))

    def normal(self, name, shape, deviation, mean=0.0):
        self._set(name, self.rng.normal(mean, deviation, shape))

    def kernel(self, name, d_out, d_in, blocks=1):
        """`blocks` matrices [d_out, d_in], one below the other."""
        limit = math.sqrt(6.0 / (d_in + d_out))
        self._set(name, self.rng.uniform(-limit, limit, (blocks * d_out, d_in)))

    def tables(self, name, case, width):
        """A table `{name}.f{f}` for every field."""
        for f, field in enumerate(fields_of(case)):
            self.normal(f"{name}.f{f}", (field["rows"], width), 0.6)

    def linear(self, name, d_out, d_in, deviation=0.2, mean=0.0):
        self.kernel(name + ".weight", d_out, d_in)
        self.normal(name + ".bias", (d_out,), deviation, mean)

    def linears(self, name, blocks, d_out, d_in, mean=0.0):
        """A linear layer per scenario or expert: weight [blocks d_out, d_in], bias [blocks, d_out] around `mean`."""
        self.kernel(name + ".weight", d_out, d_in, blocks)
        self.normal(name + ".bias", (blocks, d_out), 0.2, mean)


def random_batch(case, rng):
    """ids [B, 7], labels [B], values [B, numeric fields] of one batch; where the case has them, scenarios and histories."""
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
    batch = {"ids": torch.tensor(ids), "labels": torch.tensor(labels), "values": torch.tensor(values)}
    if "scenarios" in case:
        shares = np.array(SHARES[: case["scenarios"]])
        batch["scenarios"] = torch.tensor(rng.choice(len(shares), BATCH, p=shares / shares.sum()))
    if case.get("sequence"):
        lengths = rng.integers(0, LONGEST + 1, BATCH)
        history = np.floor(ROWS[SEQUENCE] * rng.random(lengths.sum()) ** 2).astype(np.int64)
        batch["histories"] = list(torch.tensor(history).split(lengths.tolist()))
    if case.get("tags"):
        batch["tags"] = {}
        for f in TAGS:
            lengths = rng.choice(LENGTHS, BATCH)
            values = np.floor(ROWS[f] * rng.random(lengths.sum()) ** 2).astype(np.int64)
            weights = rng.integers(1, 17, lengths.sum()) / 8 if TAGS[f] == "sum" else np.ones(lengths.sum())
            split = lambda x: list(torch.tensor(x).split(lengths.tolist()))  # noqa: E731
            batch["tags"][f] = list(zip(split(values), split(weights), strict=True))
            batch["ids"][:, f] = 0  # of no meaning
    return batch


def pooled(table, pooling, values, weights):
    """One embedding [D] of a sample's values; zeros where there are none."""
    if len(values) == 0:
        return torch.zeros(table.shape[1])
    e = table[values]
    if pooling == "max":
        # torch's amax would share the gradient among equal values; the first has it all.
        return e.gather(0, e.detach().argmax(dim=0, keepdim=True))[0]
    total = (weights[:, None] * e).sum(0)
    return total / weights.sum() if pooling == "mean" else total


def subset(batch, rows):
    """The samples `rows` of a batch."""
    taken = {name: t[rows] for name, t in batch.items() if name not in ("histories", "tags", "state", "step")}
    if "histories" in batch:
        taken["histories"] = [batch["histories"][i] for i in rows.tolist()]
    return taken | {"state": batch["state"], "step": batch["step"]}


def grown(coefficient, warmup, batch):
    """What a coefficient is that grows evenly to its whole over so many steps, in the step that trains on this batch."""
    return coefficient * min(1.0, (batch["step"] + 1) / warmup) if warmup > 0 else coefficient


def samples_of_scenarios(case, batch):
    """How many samples each scenario has."""
    return torch.bincount(batch["scenarios"], minlength=case["scenarios"])


def histories_vary(batch):
    """Whether there are empty, short and full histories, and ids that only they, only the field, or both read."""
    lengths = [len(history) for history in batch["histories"]]
    by_field, by_history = set(batch["ids"][:, SEQUENCE].tolist()), set(torch.cat(batch["histories"]).tolist())
    twice = any(len(set(history.tolist())) < len(history) for history in batch["histories"])
    varied = {0, 1, LONGEST} <= set(lengths) and twice
    return varied and bool(by_field & by_history) and bool(by_history - by_field) and bool(by_field - by_history)


# --------------------------------------------------------------------------------------------------------- the functions


class Watch:
    """How far a case stays from the places where an f32 program may go another way."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.relu = []  # smallest |argument| of every ReLU called
        self.norm = []  # smallest norm of every cosine's vectors, exact zeros left out
        self.denominator = []  # smallest |sum of cosines| in SAML's eq 8, exact zeros left out
        self.deviation = []  # smallest standard deviation that a norm divides by, exact zeros left out
        self.prune = []  # smallest distance of a unit of AdaSparse from its threshold
        self.ratio = []  # smallest distance of a layer's pruned ratio from either end of its interval
        self.gradient = []  # smallest |entry| of a gradient, exact zeros left out; not for dnn and mi-dpg
        self.guarded = 0  # cosines that a zero vector set to 0

    @staticmethod
    def add(margins, values):
        values = values.detach().abs()
        margins.extend(values[values > 0].min().reshape(-1).tolist() if values.any() else [])

    def margins(self):
        kinds = ("relu", "norm", "denominator", "deviation", "prune", "ratio", "gradient")
        return {f"{name}_margin": min(getattr(self, name)) for name in kinds if getattr(self, name)}


WATCH = Watch()


class Stops:
    """The values that stop-gradient lets through, kept so that central differences can hold them still."""

    def __init__(self):
        self.values, self.next, self.held = [], 0, False

    def record(self):
        self.values, self.held = [], False

    def hold(self):
        self.next, self.held = 0, True

    def stop(self, x):
        if not self.held:
            self.values.append(x.detach())
            return x.detach()
        self.next += 1
        return self.values[self.next - 1]


STOPS = Stops()


def stop(x):
    """x without its gradient."""
    return STOPS.stop(x)


def relu(z):
    WATCH.relu.append(z.detach().abs().min().item())
    return torch.relu(z)


def linear(params, name, x):
    return x @ params[name + ".weight"].T + params[name + ".bias"]


def mlp(params, x, depth):
    """The layers `mlp.{l}`: `depth` hidden ones, and the logit [B]."""
    for l in range(depth):
        x = relu(linear(params, f"mlp.{l}", x))
    return linear(params, f"mlp.{depth}", x)[:, 0]


def softplus(z):
    return torch.logaddexp(torch.zeros_like(z), z)


def cross_entropy(logits, labels):
    return (softplus(logits) - labels * logits).mean()


def cosine(a, b):
    """The cosine [B] of the rows of a and b [B, n]; where either norm is below 1e-6, 0 without gradient."""
    lengths = torch.stack([a, b]).detach().square().sum(2).sqrt()
    Watch.add(WATCH.norm, lengths)
    short = (lengths < 1e-6).any(dim=0)
    WATCH.guarded += int(short.sum())
    a = torch.where(short[:, None], torch.ones_like(a), a)
    b = torch.where(short[:, None], torch.ones_like(b), b)
    cosines = (a * b).sum(1) / (a.square().sum(1).sqrt() * b.square().sum(1).sqrt())
    return torch.where(short, torch.zeros_like(cosines), cosines)


def block(params, name, index, blocks):
    """Matrix `index` of `blocks` that stand one below the other; of a bias [blocks, d], its row."""
    p = params[name]
    return p.reshape(blocks, -1, p.shape[1])[index] if name.endswith("weight") else p[index]


def block_linear(params, name, x, index, blocks):
    """Linear layer `index` of a stack."""
    return x @ block(params, name + ".weight", index, blocks).T + params[name + ".bias"][index]


def own_linear(params, name, x, scenarios, count):
    """Each sample by the weights and bias of its own scenario."""
    w = params[name + ".weight"]
    w = w.reshape(count, -1, w.shape[1])[scenarios]  # [B, d_out, d_in]
    return torch.matmul(w, x[:, :, None])[:, :, 0] + params[name + ".bias"][scenarios]


def embed_fields(case, params, batch):
    """The embedding [B, D] of every field, in schema order."""
    embedded = []
    for f, field in enumerate(fields_of(case)):
        if field["kind"] == "tags":
            table = params[f"embedding.f{f}"]
            embedded.append(torch.stack([pooled(table, field["pooling"], *tags) for tags in batch["tags"][f]]))
            continue
        e = params[f"embedding.f{f}"][batch["ids"][:, f]]
        if field["kind"] == "numeric":
            e = batch["values"][:, 0:1] * e
        embedded.append(e)
    return embedded


def aware_and_all(case, params, batch):
    """e_aw [B, A D], and x: the embeddings of all fields side by side."""
    embedded = embed_fields(case, params, batch)
    return torch.cat(embedded[:AWARE], dim=1), torch.cat(embedded, dim=1)


def lookups_of_fields(batch):
    """Which rows of the tables `embedding.f{f}` a batch reads, one entry a reading."""
    read = {f"embedding.f{f}": batch["ids"][:, f] for f in range(len(ROWS))}
    for f, lists in batch.get("tags", {}).items():
        read[f"embedding.f{f}"] = torch.cat([values for values, _ in lists])
    return read


def close(a, b, tolerance=1e-12):
    return torch.allclose(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------ by scalars, for the checks that build nothing


def scalar_linear(weights, biases, x, activate):
    """The same linear layer on Python numbers; `weights` and `biases` of one scenario, as lists."""
    out = [b + sum(w * v for w, v in zip(row, x, strict=True)) for row, b in zip(weights, biases, strict=True)]
    return [max(0.0, z) for z in out] if activate else out


def scalar_plain(params, name, x, activate):
    """A linear layer with one bias vector."""
    return scalar_linear(params[name + ".weight"].tolist(), params[name + ".bias"].tolist(), x, activate)


def scalar_mlp(params, x, depth):
    """The logit of the layers `mlp.{l}`."""
    for l in range(depth + 1):
        x = scalar_plain(params, f"mlp.{l}", x, l < depth)
    return x[0]


def scalar_fields(case, params, batch, b, table="embedding"):
    """What sample b reads in the table of every field, times the field's value."""
    fields = []
    for f, field in enumerate(fields_of(case)):
        value = batch["values"][b, 0].item() if field["kind"] == "numeric" else 1.0
        fields.append([value * v for v in params[f"{table}.f{f}"][batch["ids"][b, f]].tolist()])
    return fields


def scalar_aware_and_all(case, params, batch, b):
    """e_aw and x of sample b."""
    fields = scalar_fields(case, params, batch, b)
    return [v for e in fields[:AWARE] for v in e], [v for e in fields for v in e]


def scalar_block(params, name, index, d_out):
    """Rows index d_out .. (index + 1) d_out of a weight, and row `index` of its bias."""
    weight = params[name + ".weight"].tolist()
    return weight[index * d_out : (index + 1) * d_out], params[name + ".bias"][index].tolist()


def scalar_cosine(a, b):
    lengths = math.hypot(*a) * math.hypot(*b)
    if min(math.hypot(*a), math.hypot(*b)) < 1e-6:
        return 0.0
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths


def scalar_softmax(z):
    powers = [math.exp(x - max(z)) for x in z]
    return [p / sum(powers) for p in powers]


def scalar_sigmoid(z):
    return 1.0 / (1.0 + math.exp(-z))


def check_logits(batch, out, logits):
    """Every logit, and their cross entropy."""
    labels, total = batch["labels"].tolist(), 0.0
    for b, z in enumerate(logits):
        assert close(z, out["logits"][b]), b
        total += max(z, 0.0) + math.log1p(math.exp(-abs(z))) - labels[b] * z
    assert close(total / len(labels), out["bce"])
