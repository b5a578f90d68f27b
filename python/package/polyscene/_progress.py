"""What training tells while it runs, and showing it on a terminal or in a notebook."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any, Optional, TypedDict


class Event(TypedDict, total=False):
    """What a callback given as `progress` is called with. `kind` says which other keys there are.

    - `"progress"`: `what` is done, `done` of `total` in `unit` (`"bytes"`, `"rows"`, `"steps"` or `""`); `total` is 0 where it is not
      known; `logloss`, with steps, is the epoch's mean so far, None where it is not known yet. At most ten a second.
    - `"progress_end"`: that ended.
    - `"epoch"`: `record` is what `metrics.jsonl` holds of it, `text` the same for people.
    - `"result"`: `result` is what `result.json` will hold.
    - `"message"` and `"warning"`: `text`, one line or several.
    """

    kind: str
    what: str
    done: int
    total: int
    unit: str
    logloss: Optional[float]
    text: str
    record: dict[str, Any]
    result: dict[str, Any]


class Progress:
    """Shows training: bars of tqdm where it is installed (`tqdm.auto` makes widgets of them in notebooks), and lines.

    Lines go to `sys.stderr` as it is at the time, so that notebooks show them. Without tqdm there are no bars; a line every ten
    seconds says how far the epoch is.
    """

    _SECONDS = 10.0

    def __init__(self) -> None:
        try:
            self._tqdm: Any = importlib.import_module("tqdm.auto").tqdm
        except ImportError:
            self._tqdm = None
        self._bar: Any = None
        self._what = ""
        self._told = time.monotonic()

    def __call__(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "progress":
            self._show(event)
            return
        self._end()
        if kind == "result":
            self._write("test rows: " + _metrics(event["result"]["test"]))
        elif "text" in event:
            self._write(event["text"])

    def _show(self, event: Event) -> None:
        what, done, total = event["what"], event["done"], event["total"]
        logloss = event.get("logloss")
        if self._tqdm is None:
            self._show_line(what, done, total, logloss)
            return
        if what != self._what:
            self._end()
        if self._bar is None:
            is_bytes = event["unit"] == "bytes"
            unit = {"bytes": "B", "rows": " rows", "steps": " steps"}.get(event["unit"], "")
            self._bar = self._tqdm(
                desc=what,
                total=total or None,
                initial=done,
                unit=unit,
                unit_scale=is_bytes,
                leave=False,
                file=sys.stderr,
            )
            self._what = what
        self._bar.total = total or None
        if logloss is not None:
            self._bar.set_postfix_str(f"LogLoss {logloss:.4f}", refresh=False)
        self._bar.update(done - self._bar.n)

    def _show_line(self, what: str, done: int, total: int, logloss: float | None) -> None:
        if what != self._what:
            self._what, self._told = what, time.monotonic()
        if time.monotonic() - self._told < self._SECONDS:
            return
        self._told = time.monotonic()
        share = f" {100 * done / total:.0f} %" if total else ""
        loss = f"  LogLoss {logloss:.4f}" if logloss is not None else ""
        self._write(f"{what}{share}{loss}")

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @staticmethod
    def _write(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _metrics(metrics: dict[str, Any]) -> str:
    """The metrics over all scenarios, for people."""
    shown = [("AUC", "auc"), ("LogLoss", "logloss"), ("GAUC", "gauc")]
    numbers = [f"{name} {metrics[key]:.4f}" for name, key in shown if metrics.get(key) is not None]
    return "  ".join(numbers) or "none"
