//! What the new ids of a sequence have to be, under any strategy.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::error::DecodeError;

/// Says what may follow new ids, without their prompt.
///
/// It is a function of those ids alone: beams, drafts and batches ask for many sequences, in any order.
pub trait Constraint: Send + Sync {
    /// Bans what may not follow: its logit becomes minus infinity. The others stay as they are; none may be left.
    ///
    /// # Errors
    /// Where it cannot be known, for want of memory or time. The generation fails.
    fn allow(&self, new_ids: &[u32], logits: &mut [f32]) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Whether these ids meet it and nothing but end-of-text may follow. The sequence ends there, with or without that id.
    fn is_complete(&self, new_ids: &[u32]) -> bool;
}

/// A [`Constraint`], or none.
#[derive(Clone, Default)]
pub struct Constrained(Option<Arc<dyn Constraint>>);

impl Constrained {
    /// New ids have to be what `constraint` says.
    pub fn by(constraint: impl Constraint + 'static) -> Self {
        Self(Some(Arc::new(constraint)))
    }

    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn allow(&self, new_ids: &[u32], logits: &mut [f32]) -> Result<(), DecodeError> {
        let allow = |constraint: &Arc<dyn Constraint>| constraint.allow(new_ids, logits);
        self.0.as_ref().map_or(Ok(()), allow).map_err(DecodeError::Constraint)
    }

    pub(crate) fn is_complete(&self, new_ids: &[u32]) -> bool {
        self.0.as_ref().is_some_and(|constraint| constraint.is_complete(new_ids))
    }
}

impl fmt::Debug for Constrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() { "Constrained::by(…)" } else { "Constrained(None)" })
    }
}

/// Equal only to itself and its clones.
impl PartialEq for Constrained {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
