//! `firebrand data fetch`: datasets from the network, from a folder, or made here.

use crate::args::{FetchDataArgs, Global};
use crate::exit::usage;
use crate::interrupt;
use crate::named;
use crate::output::{bar, complain, line, say, size};
use firebrand_corpus::datasets::{Event, Fetched, Manifest, Options, SplitName, Store, fetch};
use indicatif::ProgressBar;
use serde_json::json;

pub(crate) fn run(args: &FetchDataArgs, global: &Global) -> anyhow::Result<()> {
    let store = named::store(args.store.dir.as_deref());
    // All names are looked up before anything is downloaded.
    let mut manifests = Vec::new();
    for name in &args.names {
        manifests.push(store.manifest(name)?);
    }
    for path in &args.manifest {
        manifests.push(Manifest::read(path)?);
    }
    if args.from.is_some() && manifests.iter().any(Manifest::is_generated) {
        return Err(usage("--from: the built-in corpus is generated; leave --from out"));
    }
    let options = Options {
        mirrors: args.mirror.clone(),
        from: args.from.clone(),
        variant: args.variant.clone(),
        force: args.force,
        timeout: args.timeout,
        retries: args.retries,
    };
    interrupt::end_with("stopped; what came so far is kept, and the same command goes on from there")?;
    let mut failed = None;
    for manifest in &manifests {
        match one(manifest, &store, &options, global) {
            Ok(()) => {}
            // The others are none the worse for it.
            Err(error) if failed.is_some() => complain(format_args!("error: {error:#}")),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn one(manifest: &Manifest, store: &Store, options: &Options, global: &Global) -> anyhow::Result<()> {
    let mut view = View::new(manifest, global);
    let fetched = fetch(manifest, store, options, &mut |event| view.show(&event));
    view.bar.finish_and_clear();
    let fetched = fetched?;
    report(manifest, &fetched, global)
}

fn report(manifest: &Manifest, fetched: &Fetched, global: &Global) -> anyhow::Result<()> {
    let Fetched { receipt, folder, already } = fetched;
    let name = &manifest.name;
    let bytes: u64 = receipt.files.iter().map(|file| file.bytes).sum();
    if global.json {
        line(json!({
            "name": name, "folder": folder, "already": already, "variant": receipt.variant, "bytes": bytes,
            "fetched": receipt.fetched, "splits": receipt.splits, "sources": receipt.sources,
        }))?;
    }
    let form = receipt.variant.as_ref().map_or(String::new(), |variant| format!(", form `{variant}`"));
    let what = format!("{} in {} ({}{form})", size(bytes), folder.display(), splits(manifest, fetched));
    if *already {
        say(global, format!("{name}: here already: {what}; --force fetches it again"));
        return Ok(());
    }
    say(global, format!("{name}: {what}"));
    let pinned = receipt.pinned().count();
    if pinned > 0 && receipt.variant.is_some() {
        let note = manifest.variants.iter().find(|variant| Some(&variant.name) == receipt.variant.as_ref());
        let note = note.map_or("", |variant| variant.description.as_str());
        say(global, format!("  this form is: {note}; no checksums are published for it"));
    } else {
        for file in receipt.pinned() {
            let (name, sha256) = (&file.name, &file.sha256);
            say(global, format!("  {name}: sha256 {sha256} pinned: no published checksum"));
        }
    }
    if !manifest.licence_note.is_empty() {
        say(global, format!("  licence: {}: {}", manifest.licence, manifest.licence_note));
    }
    Ok(())
}

/// The splits that are here, and those that are not.
fn splits(manifest: &Manifest, fetched: &Fetched) -> String {
    let names = |here: bool| -> Vec<&str> {
        let is_here = |split: &&SplitName| fetched.receipt.splits.contains_key(split);
        manifest.splits.keys().filter(|split| is_here(split) == here).map(|split| split.name()).collect()
    };
    match names(false).as_slice() {
        [] => names(true).join(", "),
        missing => format!("{}; no {}", names(true).join(", "), missing.join(", no ")),
    }
}

/// Shows how far a fetch is: one bar over all files of a dataset.
struct View<'a> {
    global: &'a Global,
    name: &'a str,
    bar: ProgressBar,
    /// The file the bar is at, and how many bytes those before it have.
    file: String,
    before: u64,
    at: u64,
}

impl<'a> View<'a> {
    fn new(manifest: &'a Manifest, global: &'a Global) -> Self {
        let (bytes, _) = manifest.bytes();
        let template =
            "{msg} {bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}, {eta} left";
        let bar = bar(global, bytes, template);
        Self { global, name: &manifest.name, bar, file: String::new(), before: 0, at: 0 }
    }

    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { action, file, total } => {
                if self.file != *file {
                    self.file = file.to_string();
                    self.before += std::mem::take(&mut self.at);
                }
                self.bar.set_message(format!("{action} {file}"));
                let end = self.before + total.unwrap_or(0);
                if self.bar.length().is_some_and(|length| length < end) {
                    self.bar.set_length(end);
                }
            }
            Event::At(bytes) => {
                self.at = *bytes;
                self.bar.set_position(self.before + bytes);
            }
            Event::Resumed { file, at } => self.tell(format!("{file}: going on after {}", size(*at))),
            Event::Retrying { reason, wait, .. } => {
                self.tell(format!("{reason}; trying again in {:.1} s", wait.as_secs_f64()));
            }
            Event::GivenUp { reason, .. } => self.tell(reason.to_string()),
            Event::Damaged(reason) => self.tell(format!("{reason}; fetching it again")),
        }
    }

    fn tell(&self, text: String) {
        self.bar.suspend(|| say(self.global, format!("{}: {text}", self.name)));
    }
}
