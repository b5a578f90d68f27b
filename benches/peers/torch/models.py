"""`dnn` and `mi-dpg` (decomposition r, d_k 1, interleave, MIR by shuffle) in PyTorch, with three forms of the weighted layer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FORMS = ("outputs", "inputs", "matrix")


def linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Dnn(nn.Module):
    def __init__(self, width: int, fields: int, hidden: list[int]) -> None:
        super().__init__()
        sizes = [fields * width, *hidden, 1]
        self.layers = nn.ModuleList(linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)[:, 0]

    def loss(self, x: Tensor, labels: Tensor, shuffle: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is minimised, and its cross entropy."""
        bce = F.binary_cross_entropy_with_logits(self(x), labels)
        return bce, bce.detach()


class Weighted(nn.Module):
    """(psi(S) * W) h + b with S = sigmoid(S_R C_share), and the discriminator of S."""

    def __init__(self, aware: int, inputs: int, outputs: int, form: str, scale: float, auxiliary: int = 32) -> None:
        super().__init__()
        self.form, self.scale = form, scale
        self.inputs, self.outputs = inputs, outputs
        self.rows, self.cols = max(1, outputs // 4), max(1, inputs // 4)
        self.main = linear(inputs, outputs)
        self.row = nn.Sequential(linear(aware + inputs, auxiliary), nn.ReLU(), linear(auxiliary, self.rows))
        self.column_share = nn.Parameter(torch.randn(self.cols))
        # The discriminator's first layer is split: B S serves the true and the shuffled pair, A e is computed once.
        whole = linear(aware + self.rows * self.cols, auxiliary)
        self.from_aware = nn.Parameter(whole.weight.detach()[:, :aware].clone())
        self.from_weighting = nn.Parameter(whole.weight.detach()[:, aware:].clone())
        self.discriminator_bias = nn.Parameter(torch.zeros(auxiliary))
        self.score = linear(auxiliary, 1)

    def forward(self, aware: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        s = torch.sigmoid(self.row(torch.cat([aware, h], 1))[:, :, None] * self.column_share)
        out = getattr(self, self.form)(s, h) * self.scale if self.scale != 1.0 else getattr(self, self.form)(s, h)
        return out + self.main.bias, s

    def outputs_form(self, s: Tensor, h: Tensor) -> Tensor:
        """Each input block's share of the outputs, then summed with the weights: B x d_c x d_m, never B x d_n x d_m."""
        batch = len(h)
        w = self.main.weight.T.reshape(self.cols, self.inputs // self.cols, self.outputs)
        z = torch.bmm(h.view(batch, self.cols, -1).transpose(0, 1), w)
        z = z.view(self.cols, batch, self.rows, self.outputs // self.rows)
        return (s.permute(2, 0, 1)[..., None] * z).sum(0).reshape(batch, self.outputs)

    def inputs_form(self, s: Tensor, h: Tensor) -> Tensor:
        """The input scaled for each output block, then multiplied by that block's weights: B x d_r x d_n."""
        batch = len(h)
        scaled = (s[..., None] * h.view(batch, 1, self.cols, -1)).view(batch, self.rows, self.inputs)
        w = self.main.weight.view(self.rows, self.outputs // self.rows, self.inputs).transpose(1, 2)
        return torch.bmm(scaled.transpose(0, 1), w).transpose(0, 1).reshape(batch, self.outputs)

    def matrix_form(self, s: Tensor, h: Tensor) -> Tensor:
        """As the papers' authors would write it: every sample's d_m x d_n matrix is built."""
        whole = s.repeat_interleave(self.outputs // self.rows, 1).repeat_interleave(self.inputs // self.cols, 2)
        return torch.bmm(whole * self.main.weight, h[:, :, None])[:, :, 0]

    def mutual_information(self, aware: Tensor, s: Tensor, shuffle: Tensor) -> Tensor:
        a = F.linear(aware, self.from_aware)
        b = F.linear(s.flatten(1), self.from_weighting, self.discriminator_bias)
        positive, negative = self.score(torch.relu(a + b)), self.score(torch.relu(a[shuffle] + b))
        return (F.softplus(-positive) + F.softplus(negative)).mean()


class MiDpg(nn.Module):
    def __init__(
        self,
        width: int,
        fields: int,
        aware: int,
        hidden: list[int],
        form: str = "outputs",
        scale: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.aware, self.weight = aware * width, weight
        sizes = [fields * width, *hidden, 1]
        method = f"{form}_form"
        self.layers = nn.ModuleList(Weighted(self.aware, a, b, method, scale) for a, b in zip(sizes, sizes[1:]))

    def whole(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits, and the distinct weights of each layer."""
        aware, weightings = x[:, : self.aware], []
        for l, layer in enumerate(self.layers):
            x, s = layer(aware, x)
            x = torch.relu(x) if l + 1 < len(self.layers) else x
            weightings.append(s)
        return x[:, 0], weightings

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x)[0]

    def loss(self, x: Tensor, labels: Tensor, shuffle: Tensor) -> tuple[Tensor, Tensor]:
        """What is minimised, and its cross entropy."""
        logits, weightings = self.whole(x)
        bce = F.binary_cross_entropy_with_logits(logits, labels)
        aware = x[:, : self.aware]
        terms = [l.mutual_information(aware, s, shuffle) for l, s in zip(self.layers, weightings)]
        return bce + self.weight * torch.stack(terms).mean(), bce.detach()


def build(name: str, width: int, fields: int, aware: int, hidden: list[int], **options) -> Dnn | MiDpg:
    if name == "dnn":
        return Dnn(width, fields, hidden)
    if name == "mi-dpg":
        return MiDpg(width, fields, aware, hidden, **options)
    raise ValueError(f"no model {name!r} here; there are dnn and mi-dpg")
