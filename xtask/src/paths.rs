//! Paths as people read them.

use std::env;
use std::path::{Path, PathBuf};

/// `path` relative to the current directory where it lies inside it, else as it is.
pub(crate) fn relative(path: &Path) -> PathBuf {
    let inside = env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    inside.filter(|inside| !inside.as_os_str().is_empty()).unwrap_or_else(|| path.to_path_buf())
}

/// [`relative`], for a message.
pub(crate) fn shown(path: &Path) -> String {
    relative(path).display().to_string()
}

/// [`shown`], for a program to start: one in the current directory needs its `./`.
pub(crate) fn shown_program(path: &Path) -> String {
    let shown = relative(path);
    let here = shown.components().count() == 1 && path.components().count() > 1;
    if here { Path::new(".").join(shown).display().to_string() } else { shown.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_inside_the_current_directory_are_shortened() {
        let here = env::current_dir().expect("there is a current directory");
        assert_eq!(shown(&here.join("runs/x")), "runs/x");
        assert_eq!(shown(&here), here.display().to_string());
        assert_eq!(shown(Path::new("runs/x")), "runs/x");
        assert_eq!(shown_program(&here.join("firebrand")), "./firebrand");
        assert_eq!(shown_program(Path::new("firebrand")), "firebrand");
    }
}
