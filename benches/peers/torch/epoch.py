"""One epoch of MovieLens-1M in PyTorch, end to end: reading, encoding, training, AUC and LogLoss of two splits.

    python epoch.py ml-1m.parquet --model dnn

The table, the split and the options are those of examples/movielens-1m.toml.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings import TABLES, Table
from models import build

AWARE = ["scenario", "age", "gender", "occupation"]
FIELDS = [*AWARE, "user_id", "movie_id", "zip", "genre"]
WIDTH, HIDDEN, BATCH, RATE = 16, [128, 64, 32], 512, 1e-3


def load(path: Path) -> tuple[dict[str, tuple[Tensor, Tensor]], int]:
    """{split: (rows of one table [N, 8], labels [N])}, and the table's rows. Values that train lacks are row 0 of a field."""
    table = pq.read_table(path, columns=[*FIELDS, "label", "split"])
    split = table["split"]
    places = {name: np.flatnonzero(pc.equal(split, name).to_numpy()) for name in ("train", "valid", "test")}
    ids, offset = np.empty((len(table), len(FIELDS)), np.int64), 0
    for at, name in enumerate(FIELDS):
        encoded = pc.dictionary_encode(table[name].combine_chunks())
        codes = encoded.indices.to_numpy()
        seen = np.zeros(len(encoded.dictionary), bool)
        seen[codes[places["train"]]] = True
        rows = np.where(seen, np.cumsum(seen), 0)
        ids[:, at] = rows[codes] + offset
        offset += int(seen.sum()) + 1
    labels = table["label"].to_numpy().astype(np.float32)
    tensors = {name: (torch.from_numpy(ids[at]), torch.from_numpy(labels[at])) for name, at in places.items()}
    return tensors, offset


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Exact, by rank, ties averaged."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    positives = labels.sum()
    return (ranks[labels > 0].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


@torch.no_grad()
def measure(network: nn.Module, table: Table, ids: Tensor, labels: Tensor) -> tuple[float, float]:
    logits = torch.cat([network(F.embedding(part, table.weight).flatten(1)) for part in ids.split(8192)])
    logits, labels = logits.double().cpu(), labels.double().cpu()
    return auc(labels.numpy(), logits.numpy()), F.binary_cross_entropy_with_logits(logits, labels).item()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", choices=["dnn", "mi-dpg"], default="dnn")
    parser.add_argument("--device", default="cpu")
    # The table is small: a dense update of all of it costs less than finding a batch's rows.
    parser.add_argument("--embeddings", choices=list(TABLES), default="dense")
    args = parser.parse_args()

    torch.manual_seed(1)
    device = torch.device(args.device)
    began = time.perf_counter()
    data, rows = load(args.data)
    data = {name: (ids.to(device), labels.to(device)) for name, (ids, labels) in data.items()}
    ids, labels = data["train"]
    options = {"scale": 2.0, "weight": 0.05} if args.model == "mi-dpg" else {}
    network = build(args.model, WIDTH, len(FIELDS), len(AWARE), HIDDEN, **options).to(device)
    table = TABLES[args.embeddings](rows, WIDTH, RATE, device)
    optimiser = torch.optim.Adam([*network.parameters(), *table.parameters], lr=RATE, fused=True)

    trained = time.perf_counter()
    sum_of_losses = torch.zeros((), device=device)
    batches = torch.randperm(len(ids), device=device).split(BATCH)
    for at in batches:
        shuffle = torch.randperm(len(at), device=device) if args.model == "mi-dpg" else None
        total, _ = network.loss(table.look_up(ids[at]), labels[at], shuffle)
        total.backward()
        optimiser.step()
        table.step()
        optimiser.zero_grad()
        sum_of_losses += total.detach()
    loss = sum_of_losses.item() / len(batches)
    took = time.perf_counter() - trained
    print(f"read and encoded in {trained - began:.1f} s, trained in {took:.1f} s")
    metrics = [(name, *measure(network, table, *data[name])) for name in ("valid", "test")]
    print(f"epoch 1   train loss {loss:.4f}  " + "  ".join(f"{n} AUC {a:.4f} LogLoss {l:.4f}" for n, a, l in metrics))


if __name__ == "__main__":
    main()
