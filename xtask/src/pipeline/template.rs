//! Text with `{placeholders}`, as the strings of a pipeline file are.
//!
//! `{out}` is where a pipeline writes, `{root}` the workspace, any other name a setting; `{{` and `}}` are braces.

/// The folder that a pipeline writes into.
pub(super) const OUT: &str = "{out}";
/// The folder of the workspace.
pub(super) const ROOT: &str = "{root}";
/// Names that no setting may have.
pub(super) const RESERVED: [&str; 2] = ["out", "root"];

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// `{name}`.
    Name(&'a str),
    /// `{out}`, with the template from there on: what follows decides whose folder is meant.
    Out(&'a str),
}

/// The parts of a template.
///
/// # Errors
/// What is wrong with a brace.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, from_brace) = rest.split_at(at);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        let brace = &from_brace[..1];
        if from_brace[1..].starts_with(brace) {
            pieces.push(Piece::Text(brace));
            rest = &from_brace[2..];
            continue;
        }
        let name = match from_brace[1..].find(['{', '}']) {
            Some(end) if brace == "{" && from_brace[1 + end..].starts_with('}') => &from_brace[1..=end],
            _ => {
                return Err(format!(
                    "`{template}` has a lone `{brace}`; write `{brace}{brace}` for the character"
                ));
            }
        };
        pieces.push(if name == "out" { Piece::Out(from_brace) } else { Piece::Name(name) });
        rest = &from_brace[name.len() + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// `path` as a part of a longer path: whether `template` begins with it and goes on below it, or ends there.
pub(super) fn begins_with_path(template: &str, path: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || "-_.+=~@{".contains(c);
    template.strip_prefix(path).is_some_and(|rest| !rest.starts_with(is_of_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_falls_into_text_and_names() {
        let expected =
            [Piece::Text("a"), Piece::Name("lr"), Piece::Text("{"), Piece::Text("}"), Piece::Out("{out}/x")];
        assert_eq!(pieces("a{lr}{{}}{out}/x").expect("well-formed")[..5], expected);
        assert_eq!(pieces("").expect("well-formed"), []);
    }

    #[test]
    fn a_lone_brace_is_refused_with_the_way_out() {
        for template in ["{lr", "lr}", "{a{b}}", "{"] {
            let error = pieces(template).expect_err("it is no template");
            assert!(error.contains("lone") && error.contains(template), "{error}");
        }
    }

    #[test]
    fn a_path_ends_where_a_name_ends() {
        assert!(begins_with_path("{out}/a.txt\"]", "{out}/a.txt"));
        assert!(begins_with_path("{out}/a/b", "{out}/a"));
        assert!(!begins_with_path("{out}/a.txt.gz", "{out}/a.txt"));
        assert!(!begins_with_path("{out}-data", "{out}"));
    }
}
