//! From a verified download to the files of the dataset.
//!
//! Only members that the manifest names are taken out of an archive, and each lands under a name that the manifest
//! gives and that cannot hold a folder. So nothing an archive says about paths can matter; what is no regular file is
//! refused, and so is more than the manifest allows for.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;
use zip::ZipArchive;

use super::convert::write_converted;
use super::error::DatasetError;
use super::manifest::{Encoding, Source, Unpack};
use super::source::last_name;
use super::store::ReceivedFile;

/// Puts the files that `path` becomes into `install`, synced; `room` is how many more bytes may come out of archives.
pub(super) fn install(
    source: &Source,
    path: &Path,
    received: &ReceivedFile,
    install: &Path,
    room: &mut u64,
) -> Result<Vec<ReceivedFile>, DatasetError> {
    let as_it_is =
        source.unpack == Unpack::None && source.convert.is_none() && source.encoding == Encoding::Utf8;
    if as_it_is {
        let target = install.join(&source.name);
        fs::rename(path, &target).map_err(DatasetError::io("rename", path))?;
        return Ok(vec![ReceivedFile { origin: None, published: None, ..received.clone() }]);
    }
    let mut installer = Installer { source, archive: path.to_path_buf(), install, room, files: Vec::new() };
    let file = File::open(path).map_err(DatasetError::io("read", path))?;
    let input = BufReader::with_capacity(1 << 18, file);
    match source.unpack {
        Unpack::None => installer.put(&source.name, input)?,
        Unpack::Gz => installer.put(&source.unpacked()[0], MultiGzDecoder::new(input))?,
        Unpack::Zip => installer.zip(input)?,
        Unpack::Tar => installer.tar(input)?,
        Unpack::TarGz => installer.tar(MultiGzDecoder::new(input))?,
    }
    let files = installer.files;
    fs::remove_file(path).map_err(DatasetError::io("remove", path))?;
    Ok(files)
}

struct Installer<'a> {
    source: &'a Source,
    archive: PathBuf,
    install: &'a Path,
    room: &'a mut u64,
    files: Vec<ReceivedFile>,
}

impl Installer<'_> {
    fn zip(&mut self, input: BufReader<File>) -> Result<(), DatasetError> {
        let mut archive = ZipArchive::new(input).map_err(|error| self.broken(error))?;
        for member in &self.source.members {
            let file = match archive.by_name(member) {
                Ok(file) => file,
                Err(zip::result::ZipError::FileNotFound) => return Err(self.lacks(member)),
                Err(error) => return Err(self.broken(format!("{member}: {error}"))),
            };
            // The upper four bits of a Unix mode are the kind of file: a regular one, or nothing said.
            let kind = file.unix_mode().unwrap_or(0) & 0o170_000;
            if file.is_dir() || !matches!(kind, 0 | 0o100_000) {
                return Err(self.broken(format!("{member} is no regular file, and is not unpacked")));
            }
            self.put(last_name(member), file)?;
        }
        Ok(())
    }

    fn tar(&mut self, input: impl Read) -> Result<(), DatasetError> {
        let mut archive = tar::Archive::new(input);
        let mut found = vec![false; self.source.members.len()];
        for entry in archive.entries().map_err(|error| self.broken(error))? {
            let entry = entry.map_err(|error| self.broken(error))?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = path.strip_prefix("./").unwrap_or(&path);
            let Some(place) = self.source.members.iter().position(|member| member == path) else { continue };
            if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
                return Err(self.broken(format!("{path} is no regular file, and is not unpacked")));
            }
            if std::mem::replace(&mut found[place], true) {
                return Err(self.broken(format!("{path} is in there twice")));
            }
            self.put(last_name(path), entry)?;
        }
        match found.iter().position(|found| !found) {
            Some(place) => Err(self.lacks(&self.source.members[place])),
            None => Ok(()),
        }
    }

    /// Writes one file.
    fn put(&mut self, name: &str, input: impl Read) -> Result<(), DatasetError> {
        let name = self.source.converted_name(name);
        let target = self.install.join(&name);
        let input = Limited { input, room: self.room };
        let (bytes, sha256) = write_converted(self.source, input, &self.archive, &target)?;
        self.files.push(ReceivedFile { name, bytes, sha256, origin: None, published: None });
        Ok(())
    }

    fn lacks(&self, member: &str) -> DatasetError {
        self.broken(format!("there is no {member} in it"))
    }

    fn broken(&self, reason: impl std::fmt::Display) -> DatasetError {
        let reason = format!("cannot unpack it: {reason}");
        DatasetError::Unpack { path: self.archive.clone(), reason }
    }
}

/// Reads until there is no room left.
struct Limited<'a, R> {
    input: R,
    room: &'a mut u64,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        match self.room.checked_sub(count as u64) {
            Some(left) => *self.room = left,
            None => {
                let message = "it unpacks to more bytes than the manifest allows (unpacked_limit)";
                return Err(std::io::Error::other(message));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
