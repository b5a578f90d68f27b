"""Prints what Optuna's pruners say of the runs in src/train/pruning/tests.rs, in which order Optuna puts trials and how many of
them are good, and what an estimator written with numpy draws in src/train/comparison/search/sampler/tests.rs.

    pip install optuna numpy
"""

import math

import numpy as np
import optuna
from optuna.pruners._percentile import _get_percentile_intermediate_result_over_trials as percentile
from optuna.pruners._successive_halving import _is_trial_promotable_to_next_rung as is_promotable
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.trial import TrialState, create_trial

optuna.logging.set_verbosity(optuna.logging.ERROR)
UP = optuna.study.StudyDirection.MAXIMIZE


def auc(i, epoch):
    """The best validation AUC of run i until an epoch."""
    return 0.6 + (i * 37 % 23) / 100 + 0.01 * epoch * (i * 11 % 5)


# Pruning: run i is judged by the runs before it, all of which came so far.
for epoch in (1, 3):
    median = ""
    for i in range(20):
        if i < 5:
            median += "-"
            continue
        others = [
            create_trial(state=TrialState.COMPLETE, value=0.0, intermediate_values={epoch: auc(j, epoch)}) for j in range(i)
        ]
        median += "x" if auc(i, epoch) < percentile(others, UP, epoch, 50.0, 5) else "."
    print(f"median, epoch {epoch}: {median}")
for reduction in (2, 3, 4):
    goes_on = [is_promotable(auc(i, 1), [auc(j, 1) for j in range(i + 1)], reduction, UP) for i in range(20)]
    print(f"halving by {reduction}:", "".join("." if on else "x" for on in goes_on))

# How many trials are good.
print("good:", [default_gamma(n) for n in (1, 10, 11, 20, 30, 99, 250, 251, 1000)])

# The estimator's trials: where they are, and what came of them.
TRIALS = 30
x = np.array([(i * 0.37 + 0.11) % 1 for i in range(TRIALS)])
choice = np.array([(i * i) % 3 for i in range(TRIALS)])
value = 0.9 - (x - 0.3) ** 2 + 0.02 * (choice == 1)
epochs = np.array([1 + i % 3 if i % 4 else 0 for i in range(TRIALS)])  # pruned after so many, unless 0


def of(i):
    if epochs[i]:
        return create_trial(state=TrialState.PRUNED, intermediate_values={int(epochs[i]): value[i]})
    return create_trial(state=TrialState.COMPLETE, value=value[i])


study = optuna.create_study(direction="maximize")
study.add_trials([of(i) for i in range(TRIALS)])
order = []
for below in range(1, TRIALS + 1):
    good, _ = _split_trials(study, study.trials, below)
    order += [trial.number for trial in good if trial.number not in order]
print("order:", order)


class Parzen:
    """Bergstra et al. 2011, section 4: a normal for each value, and one for the range; each is as wide as the larger gap to its
    neighbours, the outermost as the gap to the one."""

    def __init__(self, values, low, high):
        self.low, self.high = low, high
        self.mean = np.sort(np.append(values, (low + high) / 2))
        n = len(self.mean)
        gap = np.diff(np.concatenate([[low], self.mean, [high]]))
        self.deviation = np.maximum(gap[:-1], gap[1:])
        if n > 1:
            self.deviation[0], self.deviation[-1] = gap[1], gap[-2]
        self.deviation = np.clip(self.deviation, (high - low) / min(100, n + 1), high - low)

    def draw(self, random, count):
        drawn = np.empty(0)
        while len(drawn) < count:
            which = random.integers(len(self.mean), size=count)
            new = random.normal(self.mean[which], self.deviation[which])
            drawn = np.append(drawn, new[(new >= self.low) & (new < self.high)])
        return drawn[:count]

    def density(self, at):
        z = (at[:, None] - self.mean) / self.deviation
        return (np.exp(-(z**2) / 2) / self.deviation).mean(axis=1)


count = default_gamma(TRIALS)
good, others = order[:count], order[count:]
random = np.random.default_rng(0)
for name, low, high, change in [("linear", 0.0, 1.0, lambda x: x), ("log", math.log(1e-4), math.log(1e-1), lambda x: math.log(1e-4) + x * math.log(1e3))]:
    below, above = (Parzen(change(x[part]), low, high) for part in (good, others))
    candidates = below.draw(random, 24 * 200_000)
    ratio = below.density(candidates) / above.density(candidates)
    candidates, ratio = candidates.reshape(-1, 24), ratio.reshape(-1, 24)
    taken = candidates[np.arange(len(candidates)), ratio.argmax(axis=1)]
    print(f"{name}: deciles", [round(float(q), 4) for q in np.quantile(taken, [0.1, 0.3, 0.5, 0.7, 0.9])])

# A choice: each has its count and one more. Of 24 draws the one with the largest ratio is taken.
below, above = ((np.bincount(choice[part], minlength=3) + 1) / (len(part) + 3) for part in (good, others))
best_first = np.argsort(-below / above)
left, chance = 1.0, np.zeros(3)
for which in best_first:
    chance[which] = left**24 - (left - below[which]) ** 24
    left -= below[which]
print("choice: chances", [round(float(c), 6) for c in chance], "of", below.round(4), above.round(4))
