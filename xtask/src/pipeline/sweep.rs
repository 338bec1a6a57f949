//! The points of a sweep: which values the swept keys take together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sha2::{Digest, Sha256};
use toml::Value;

use super::check;
use super::file::Pipeline;
use super::values::{Key, Values, assignment, plain};
use crate::failure::Failure;

/// Swept keys and their values; none outside a sweep.
pub(super) type Point = Vec<(Key, Value)>;

/// The points that the file and the options `--sweep` ask for; one empty point without a sweep.
///
/// # Errors
/// An unknown key, a value of the wrong kind, a point that is there twice.
pub(super) fn points(pipeline: &Pipeline, options: &[String], values: &Values) -> Result<Vec<Point>> {
    let mut grid: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
    for (text, swept) in &pipeline.sweep.grid {
        grid.insert(check::key(pipeline, "sweep.grid", text)?, swept.clone());
    }
    let list = list(pipeline)?;
    for option in options {
        let (text, typed) = assignment("--sweep", option, "KEY=A,B,C, such as --sweep seed=0,1,2")?;
        let wrong = |wrong: String| Failure::Usage(format!("--sweep {option}: {wrong}"));
        let key = Key::parse(pipeline, text).map_err(wrong)?;
        if list.iter().flatten().any(|(listed, _)| *listed == key) {
            return Err(wrong(format!("the pipeline's own list of points sets `{key}`")).into());
        }
        let swept = typed.split(',').map(|value| values.typed(&key, value.trim()));
        grid.insert(key.clone(), swept.collect::<Result<Vec<_>, _>>().map_err(wrong)?);
    }
    let mut points = if list.is_empty() { vec![Point::new()] } else { list };
    for (key, swept) in grid {
        let with = |point: &Point, value: &Value| {
            point.iter().cloned().chain([(key.clone(), value.clone())]).collect::<Point>()
        };
        points = points.iter().flat_map(|point| swept.iter().map(|value| with(point, value))).collect();
    }
    if points.is_empty() {
        return Err(pipeline.wrong("[sweep]: a key has no values"));
    }
    let mut seen = BTreeSet::new();
    for point in &points {
        let mut tried = values.clone();
        for (key, value) in point {
            tried
                .set(key, value.clone())
                .map_err(|wrong| pipeline.wrong(format!("[sweep] {key}: {wrong}")))?;
        }
        if !seen.insert(label(point)) {
            return Err(pipeline.wrong(format!("[sweep]: {} is there twice", label(point))));
        }
    }
    Ok(points)
}

fn list(pipeline: &Pipeline) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for entry in &pipeline.sweep.list {
        let point =
            entry.iter().map(|(text, value)| Ok((check::key(pipeline, "sweep.list", text)?, value.clone())));
        points.push(point.collect::<Result<Point>>()?);
    }
    let keys = |point: &Point| point.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    if points.windows(2).any(|pair| keys(&pair[0]) != keys(&pair[1])) {
        return Err(pipeline.wrong("[sweep] list: every point must set the same keys"));
    }
    Ok(points)
}

/// `lr=0.001,steps=100`, fit to be the name of a folder.
pub(super) fn label(point: &Point) -> String {
    const LONGEST: usize = 100;
    let exact =
        point.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect::<Vec<_>>().join(",");
    let is_plain = |c: char| c.is_alphanumeric() || "-_.,=+".contains(c);
    let plain: String = exact.chars().map(|c| if is_plain(c) { c } else { '_' }).take(LONGEST).collect();
    if plain == exact {
        return exact;
    }
    // Two values may have become one: the hash keeps them apart.
    let hash = Sha256::digest(exact.as_bytes());
    format!("{plain}-{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3])
}
