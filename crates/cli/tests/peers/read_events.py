#!/usr/bin/env python3
"""Prints what TensorBoard reads in a folder: {"tag": [[step, value, wall time], ...], ...}.

    python read_events.py FOLDER        (tensorboard; no TensorFlow)
"""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# 0: every value, none sampled away.
accumulator = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
accumulator.Reload()
tags = accumulator.Tags()["scalars"]
print(json.dumps({tag: [[event.step, event.value, event.wall_time] for event in accumulator.Scalars(tag)] for tag in tags}))
