//! What may follow the ids so far, remembered by those ids.

use std::collections::HashMap;

use llguidance::Matcher;
use llguidance::api::StopReason;
use toktrie::SimpleVob;

/// How many ids are kept, of all states together: some sixty megabytes. A search, a batch of many draws or a draft ask for as many
/// states as they have sequences, at each step.
const MOST: usize = 1 << 19;

/// As much memory as so many ids take what does not grow with them.
const OVERHEAD: usize = 128;

/// All that was asked lately.
pub(crate) struct States {
    first: State,
    known: HashMap<Vec<u32>, Known>,
    /// Of all that are known together, and what it may be.
    size: usize,
    most: usize,
    /// Counts what was asked and learned.
    clock: u64,
}

struct Known {
    /// Nothing where these ids are not to be.
    state: Option<State>,
    /// When it was asked for last.
    at: u64,
}

/// What may follow some ids.
pub(crate) struct State {
    matcher: Matcher,
    /// Ids whose bytes may follow, of the vocabulary.
    allowed: SimpleVob,
    /// Whether the text may end.
    pub(crate) may_end: bool,
}

impl State {
    /// # Errors
    /// When the parser gives up, as what it says.
    fn new(mut matcher: Matcher, vocab_size: usize) -> Result<Self, String> {
        let (mut allowed, mut may_end) = (SimpleVob::alloc(vocab_size), true);
        // It stops by itself where the text has to end.
        if matcher.stop_reason() != StopReason::NoExtension {
            may_end = matcher.is_accepting().map_err(message)?;
            // Afterwards it takes nothing, where nothing is allowed.
            let before = matcher.clone();
            match matcher.compute_mask() {
                Ok(mask) => (0..vocab_size as u32)
                    .filter(|&id| mask.get(id as usize))
                    .for_each(|id| allowed.allow_token(id)),
                Err(error) if is_no_token(&error) => matcher = before,
                Err(error) => return Err(message(error)),
            }
        }
        Ok(Self { matcher, allowed, may_end })
    }

    pub(crate) fn is_allowed(&self, id: u32) -> bool {
        (id as usize) < self.allowed.len() && self.allowed.get(id as usize)
    }

    /// Whether no token can follow.
    pub(crate) fn is_last(&self) -> bool {
        self.allowed.is_zero()
    }

    /// After one id more; nothing if it may not follow.
    fn extend(&self, id: u32) -> Result<Option<Self>, String> {
        if !self.is_allowed(id) {
            return Ok(None);
        }
        let mut matcher = self.matcher.clone();
        matcher.consume_token(id).map_err(message)?;
        Self::new(matcher, self.allowed.len()).map(Some)
    }
}

impl States {
    /// Of a matcher that was fed nothing, for a vocabulary of so many ids.
    pub(crate) fn new(matcher: Matcher, vocab_size: usize) -> Result<Self, String> {
        let first = State::new(matcher, vocab_size)?;
        Ok(Self { first, known: HashMap::new(), size: 0, most: MOST, clock: 0 })
    }

    pub(crate) fn first(&self) -> &State {
        &self.first
    }

    /// After these ids; nothing if they may not be there.
    ///
    /// # Errors
    /// When the parser gives up, as what it says.
    pub(crate) fn after(&mut self, ids: &[u32]) -> Result<Option<&State>, String> {
        // From the longest that is known, one id after the other.
        let known = (1..=ids.len()).rev().find(|&len| self.known.contains_key(&ids[..len])).unwrap_or(0);
        for len in known..ids.len() {
            let state = match self.get(&ids[..len]) {
                Some(state) => state.extend(ids[len])?,
                None => None,
            };
            self.remember(&ids[..=len], state);
        }
        if let Some(known) = self.known.get_mut(ids) {
            self.clock += 1;
            known.at = self.clock;
        }
        Ok(self.get(ids))
    }

    fn get(&self, ids: &[u32]) -> Option<&State> {
        if ids.is_empty() { Some(&self.first) } else { self.known.get(ids)?.state.as_ref() }
    }

    fn remember(&mut self, ids: &[u32], state: Option<State>) {
        let size = |ids: &[u32]| ids.len() + OVERHEAD;
        self.size += size(ids);
        if self.size > self.most {
            // Half of them go, those that were not asked for the longest.
            let mut times: Vec<u64> = self.known.values().map(|known| known.at).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or(0);
            self.known.retain(|_, known| known.at > middle);
            self.size = size(ids) + self.known.keys().map(|ids| size(ids)).sum::<usize>();
        }
        self.clock += 1;
        self.known.insert(ids.to_vec(), Known { state, at: self.clock });
    }
}

/// Whether the parser says that no token may follow, for which it has no other sign.
fn is_no_token(error: &impl ToString) -> bool {
    error.to_string().starts_with(&StopReason::NoExtensionBias.to_string())
}

/// What llguidance says, in one line, without its note on how verbose that is.
pub(crate) fn message(error: impl ToString) -> String {
    let words = error.to_string().replace("<non-verbose/>", "");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use llguidance::ParserFactory;
    use llguidance::api::TopLevelGrammar;
    use toktrie::ApproximateTokEnv;

    /// Of bytes.
    fn states(pattern: &str, most: usize) -> States {
        let factory = ParserFactory::new_simple(&ApproximateTokEnv::single_byte_env()).expect("a factory");
        let parser = factory.create_parser(TopLevelGrammar::from_regex(pattern));
        States { most, ..States::new(Matcher::new(parser), 256).expect("a state") }
    }

    fn ids(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    #[test]
    fn what_was_forgotten_is_found_again() {
        let (mut few, mut all) = (states("(ab|ba|c)*", 3 * OVERHEAD + 30), states("(ab|ba|c)*", MOST));
        let mut texts = vec!["abccbaab", "ab", "bac", "cccccccc", "abb", "", "abccbaabc", "aa", "bac"];
        texts.extend(["c"; 20]);
        texts.extend(["abccbaab", "cab"]);
        for text in texts {
            let seen = |state: Option<&State>| {
                state.map(|state| {
                    (state.may_end, (0..256).filter(|&id| state.is_allowed(id)).collect::<Vec<u32>>())
                })
            };
            assert_eq!(
                seen(few.after(&ids(text)).expect("a state")),
                seen(all.after(&ids(text)).expect("a state")),
                "{text}"
            );
            assert!(few.known.len() <= 3);
        }
    }

    #[test]
    fn one_id_more_is_one_state_more() {
        let mut states = states("[ab]*", MOST);
        for len in 1..=50 {
            assert!(states.after(&ids(&"ab".repeat(25))[..len]).expect("a state").is_some());
            assert_eq!(states.known.len(), len);
        }
    }
}
