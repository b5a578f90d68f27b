"""Reads a folder's event files with TensorBoard's own reader and prints {tag: [[step, value], ...]} as JSON."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# 0: every event, not a sample of them.
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
json.dump({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}, sys.stdout)
