//! What becomes of a downloaded file: its addresses, and the files it turns into.

use ureq::http::Uri;

use super::manifest::{Convert, Manifest, Source, Unpack};

impl Source {
    /// The files it becomes, by name: itself, what is in it, what that is converted to.
    pub fn installs(&self) -> Vec<String> {
        self.unpacked().iter().map(|name| self.converted_name(name)).collect()
    }

    /// The files it becomes before they are converted.
    pub(super) fn unpacked(&self) -> Vec<String> {
        match self.unpack {
            Unpack::None => vec![self.name.clone()],
            Unpack::Gz => vec![self.name.strip_suffix(".gz").unwrap_or(&self.name).to_owned()],
            Unpack::Zip | Unpack::Tar | Unpack::TarGz => {
                self.members.iter().map(|member| last_name(member).to_owned()).collect()
            }
        }
    }

    /// What a file is called after conversion.
    pub(super) fn converted_name(&self, name: &str) -> String {
        match &self.convert {
            Some(Convert::LabelLines | Convert::Separated(_)) => {
                let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                format!("{stem}.jsonl")
            }
            None => name.to_owned(),
        }
    }

    /// Where to look for it, best first: on every mirror, then at its own addresses.
    pub(super) fn addresses(&self, manifest: &Manifest, mirrors: &[String]) -> Vec<String> {
        let own: Vec<String> = match self.urls.is_empty() {
            true => manifest.base_urls.iter().map(|base| under(base, &self.name)).collect(),
            false => self.urls.clone(),
        };
        let mut addresses = Vec::new();
        for mirror in mirrors {
            match has_path(mirror) {
                // A folder of files under their names.
                true => addresses.push(under(mirror, &self.name)),
                // A host that has everything where the original host has it.
                false => addresses.extend(own.iter().map(|url| on_host(mirror, url))),
            }
        }
        addresses.extend(own);
        addresses.dedup();
        addresses
    }
}

/// The part of a path behind its last slash.
pub(super) fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn under(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

fn has_path(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| uri.path().len() > 1)
}

/// `url` with the scheme and host of `mirror`.
fn on_host(mirror: &str, url: &str) -> String {
    let path = url.parse::<Uri>().ok();
    let path = path.as_ref().and_then(Uri::path_and_query).map_or("/", |path| path.as_str());
    format!("{}{path}", mirror.trim_end_matches('/'))
}

/// Whether a text is an address that can be downloaded from.
pub fn is_address(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn manifest(files: &str) -> Manifest {
        let head = "name='a'\ntitle='A'\nlicence='unknown'\nkind='text'\nbase_urls=['https://a.org/x/']\n";
        let tail = "\n[splits.train]\nfiles=['a.txt']\nformat='text'\nboundary='line'";
        Manifest::parse(&format!("{head}files = [{files}]{tail}"), "test").unwrap()
    }

    #[test]
    fn a_mirror_with_a_path_holds_files_by_name_and_one_without_replaces_the_host() {
        let manifest = manifest("{name='a.txt'}, {name='b.txt', urls=['http://b.org:80/y/b?c=1']}");
        let mirrors = ["https://m.org".to_string(), "http://n.org/all/".to_string()];
        let addresses = |i: usize| manifest.files[i].addresses(&manifest, &mirrors);
        assert_eq!(
            addresses(0),
            ["https://m.org/x/a.txt", "http://n.org/all/a.txt", "https://a.org/x/a.txt"]
        );
        assert_eq!(
            addresses(1),
            ["https://m.org/y/b?c=1", "http://n.org/all/b.txt", "http://b.org:80/y/b?c=1"]
        );
    }

    #[test]
    fn addresses_are_web_addresses() {
        assert!(is_address("https://a.org/b") && is_address("http://127.0.0.1:80"));
        assert!(!is_address("ftp://a.org/b") && !is_address("a.org/b") && !is_address("https://"));
    }
}
