"""`optmsm` (transfer fcn) and `saml` (without a sequence) in PyTorch, with two forms of the parts for each scenario.

all     every scenario's part computes every sample, in one batched product, and the sample's own result is taken
group   each scenario's part computes its own samples
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import linear

FORMS = ("all", "group")


def glorot(*shape: int) -> nn.Parameter:
    limit = (6.0 / (shape[-1] + shape[-2])) ** 0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-limit, limit))


class Stack(nn.Module):
    """A dense layer for each scenario."""

    def __init__(self, scenarios: int, inputs: int, outputs: int, form: str) -> None:
        super().__init__()
        self.form = form
        self.weight, self.bias = glorot(scenarios, inputs, outputs), nn.Parameter(torch.zeros(scenarios, 1, outputs))

    def everyone(self, x: Tensor) -> Tensor:
        """x [M, B, inputs], or [B, inputs] for all, through every scenario's layer."""
        x = x if x.dim() == 3 else x.expand(len(self.weight), *x.shape)
        return torch.baddbmm(self.bias, x, self.weight)

    def forward(self, x: Tensor, scenario: Tensor) -> Tensor:
        """Every sample through its own scenario's."""
        if self.form == "all":
            return own(self.everyone(x), scenario)
        out = x.new_empty(len(x), self.weight.shape[2])
        for m in range(len(self.weight)):
            rows = torch.nonzero(scenario == m)[:, 0]
            out = out.index_copy(0, rows, torch.addmm(self.bias[m], x[rows], self.weight[m]))
        return out


def own(x: Tensor, scenario: Tensor) -> Tensor:
    """[M, B, width] at each sample's own scenario."""
    return x.gather(0, scenario[None, :, None].expand(1, -1, x.shape[2]))[0]


class OptMsm(nn.Module):
    hidden, towers = [256, 128, 32], [64, 32]

    def __init__(self, width: int, fields: int, aware: int, scenarios: int, form: str, weight: float = 0.1) -> None:
        super().__init__()
        self.width, self.aware, self.weight = width, aware * width, weight
        shared = fields - aware
        self.gate = Stack(scenarios, shared, shared, "all")
        sizes = [shared * width, *self.hidden]
        pairs = list(zip(sizes, sizes[1:]))
        self.shared = nn.ParameterList(glorot(a, b) for a, b in pairs)
        self.specific = nn.ParameterList(1 + 0.1 * torch.randn(scenarios, a, b) for a, b in pairs)
        self.bias = nn.ParameterList(torch.zeros(scenarios, 1, b) for _, b in pairs)
        self.shared_bias = nn.ParameterList(torch.zeros(b) for _, b in pairs)
        sizes = [self.hidden[-1] + self.aware, *self.towers, 1]
        self.tower = nn.ModuleList(Stack(scenarios, a, b, form) for a, b in zip(sizes, sizes[1:]))
        self.hyper = nn.ModuleList(nn.Sequential(linear(sizes[0], 32), nn.ReLU(), linear(32, a)) for a in sizes[:-1])

    def loss(self, tables: tuple[Tensor], scenario: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What is minimised, and its cross entropy."""
        (x,) = tables
        aware, shared = x[:, : self.aware], x[:, self.aware :].unflatten(1, (-1, self.width))
        gates = torch.sigmoid(self.gate.everyone(shared.mean(2)))
        r = (shared * gates[..., None]).flatten(2)
        for w, v, b, c in zip(self.shared, self.specific, self.bias, self.shared_bias):
            r = torch.relu(torch.baddbmm(b + c, r, w * v))
        known = torch.cat([own(r, scenario), aware], 1)
        h = known
        for l, (tower, hyper) in enumerate(zip(self.tower, self.hyper)):
            h = tower(h * 2 * torch.sigmoid(hyper(known)), scenario)
            h = torch.relu(h) if l + 1 < len(self.tower) else h
        bce = F.binary_cross_entropy_with_logits(h[:, 0], labels)
        # The cosines of all pairs at once: |sum of unit vectors|^2 is their number and twice the pairs.
        unit = F.normalize(r, dim=2, eps=1e-6)
        pairs = (unit.sum(0).square().sum(1) - unit.square().sum((0, 2))) / 2
        return bce + self.weight * pairs.mean(), bce.detach()


class Saml(nn.Module):
    hidden = [128, 64]

    def __init__(self, widths: tuple[int, int], fields: int, scenarios: int, form: str) -> None:
        super().__init__()
        self.form = form
        sizes = [fields * widths[0], *self.hidden]
        self.auxiliary = nn.ModuleList(linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.auxiliary_logit = linear(sizes[-1], 1)
        sizes = [fields * widths[1], *self.hidden]
        self.branch = nn.ModuleList(Stack(scenarios, a + b, b, form) for a, b in zip(sizes, sizes[1:]))
        self.gate = nn.ModuleList(Stack(scenarios, b, 1, form) for b in self.hidden)
        self.logit = Stack(scenarios, sizes[-1], 1, form)

    def mutual(self, v: Tensor, others: Tensor, gate: Tensor, same: Tensor) -> Tensor:
        """V + g sum alpha V_j of v [N, B, W] among others [M, B, W]; `same` [N, B, M] marks a branch itself."""
        unit, units = F.normalize(v, dim=2, eps=1e-6), F.normalize(others, dim=2, eps=1e-6)
        cosines = torch.einsum("nbw,mbw->nbm", unit, units).masked_fill(same, 0.0)
        total = cosines.sum(2, keepdim=True)
        scores = cosines / torch.where(total.abs() < 1e-6, torch.full_like(total, 1e-6), total)
        alpha = torch.softmax(scores.masked_fill(same, float("-inf")), 2)
        return v + torch.sigmoid(gate) * torch.einsum("nbm,mbw->nbw", alpha, others)

    def loss(self, tables: tuple[Tensor, Tensor], scenario: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What is minimised, and the own branch's cross entropy."""
        a, x = tables
        scenarios = len(self.logit.weight)
        everyone = torch.eye(scenarios, dtype=torch.bool, device=x.device)[:, None].expand(-1, len(x), -1)
        mine = F.one_hot(scenario, scenarios).bool()[None]
        others = x.detach()
        for l, (auxiliary, branch, gate) in enumerate(zip(self.auxiliary, self.branch, self.gate)):
            a = torch.relu(auxiliary(a))
            known = a.detach()
            # The other branches learn nothing from a sample: a constant to it, computed without gradient.
            with torch.no_grad():
                inputs = others if others.dim() == 3 else others.expand(scenarios, *others.shape)
                v = torch.relu(branch.everyone(torch.cat([inputs, known.expand(scenarios, *known.shape)], 2)))
                if l + 1 < len(self.branch):
                    others = self.mutual(v, v, gate.everyone(v), everyone)
            x = torch.relu(branch(torch.cat([x, known], 1), scenario))
            x = self.mutual(x[None], v, gate(x, scenario)[None], mine)[0]
        bce = F.binary_cross_entropy_with_logits(self.logit(x, scenario)[:, 0], labels)
        return bce + F.binary_cross_entropy_with_logits(self.auxiliary_logit(a)[:, 0], labels), bce.detach()
