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
from scenarios import OptMsm, Saml

MODES = {"eager": None, "compile": "default", "reduce": "reduce-overhead"}


SCENARIO_MODELS = ("optmsm", "saml")


def network_of(task: dict[str, Any], form: str) -> tuple[torch.nn.Module, list[int]]:
    """The network, and the widths of its tables."""
    fields, aware, width, scenarios = task["fields"], task["aware"], task["width"], task["scenarios"]
    if task["model"] == "optmsm":
        return OptMsm(width, fields, aware, scenarios, form), [width]
    if task["model"] == "saml":
        return Saml((12, 4), fields, scenarios, form), [12, 4]
    options = {"form": form} if task["model"] == "mi-dpg" else {}
    return build(task["model"], width, fields, aware, task["hidden"], **options), [width]


class Trainer:
    """A model, its tables and the data, on one device."""

    def __init__(self, task: dict[str, Any]) -> None:
        torch.manual_seed(1)
        torch.set_num_threads(task["threads"])
        mode, form, embeddings = task["variant"].split("-")
        self.device = torch.device(task["device"])
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("this PyTorch finds no CUDA device; install one built for the driver, or leave torch out")
        self.model, self.batches = task["model"], load(task, self.device)
        self.scenarios, self.per_field = task["scenarios"], task["rows"] // task["fields"]
        network, widths = network_of(task, form)
        network.to(self.device)
        rate = task["learning_rate"]
        # The first table is shared by all scenarios; in a second one each has rows of its own.
        rows = [task["rows"], task["rows"] * task["scenarios"]]
        self.tables = [TABLES[embeddings](rows[i], width, rate, self.device) for i, width in enumerate(widths)]
        parameters = [*network.parameters(), *(p for table in self.tables for p in table.parameters)]
        self.optimiser = torch.optim.Adam(parameters, lr=rate, fused=True)
        loss = network.loss
        look_up = self.look_up
        if embeddings == "dense":
            # The lookup is differentiated with the rest; a sparse gradient or a leaf of its own stays outside.
            loss, self.look_up = lambda ids, *rest: network.loss(look_up(ids), *rest), None
        self.loss = loss if mode == "eager" else torch.compile(loss, mode=MODES[mode], dynamic=False)
        self.reduce = mode == "reduce"
        self.steps = 0

    def look_up(self, ids: torch.Tensor) -> Any:
        if self.model not in SCENARIO_MODELS:
            return self.tables[0].look_up(ids)
        scenario = ids[:, 0] % self.scenarios
        # Every field has the same share of rows: its scenarios' rows stand one after another.
        own = (ids // self.per_field * self.scenarios + scenario[:, None]) * self.per_field + ids % self.per_field
        return tuple(table.look_up(ids if i == 0 else own) for i, table in enumerate(self.tables))

    def step(self) -> torch.Tensor:
        ids, labels = self.batches[self.steps % len(self.batches)]
        self.steps += 1
        if self.model in SCENARIO_MODELS:
            rest = (ids[:, 0] % self.scenarios, labels)
        else:
            rest = (labels, torch.randperm(len(labels), device=self.device) if self.model == "mi-dpg" else None)
        if self.reduce:
            torch.compiler.cudagraph_mark_step_begin()
        total, bce = self.loss(self.look_up(ids) if self.look_up else ids, *rest)
        total.backward()
        self.optimiser.step()
        for table in self.tables:
            table.step()
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
