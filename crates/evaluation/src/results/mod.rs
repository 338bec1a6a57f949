//! What models answered, what that is worth, and how sure it is.

mod answers;
mod metrics;
mod report;

pub use answers::{Answers, ChoiceAnswer, ClozeAnswer, LabelAnswer, PairAnswer, Scored, TextAnswer};
pub use metrics::{Better, Metric, Shown, metrics, of_groups};
pub use report::{Difference, GroupReport, MetricReport, TaskReport, Value, report};
