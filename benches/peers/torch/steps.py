"""Training steps of a PyTorch model, timed on request: one line of JSON in, one out (../README.md has the protocol)."""

import json
import os
import sys
import time
import traceback
from typing import Any

import numpy as np
import torch

from embeddings import TABLES
from models import build

MODES = {"eager": None, "compile": "default", "reduce": "reduce-overhead"}


class Trainer:
    """A model, its table and the data, on one device."""

    def __init__(self, task: dict[str, Any]) -> None:
        torch.manual_seed(1)
        torch.set_num_threads(task["threads"])
        mode, form, embeddings = task["variant"].split("-")
        self.device = torch.device(task["device"])
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("this PyTorch finds no CUDA device; install one built for the driver, or leave torch out")
        self.model, self.batches = task["model"], load(task, self.device)
        options = {"form": form} if task["model"] == "mi-dpg" else {}
        network = build(task["model"], task["width"], task["fields"], task["aware"], task["hidden"], **options)
        network.to(self.device)
        rate = task["learning_rate"]
        self.table = TABLES[embeddings](task["rows"], task["width"], rate, self.device)
        parameters = [*network.parameters(), *self.table.parameters]
        self.optimiser = torch.optim.Adam(parameters, lr=rate, fused=True)
        loss = network.loss
        if embeddings == "dense":
            # The lookup is differentiated with the rest; a sparse gradient or a leaf of its own stays outside.
            loss, self.look_up = lambda ids, *rest: network.loss(self.table.look_up(ids), *rest), None
        else:
            self.look_up = self.table.look_up
        self.loss = loss if mode == "eager" else torch.compile(loss, mode=MODES[mode], dynamic=False)
        self.reduce = mode == "reduce"
        self.steps = 0

    def step(self) -> torch.Tensor:
        ids, labels = self.batches[self.steps % len(self.batches)]
        self.steps += 1
        shuffle = torch.randperm(len(labels), device=self.device) if self.model == "mi-dpg" else None
        if self.reduce:
            torch.compiler.cudagraph_mark_step_begin()
        total, bce = self.loss(self.look_up(ids) if self.look_up else ids, labels, shuffle)
        total.backward()
        self.optimiser.step()
        self.table.step()
        self.optimiser.zero_grad()
        return bce

    def run(self, blocks: int, steps: int) -> dict[str, Any]:
        """Milliseconds of a step in each block of steps; a block ends when its last loss has been read."""
        times, losses = [], []
        for _ in range(blocks):
            started = time.perf_counter()
            for _ in range(steps):
                bce = self.step()
            losses.append(bce.item())
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(1e3 * (time.perf_counter() - started) / steps)
        return {"ms": times, "losses": losses}

    def memory(self) -> dict[str, Any]:
        if self.device.type == "cuda":
            return {"bytes": torch.cuda.max_memory_allocated(), "what": "largest sum of the allocator's tensors"}
        return {"bytes": resident("VmHWM") - BASELINE, "what": "growth of resident memory"}


def load(task: dict[str, Any], device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The file's batches, already on the device."""
    samples, fields, batch = task["samples"], task["fields"], task["batch"]
    ids = np.fromfile(task["data"], "<u4", samples * fields).astype(np.int64).reshape(samples, fields)
    labels = np.fromfile(task["data"], "<f4", samples, offset=4 * samples * fields)
    parts = zip(torch.from_numpy(ids).to(device).split(batch), torch.from_numpy(labels).to(device).split(batch))
    return [(ids.contiguous(), labels.contiguous()) for ids, labels in parts if len(labels) == batch]


def resident(line: str) -> int:
    """Bytes of resident memory: now (VmRSS), or at their most (VmHWM)."""
    try:
        with open("/proc/self/status") as status:
            found = [int(text.split()[1]) * 1024 for text in status if text.startswith(line)]
    except OSError:
        found = []
    return found[0] if found else 0


BASELINE = resident("VmRSS")


def answer(trainer: Trainer | None, request: dict[str, Any]) -> tuple[Trainer | None, dict[str, Any]]:
    if "prepare" in request:
        trainer = Trainer(request["prepare"])
        name = torch.cuda.get_device_name() if trainer.device.type == "cuda" else f"{torch.get_num_threads()} threads"
        return trainer, {"ready": f"PyTorch {torch.__version__}, {name}"}
    if trainer is None:
        raise RuntimeError("prepare comes first")
    if "run" in request:
        return trainer, trainer.run(request["run"]["blocks"], request["run"]["steps"])
    if "memory" in request:
        return trainer, trainer.memory()
    raise ValueError(f"unknown request {request}")


def main() -> None:
    # Whatever libraries print goes to stderr: stdout is the protocol's.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    trainer = None
    for line in sys.stdin:
        try:
            trainer, reply = answer(trainer, json.loads(line))
        except Exception as error:  # the other side reports it; the process stays for the log
            traceback.print_exc()
            first = (str(error).strip().splitlines() or [""])[0]
            reply = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    main()
