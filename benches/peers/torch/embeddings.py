"""Three ways to keep and update an embedding table: what PyTorch has, and what a careful user writes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Table:
    """A table [rows, width] of N(0, 0.05^2), looked up with ids [B, fields]; `parameters` go to the dense optimiser."""

    parameters: list[nn.Parameter] = []

    def look_up(self, ids: Tensor) -> Tensor:
        raise NotImplementedError

    def step(self) -> None:
        pass


class Dense(Table):
    """A dense gradient and dense Adam: PyTorch's default."""

    def __init__(self, rows: int, width: int, rate: float, device: torch.device) -> None:
        self.weight = nn.Parameter(torch.empty(rows, width, device=device).normal_(std=0.05))
        self.parameters = [self.weight]

    def look_up(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight).flatten(1)


class Sparse(Table):
    """A sparse gradient and SparseAdam: moments move only for rows of the batch."""

    def __init__(self, rows: int, width: int, rate: float, device: torch.device) -> None:
        self.weight = nn.Parameter(torch.empty(rows, width, device=device).normal_(std=0.05))
        self.optimiser = torch.optim.SparseAdam([self.weight], lr=rate)

    def look_up(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight, sparse=True).flatten(1)

    def step(self) -> None:
        self.optimiser.step()
        self.optimiser.zero_grad()


class Rows(Table):
    """The same update by hand: the batch's distinct rows are the leaf, and only they are read and written."""

    def __init__(self, rows: int, width: int, rate: float, device: torch.device) -> None:
        self.weight = torch.empty(rows, width, device=device).normal_(std=0.05)
        self.first, self.second = torch.zeros_like(self.weight), torch.zeros_like(self.weight)
        self.rate, self.steps = rate, 0

    def look_up(self, ids: Tensor) -> Tensor:
        self.rows, inverse = torch.unique(ids, return_inverse=True)
        self.leaf = self.weight[self.rows].requires_grad_(True)
        return F.embedding(inverse, self.leaf).flatten(1)

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        rate = self.rate * math.sqrt(1 - BETA2**self.steps) / (1 - BETA1**self.steps)
        gradient = self.leaf.grad
        first = self.first[self.rows].lerp_(gradient, 1 - BETA1)
        second = self.second[self.rows].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        self.first[self.rows], self.second[self.rows] = first, second
        self.weight[self.rows] = self.leaf.detach().addcdiv_(first, second.sqrt_().add_(EPSILON), value=-rate)


TABLES: dict[str, type[Table]] = {"dense": Dense, "sparse": Sparse, "rows": Rows}
