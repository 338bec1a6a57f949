//! The trainer: optimizer, schedule, step, checkpoint and resume, metrics.
