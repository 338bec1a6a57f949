//! Regular expressions, in the syntax of the crate `regex`.

use regex_syntax::hir::{Capture, Hir, HirKind, Look, Repetition};

use crate::error::ConstrainError;

/// An expression for the same texts, written without flags, comments and names of groups, of which some mean something to
/// llguidance.
pub(crate) fn plain(pattern: &str) -> Result<String, ConstrainError> {
    let parsed = regex_syntax::parse(pattern).map_err(|error| wrong(pattern, &error))?;
    let hir = without_groups(&parsed, true, true)?;
    if hir.properties().maximum_len() == Some(0) {
        return Err(ConstrainError::Empty("only the empty text matches the regular expression"));
    }
    Ok(hir.to_string())
}

fn wrong(pattern: &str, error: &regex_syntax::Error) -> ConstrainError {
    let (span, message) = match error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        _ => return ConstrainError::Pattern { at: 1, message: error.to_string() },
    };
    ConstrainError::Pattern { at: pattern[..span.start.offset].chars().count() + 1, message }
}

/// Anchors are left out where they say what holds anyhow: at the start and at the end of the text.
fn without_groups(hir: &Hir, at_start: bool, at_end: bool) -> Result<Hir, ConstrainError> {
    let anchor = |hir: &Hir| matches!(hir.kind(), HirKind::Look(Look::Start | Look::End));
    Ok(match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Look(Look::Start) if at_start => Hir::empty(),
        HirKind::Look(Look::End) if at_end => Hir::empty(),
        HirKind::Look(look) => return Err(ConstrainError::PatternFeature(name(*look).to_owned())),
        HirKind::Repetition(repetition) => {
            let mut sub = without_groups(&repetition.sub, false, false)?;
            // Written without a group, `(?:a+)?` would be the lazy `a+?`.
            if matches!(sub.kind(), HirKind::Repetition(_)) {
                sub = Hir::capture(Capture { index: 1, name: None, sub: Box::new(sub) });
            }
            Hir::repetition(Repetition { sub: Box::new(sub), ..repetition.clone() })
        }
        HirKind::Capture(capture) => without_groups(&capture.sub, at_start, at_end)?,
        HirKind::Concat(parts) => {
            let first = parts.iter().position(|part| !anchor(part)).unwrap_or(parts.len());
            let last = parts.iter().rposition(|part| !anchor(part)).unwrap_or(0);
            let part = |(at, part)| without_groups(part, at_start && at <= first, at_end && at >= last);
            Hir::concat(parts.iter().enumerate().map(part).collect::<Result<_, _>>()?)
        }
        HirKind::Alternation(ways) => {
            let way = |way| without_groups(way, at_start, at_end);
            Hir::alternation(ways.iter().map(way).collect::<Result<_, _>>()?)
        }
    })
}

fn name(look: Look) -> &'static str {
    match look {
        Look::Start => "a ^ that is not at the start",
        Look::End => "a $ that is not at the end",
        Look::StartLF | Look::StartCRLF | Look::EndLF | Look::EndCRLF => "a start or end of a line, (?m)",
        _ => r"a word boundary, such as \b",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(pattern: &str, message: &str) {
        let error = plain(pattern).expect_err(pattern).to_string();
        assert!(error.contains(message), "{pattern}: {error}");
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_place() {
        refused("é(b", "wrong at character 2: unclosed group");
        refused(r"a\bc", r"word boundary, such as \b");
        refused("a^b", "a ^ that is not at the start");
        refused("(?:a$)*", "a $ that is not at the end");
        refused("(?m)^a", "(?m)");
        refused("(?=a)", "look-around");
        refused(r"(?-u:\xFF)", "UTF-8");
        refused("", "only the empty text matches");
        refused("^$", "only the empty text matches");
    }

    #[test]
    fn anchors_groups_and_flags_are_written_out() {
        let same = |pattern: &str, expected: &str| assert_eq!(plain(pattern).as_deref(), Ok(expected));
        same("^(?P<stop>ab)$", "(?:ab)");
        same("(?x) a  # any\n b", "(?:ab)");
        same("(^a|^b)c*", "(?:[ab]c*)");
        same("(?:(?P<x>a+)?){2}", "((a+)?){2}");
    }
}
