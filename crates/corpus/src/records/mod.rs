//! Records of named fields: JSON lines, CSV, TSV, Parquet; all but Parquet also compressed with gzip or zstd.
//!
//! A [`RecordReader`] gives the [`Record`]s of one file in order, one at a time, and says where in the file something is
//! wrong. What the fields mean is for others to know: [`sources`](crate::sources) makes documents of one of them.
//!
//! | format | file names | a record is |
//! |---|---|---|
//! | JSON lines | `.jsonl` `.ndjson` `.json` | an object a line |
//! | CSV | `.csv` | a row as in RFC 4180: fields in quotes may hold commas, line ends and doubled quotes |
//! | TSV | `.tsv` | a line, its fields separated by tabs; quotes are characters like others |
//! | Parquet | `.parquet` | a row; of nested columns, a field is JSON text |

mod caught;
mod delimited;
mod field;
mod format;
mod json_lines;
mod parquet;
mod reader;
mod record;

pub use field::Field;
pub use format::Format;
pub use reader::RecordReader;
pub(crate) use record::no_such_field;
pub use record::{Record, Value};
