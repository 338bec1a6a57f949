//! Files that are whole or not there, and locks that die with their holder.
//!
//! Everything Firebrand writes goes this way: into a part beside the target, synced to disk, renamed into place. A
//! process that is killed at any instant, a full disk or a power cut leaves the old file or the new one, never half of
//! either. A part that a killed process left behind is removed by the next one that writes the same file: it is told
//! from that of a process at work by its lock, which the operating system lets go of when its holder dies.
//!
//! Knows nothing of what is in the files.

mod lock;
mod part;

pub use lock::Lock;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use part::Part;

/// Writes a whole file: `path` is afterwards the new one, or after an error still the old one.
///
/// # Errors
/// What the operating system refuses. The message does not name the path.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// [`write()`] for contents that are made bit by bit.
///
/// A link is followed: the file it points to is replaced. What is no regular file (a pipe, `/dev/null`, `/dev/stdout`)
/// cannot be replaced, and is written to directly.
///
/// # Errors
/// Those of `fill`, and what the operating system refuses.
pub fn write_with<T, E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    let before = fs::metadata(path).ok();
    if before.as_ref().is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let mut file = BufWriter::new(File::options().write(true).open(path)?);
        let result = fill(&mut file)?;
        file.flush()?;
        return Ok(result);
    }
    let target = match path.is_symlink() {
        true => fs::canonicalize(path)?,
        false => path.to_path_buf(),
    };
    let mut part = Part::create(&target)?;
    if let Some(before) = before {
        part.file().set_permissions(before.permissions())?;
    }
    let mut file = BufWriter::with_capacity(1 << 16, part.file().try_clone()?);
    let result = fill(&mut file)?;
    file.flush()?;
    part.commit()?;
    Ok(result)
}

/// Waits until the names in a folder are on disk: a rename lasts from then on.
///
/// # Errors
/// What the operating system refuses.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and renames are durable or not without a say.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The folder a path is in: `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts a folder that is complete and synced in the place of another one (or of nothing).
///
/// A folder cannot replace a folder in one step. The old one goes aside first, to the path [`aside`] gives: a process
/// that is killed in between leaves it there, whole.
///
/// # Errors
/// What the operating system refuses; then the old folder is at its place or aside.
pub fn replace_folder(new: &Path, target: &Path) -> io::Result<()> {
    sync_folder(new)?;
    let aside = aside(target);
    if target.exists() {
        remove_folder(&aside)?;
        fs::rename(target, &aside)?;
    }
    fs::rename(new, target)?;
    sync_folder(parent(target))?;
    remove_folder(&aside)
}

/// Puts an old folder back whose process was killed in [`replace_folder`] before the new one was in its place.
///
/// # Errors
/// What the operating system refuses.
pub fn restore_folder(target: &Path) -> io::Result<()> {
    let aside = aside(target);
    if aside.is_dir() && !target.exists() { fs::rename(aside, target) } else { Ok(()) }
}

/// The end of the names of folders that are aside.
pub const ASIDE: &str = ".old";

/// Where [`replace_folder`] puts the old folder for the moment: `NAME.old`.
pub fn aside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(ASIDE);
    target.with_file_name(name)
}

/// Removes a folder and all in it; one that is not there is fine.
///
/// # Errors
/// What the operating system refuses.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_could_not_be_filled_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"half of the ne")?;
            Err::<(), _>(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.txt"]);
        write(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["a.txt".into()]));
    }

    #[test]
    fn parts_of_the_dead_are_removed_and_those_of_the_living_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        let alive = Part::create(&path).unwrap();
        fs::write(dir.path().join(".a.txt.999999-0.part"), b"left by a process that was killed").unwrap();
        fs::write(dir.path().join(".b.txt.999999-0.part"), b"of another file").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
        assert!(names(dir.path()).contains(&".b.txt.999999-0.part".to_string()));
        alive.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"", "the last commit wins");
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written_to_and_links_are_followed() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());

        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_folder_takes_the_place_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let (new, target) = (dir.path().join("new"), dir.path().join("target"));
        for contents in ["one", "two"] {
            fs::create_dir(&new).unwrap();
            fs::write(new.join("file"), contents).unwrap();
            replace_folder(&new, &target).unwrap();
            assert_eq!(fs::read_to_string(target.join("file")).unwrap(), contents);
            assert_eq!(names(dir.path()), ["target"]);
        }
        fs::rename(&target, aside(&target)).unwrap();
        restore_folder(&target).unwrap();
        assert_eq!(names(dir.path()), ["target"]);
        // With a folder in its place, an old one is nothing to go back to.
        fs::create_dir(aside(&target)).unwrap();
        restore_folder(&target).unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "two");
    }
}
