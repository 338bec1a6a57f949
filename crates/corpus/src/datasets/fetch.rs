//! Brings a dataset here: downloaded, copied or generated, verified, unpacked, and put in place as a whole.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firebrand_durable::Lock;

use super::download::Downloader;
use super::error::DatasetError;
use super::local::{self, Form};
use super::manifest::{Manifest, Source};
use super::store::{MANIFEST, RECEIPT, Receipt, ReceivedFile, Store};
use super::{generate, unpack};
use crate::digest;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses to try before those of the manifest. One with a path holds the files by name, one without stands in
    /// for the original host.
    pub mirrors: Vec<String>,
    /// A folder to copy from instead of downloading.
    pub from: Option<PathBuf>,
    /// The form the files in `from` have: `original`, or a variant; found out when `None`.
    pub variant: Option<String>,
    /// Fetches again what is here.
    pub force: bool,
    /// For how long a server may send nothing.
    pub timeout: Duration,
    /// How often an address is tried again after a failure that may pass.
    pub retries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            from: None,
            variant: None,
            force: false,
            timeout: Duration::from_secs(30),
            retries: 3,
        }
    }
}

/// What is going on.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Something is begun with a file.
    Begin {
        /// What: `downloading`, `copying`, `generating`, `checking`, `unpacking`.
        action: &'static str,
        /// The file.
        file: &'a str,
        /// How many bytes there are, where that is known.
        total: Option<u64>,
    },
    /// So many bytes of it are done.
    At(u64),
    /// A download goes on where it was cut off.
    Resumed {
        /// The file.
        file: &'a str,
        /// How many bytes were here already.
        at: u64,
    },
    /// An address failed and is tried again, after a pause.
    Retrying {
        /// The file.
        file: &'a str,
        /// What was wrong.
        reason: &'a str,
        /// The pause.
        wait: Duration,
    },
    /// An address failed for good.
    GivenUp {
        /// The file.
        file: &'a str,
        /// What was wrong.
        reason: &'a str,
    },
    /// What was here already is not as it was fetched, and is fetched again.
    Damaged(&'a str),
}

/// A dataset that is here now.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// What came and from where.
    pub receipt: Receipt,
    /// Where its files are.
    pub folder: PathBuf,
    /// Whether it was here before.
    pub already: bool,
}

/// What a file's checksum is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) sha256: Option<&'a str>,
    pub(super) bytes: Option<u64>,
    pub(super) published: bool,
}

impl Expected<'_> {
    pub(super) fn authority(&self) -> &'static str {
        if self.published { "published, in the manifest" } else { "pinned by the first fetch" }
    }
}

