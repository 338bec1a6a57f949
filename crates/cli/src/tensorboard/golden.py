#!/usr/bin/env python3
"""Makes golden.tfevents: what TensorBoard's own writer makes of the series in tests.rs.

    python golden.py        (tensorboard 2.21; no TensorFlow)
"""
from pathlib import Path
from tempfile import TemporaryDirectory

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

START = 1_764_000_000
SERIES = [
    (1, 0.5, [("loss/train", 5.545177), ("lr", 0.0), ("grad_norm", 1.25), ("tokens_per_s", 1234.0)]),
    (20, 2.0, [("loss/train", 3.25), ("lr", 1e-3), ("grad_norm", 0.75), ("tokens_per_s", 98765.0),
               ("loss/val", 3.5), ("bits_per_byte/val", 2.125)]),
    (3_000_000_000, 86400.25, [("loss/train", 1e-8), ("lr", 3e-4), ("grad_norm", 123456.789),
                               ("tokens_per_s", 1.0)]),
]

with TemporaryDirectory() as folder:
    writer = EventFileWriter(folder)
    for step, seconds, values in SERIES:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values])
        writer.add_event(Event(wall_time=START + seconds, step=step, summary=summary))
    writer.close()
    (written,) = Path(folder).iterdir()
    (Path(__file__).parent / "golden.tfevents").write_bytes(written.read_bytes())
