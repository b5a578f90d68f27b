"""Prints what scikit-learn says of the rows in `weighted_metrics_are_scikit_learns` (src/train/evaluation/metrics/tests.rs), and
numpy of the values in `percentiles_are_numpys` (src/train/evaluation/bootstrap/tests.rs)."""

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

i = np.arange(60)
logits = (i * 37 % 11 - 5) / 2
labels = (((i * i * 7 + i * 3) % 10 < 3) | (i % 9 == 8)).astype(int)
weights = i * 29 % 13 / 4
users = i * i % 7
third = i % 3 == 0
p = 1 / (1 + np.exp(-logits))


def gauc(chosen):
    """AUC within each user that has both classes, by the sum of the user's weights."""
    total = weight = 0.0
    for user in np.unique(users[chosen]):
        own = chosen & (users == user) & (weights > 0)
        if len(set(labels[own])) == 2:
            total += weights[own].sum() * roc_auc_score(labels[own], logits[own], sample_weight=weights[own])
            weight += weights[own].sum()
    return total / weight


for name, chosen in [("all", i >= 0), ("most", ~third), ("third", third)]:
    y, z, w = labels[chosen], logits[chosen], weights[chosen]
    loss = log_loss(y, p[chosen], sample_weight=w)
    rate = np.average(y, weights=w)
    print(
        f"{name}: auc {roc_auc_score(y, z, sample_weight=w)!r}",
        f"pr_auc {average_precision_score(y, z, sample_weight=w)!r}",
        f"logloss {loss!r}",
        f"normalized_entropy {loss / log_loss(y, np.full(len(y), rate), sample_weight=w)!r}",
        f"gauc {gauc(chosen)!r}",
        f"calibration {np.average(p[chosen], weights=w) / rate!r}",
        f"rows {len(y)} positives {y.sum()} weight {w.sum()} positive_weight {w[y == 1].sum()}",
    )

j = np.arange(101)
print("percentiles:", *np.percentile(j * j % 103 / 7, [2.5, 97.5]).tolist())