/// Brings a dataset into the store, unless it is there.
///
/// What was here before stays until the new files are complete and verified. A fetch that is interrupted, however that
/// happens, is gone on with by the next one.
///
/// # Errors
/// No address gave a file, a file has another checksum than it should, an archive must not be unpacked, or the
/// operating system refuses something.
pub fn fetch(
    manifest: &Manifest,
    store: &Store,
    options: &Options,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Fetched, DatasetError> {
    let name = &manifest.name;
    let (work, data) = (store.fetching(name), store.data(name));
    if !options.force
        && let Some(receipt) = intact(store, name, report)?
    {
        return Ok(Fetched { receipt, folder: data, already: true });
    }
    // Before anything is made: a folder that will not do is no reason to leave traces.
    let form = match &options.from {
        Some(folder) => Some(local::form(manifest, folder, options.variant.as_deref())?),
        None => None,
    };
    fs::create_dir_all(&work).map_err(DatasetError::io("create", &work))?;
    let lock_path = work.join("lock");
    let lock = Lock::take(&lock_path).map_err(DatasetError::io("write", &lock_path))?;
    let lock = lock.map_err(|holder| DatasetError::Busy { folder: store.root().join(name), holder })?;
    firebrand_durable::restore_folder(&data).map_err(DatasetError::io("rename", &data))?;
    // Another process may have fetched it while this one looked.
    let before = store.receipt(name).ok().flatten();
    if !options.force
        && let Some(receipt) = intact(store, name, report)?
    {
        return Ok(Fetched { receipt, folder: data, already: true });
    }

    let install = work.join("install");
    firebrand_durable::remove_folder(&install).map_err(DatasetError::io("remove", &install))?;
    fs::create_dir(&install).map_err(DatasetError::io("create", &install))?;
    let receipt = match form {
        Some(Form::Variant { variant, splits }) => {
            let folder = options.from.as_deref().expect("a form was found in it");
            local::copy_variant(manifest, variant, splits, folder, &install, report)?
        }
        Some(Form::Original) | None => {
            let mut fetching = Fetching { manifest, options, work: &work, install: &install, before };
            fetching.original(report)?
        }
    };
    put_in_place(manifest, &receipt, &install, &data)?;
    // Best effort: what is left is overwritten by the next fetch.
    drop(lock);
    let _ = fs::remove_dir_all(&work);
    Ok(Fetched { receipt, folder: data, already: false })
}

/// The receipt of a dataset whose files are all there in their sizes.
fn intact(
    store: &Store,
    name: &str,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Option<Receipt>, DatasetError> {
    if !store.data(name).join(RECEIPT).exists() {
        return Ok(None);
    }
    match store.open(name) {
        Ok(dataset) => Ok(Some(dataset.receipt)),
        Err(error @ DatasetError::Damaged { .. }) => {
            report(Event::Damaged(&error.to_string()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Writes manifest and receipt beside the files and renames the folder.
fn put_in_place(
    manifest: &Manifest,
    receipt: &Receipt,
    install: &Path,
    data: &Path,
) -> Result<(), DatasetError> {
    let texts = [
        (MANIFEST, toml::to_string(manifest).expect("what was read from TOML can be written as TOML")),
        (RECEIPT, toml::to_string(receipt).expect("a receipt has nothing that TOML cannot say")),
    ];
    for (name, text) in texts {
        let path = install.join(name);
        firebrand_durable::write(&path, text.as_bytes()).map_err(DatasetError::io("write", &path))?;
    }
    firebrand_durable::replace_folder(install, data).map_err(DatasetError::io("create", data))
}

/// The original form on its way here.
struct Fetching<'a> {
    manifest: &'a Manifest,
    options: &'a Options,
    work: &'a Path,
    install: &'a Path,
    /// The receipt of the fetch before this one, whose pins hold.
    before: Option<Receipt>,
}

impl Fetching<'_> {
    fn original(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<Receipt, DatasetError> {
        let mut receipt = Receipt::new(&self.manifest.name, None);
        let downloader = Downloader::new(self.work, self.options);
        let mut room = self.manifest.unpacked_limit;
        let mut sources = Vec::new();
        // All are fetched before one is unpacked: a download that fails costs nobody an unpacking.
        for source in &self.manifest.files {
            let received = match (&source.generate, &self.options.from) {
                (Some(recipe), _) => generate::make(source, recipe, self.work, report)?,
                (None, Some(folder)) => local::copy_verified(
                    self.manifest,
                    source,
                    self.expected(source),
                    folder,
                    self.work,
                    report,
                )?,
                (None, None) => {
                    let addresses = source.addresses(self.manifest, &self.options.mirrors);
                    downloader.download(
                        source,
                        &addresses,
                        self.expected(source),
                        self.pinned_in(),
                        report,
                    )?
                }
            };
            sources.push(received);
        }
        for (source, received) in self.manifest.files.iter().zip(&sources) {
            if source.unpack != super::manifest::Unpack::None || source.convert.is_some() {
                report(Event::Begin { action: "unpacking", file: &source.name, total: None });
            }
            let path = self.work.join(&received.name);
            receipt.files.extend(unpack::install(source, &path, received, self.install, &mut room)?);
        }
        receipt.sources = sources;
        receipt.splits =
            self.manifest.splits.iter().map(|(&name, split)| (name, split.files.clone())).collect();
        Ok(receipt)
    }

    fn expected<'b>(&'b self, source: &'b Source) -> Expected<'b> {
        if let Some(sha256) = &source.sha256 {
            return Expected { sha256: Some(sha256), bytes: source.bytes, published: true };
        }
        let pins = self.before.as_ref().filter(|before| before.variant.is_none());
        let mut pins = pins.into_iter().flat_map(|before| &before.sources);
        let pin = pins.find(|file| file.name == source.name);
        Expected { sha256: pin.map(|pin| pin.sha256.as_str()), bytes: source.bytes, published: false }
    }

    /// The folder to remove for someone who wants to let go of the pins.
    fn pinned_in(&self) -> PathBuf {
        self.install.parent().and_then(Path::parent).unwrap_or(self.install).join("data")
    }
}

/// The checksum of a file that has just come, with progress.
pub(super) fn checksum(
    path: &Path,
    file: &str,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<String, DatasetError> {
    let total = fs::metadata(path).map_err(DatasetError::io("read", path))?.len();
    report(Event::Begin { action: "checking", file, total: Some(total) });
    let (report, done) = (RefCell::new(report), Cell::new(0));
    let sha256 = digest::of_file(path, &|bytes| {
        done.set(done.get() + bytes);
        (*report.borrow_mut())(Event::At(done.get()));
    })?;
    Ok(sha256)
}

/// A file that is verified.
pub(super) fn received(source: &Source, bytes: u64, sha256: String, origin: String) -> ReceivedFile {
    let published = Some(source.sha256.is_some());
    ReceivedFile { name: source.name.clone(), bytes, sha256, origin: Some(origin), published }
}
