//! `--set key.path=value`.

use toml::{Table, Value};

use super::ConfigError;
use super::section::describe;

/// Applies one `key.path=value` to a document, creating tables on the way.
///
/// The value is read as TOML (`0.1`, `true`, `["a", "b"]`, `"text"`); anything that is not TOML is a string, so
/// `data.path=/x/y z.parquet` needs no quotes. A number in the path picks an element of an array that is there.
///
/// # Errors
/// Without a `=`, with an empty or malformed path, with an unfinished array, table or quotation, or when the path
/// leads through a value that holds no keys.
pub fn apply_set(document: &mut Table, argument: &str) -> Result<(), ConfigError> {
    let fault = |reason: String| ConfigError::Set { argument: argument.to_owned(), reason };
    let Some((key, value)) = argument.split_once('=') else {
        return Err(fault("expected key=value, such as train.epochs=5".to_owned()));
    };
    let path = split_path(key)
        .ok_or_else(|| fault(format!("`{}` is not a key; expected section.key, such as train.epochs", key.trim())))?;
    let value = read_value(value.trim()).map_err(fault)?;
    set_value(document, &path, value).map_err(fault)
}

/// Applies overrides in order, as [`apply_set`]; then leaves out what choices that they replaced have of their own
/// ([`leave_out_replaced`]), and returns what that was.
///
/// # Errors
/// Those of [`apply_set`].
pub fn apply_sets(document: &mut Table, sets: &[String]) -> Result<Vec<String>, ConfigError> {
    let before = document.clone();
    for set in sets {
        apply_set(document, set)?;
    }
    let paths: Vec<Vec<String>> = sets.iter().filter_map(|set| split_path(set.split_once('=')?.0)).collect();
    Ok(leave_out_replaced(&before, document, &paths))
}

/// A key whose value decides which other keys its table has.
struct Choice {
    /// The path of the table; `*` stands for any key.
    table: &'static [&'static str],
    key: &'static str,
    default: Option<&'static str>,
    /// The values, and what keys each brings along.
    values: &'static [(&'static str, &'static [&'static str])],
}

const CHOICES: [Choice; 3] = [
    Choice {
        table: &["data", "split"],
        key: "by",
        default: None,
        values: &[
            ("column", &["column", "train", "valid", "test"]),
            ("time", &["column", "valid", "test"]),
            ("seed", &["seed", "valid", "test"]),
        ],
    },
    Choice {
        table: &["data", "fields", "*"],
        key: "kind",
        default: Some("category"),
        values: &[
            ("category", &["type", "min_count", "top", "hash", "cross"]),
            ("bucket", &["buckets", "boundaries"]),
            ("numeric", &["transform"]),
            (
                "tags",
                &["type", "min_count", "top", "hash", "separator", "pooling", "weights", "max_length", "vocabulary"],
            ),
        ],
    },
    Choice {
        table: &["train"],
        key: "schedule",
        default: Some("constant"),
        values: &[
            ("constant", &[]),
            ("linear", &["end_factor"]),
            ("cosine", &["end_factor"]),
            ("step", &["decay_steps", "decay_factor"]),
        ],
    },
];

impl Choice {
    /// The value that a table has chosen.
    fn of<'a>(&self, table: &'a Table) -> Option<&'a str> {
        table.get(self.key).map_or(self.default, Value::as_str)
    }

    /// The keys that a value brings along; `None` for a value that there is not.
    fn keys(&self, value: &str) -> Option<&'static [&'static str]> {
        self.values.iter().find(|(known, _)| *known == value).map(|(_, keys)| *keys)
    }
}

/// Whether a key that both values of a choice have means the same with both: a split by a column's values has names where
/// others have shares.
fn means_the_same(before: &str, now: &str) -> bool {
    (before == "column") == (now == "column")
}

/// Where a document makes another choice than `before` did, removes the keys that came with the old one and that none of
/// the paths `set` gives; returns their dotted names. A choice that there is not is left as it is, for its own error.
pub fn leave_out_replaced(before: &Table, document: &mut Table, set: &[Vec<String>]) -> Vec<String> {
    let mut left_out = Vec::new();
    for choice in CHOICES {
        for path in matching(before, choice.table) {
            let (Some(old), Some(new)) = (table_at(before, &path), table_at_mut(document, &path)) else { continue };
            let (Some(was), Some(is)) = (choice.of(old), choice.of(new)) else { continue };
            let (Some(had), Some(has)) = (choice.keys(was), choice.keys(is)) else { continue };
            if was == is {
                continue;
            }
            let is_kept = |key: &str| has.contains(&key) && means_the_same(was, is);
            // Alone, or with a whole table.
            let is_set = |key: &str| {
                let is_key =
                    |set: &[String]| set.split_last().is_some_and(|(last, above)| last == key && above == path);
                set.iter().any(|set| is_key(set) || path.starts_with(set))
            };
            let foreign =
                |key: &&String| *key != choice.key && had.contains(&key.as_str()) && !is_kept(key) && !is_set(key);
            let keys: Vec<String> = old.keys().filter(foreign).cloned().collect();
            for key in keys.into_iter().filter(|key| new.remove(key).is_some()) {
                left_out.push(format!("{}.{key}", path.join(".")));
            }
        }
    }
    left_out
}

/// Paths of the tables that a pattern, in which `*` stands for any key, finds.
fn matching(document: &Table, pattern: &[&str]) -> Vec<Vec<String>> {
    let Some((first, rest)) = pattern.split_first() else { return vec![Vec::new()] };
    let under = |(key, value): (&String, &Value)| {
        let table = value.as_table().filter(|_| *first == "*" || first == key)?;
        let mut paths = matching(table, rest);
        paths.iter_mut().for_each(|path| path.insert(0, key.clone()));
        Some(paths)
    };
    document.iter().filter_map(under).flatten().collect()
}

fn table_at<'a>(document: &'a Table, path: &[String]) -> Option<&'a Table> {
    path.iter().try_fold(document, |table, key| table.get(key)?.as_table())
}

fn table_at_mut<'a>(document: &'a mut Table, path: &[String]) -> Option<&'a mut Table> {
    path.iter().try_fold(document, |table, key| table.get_mut(key)?.as_table_mut())
}

/// Puts `value` at `path` in a document, creating tables on the way.
///
/// # Errors
/// Says why when the path is empty or leads through a value that holds no keys.
pub fn set_value(document: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    let Some((last, tables)) = path.split_last() else {
        return Err("the key is empty".to_owned());
    };
    let mut place = Place::Table(document);
    for (depth, part) in tables.iter().enumerate() {
        place = place.descend(part, &path[..depth])?;
    }
    place.put(last, value, tables)
}

/// The argument of a `--set` that sets `key` to `value`, as [`apply_set`] reads it.
pub fn set_argument(key: &str, value: &Value) -> String {
    match value {
        // Without quotes where it is read as the same text without them.
        Value::String(text) if read_value(text.trim()).is_ok_and(|read| read == *value) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    }
}

/// The dotted path that an argument sets, if it is well formed.
pub fn target(argument: &str) -> Option<String> {
    let (key, _) = argument.split_once('=')?;
    Some(split_path(key)?.join("."))
}

/// A container on the way to the key.
enum Place<'a> {
    Table(&'a mut Table),
    Array(&'a mut Vec<Value>),
}

impl<'a> Place<'a> {
    /// The container under `part`; `above` is the path so far, for messages.
    fn descend(self, part: &str, above: &[String]) -> Result<Place<'a>, String> {
        let value = match self {
            Place::Table(table) => table.entry(part).or_insert_with(|| Value::Table(Table::new())),
            Place::Array(array) => element(array, part, above)?,
        };
        match value {
            Value::Table(table) => Ok(Place::Table(table)),
            Value::Array(array) => Ok(Place::Array(array)),
            other => {
                let path = [above, &[part.to_owned()]].concat().join(".");
                Err(format!("`{path}` is {}, which has no keys", describe(other)))
            }
        }
    }

    fn put(self, part: &str, value: Value, above: &[String]) -> Result<(), String> {
        match self {
            Place::Table(table) => {
                table.insert(part.to_owned(), value);
            }
            Place::Array(array) => *element(array, part, above)? = value,
        }
        Ok(())
    }
}

fn element<'a>(array: &'a mut [Value], part: &str, above: &[String]) -> Result<&'a mut Value, String> {
    let (path, length) = (above.join("."), array.len());
    part.parse::<usize>().ok().and_then(|index| array.get_mut(index)).ok_or_else(|| {
        format!("`{path}` is an array of {length}; `{part}` is not one of its places, which count from 0")
    })
}

/// The parts of a dotted key, quoted parts included, read by the TOML parser itself.
pub fn split_path(key: &str) -> Option<Vec<String>> {
    let key = key.trim();
    if key.contains(['\n', '\r', '#', '=']) {
        return None;
    }
    let mut table: Table = format!("{key} = 0").parse().ok()?;
    let mut path = Vec::new();
    loop {
        let (part, value) = table.into_iter().next()?;
        path.push(part);
        match value {
            Value::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

fn read_value(text: &str) -> Result<Value, String> {
    match text.parse::<Value>() {
        Ok(value) => Ok(value),
        // Meant as TOML: a string in its place would only confuse.
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
            Err(format!("the value is not TOML: {} (to mean it literally, quote it)", error.message()))
        }
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_override_and_create() {
        let mut table = Table::new();
        for set in [
            "train.epochs=0",
            "model.name=dnn",
            "data.path=/x/y z.parquet",
            "data.aware=[\"a\",\"b\"]",
            "data.label = click",
            "data.quoted='1'",
            "data.\"a.b\".min_count=2",
            "data.glob=day=*/part-#1.csv",
            "model.mir=true",
            "train.learning_rate=1e-2",
            "data.empty=",
            "data.sequence=[{column=\"h\"}]",
            "data.sequence.0.max_length=5",
        ] {
            apply_set(&mut table, set).unwrap();
        }
        let expected: Table = r#"
            train.epochs = 0
            model.name = "dnn"
            data.path = "/x/y z.parquet"
            data.aware = ["a", "b"]
            data.label = "click"
            data.quoted = "1"
            data."a.b".min_count = 2
            data.glob = "day=*/part-#1.csv"
            model.mir = true
            train.learning_rate = 1e-2
            data.empty = ""
            data.sequence = [{ column = "h", max_length = 5 }]
        "#
        .parse()
        .unwrap();
        assert_eq!(table, expected);
    }

    #[test]
    fn another_choice_leaves_out_what_only_the_old_one_has() {
        let before =
            "[data.split]\nby = 'time'\ncolumn = 't'\nvalid = 0.2\n[data.fields.age]\nkind = 'bucket'\nbuckets = 9";
        let after = |sets: &[&str]| {
            let mut table: Table = before.parse().unwrap();
            let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
            let left_out = apply_sets(&mut table, &sets).unwrap();
            (table["data"].as_table().unwrap().clone(), left_out)
        };
        let (data, left_out) = after(&["data.split.by=seed"]);
        assert_eq!(left_out, ["data.split.column"]);
        assert_eq!(data["split"], "by = 'seed'\nvalid = 0.2".parse::<Table>().unwrap().into());
        // What an override sets stays, for the error that it deserves; shares are no names.
        let (data, left_out) = after(&["data.split.column=s", "data.split.by=column"]);
        assert_eq!(left_out, ["data.split.valid"]);
        assert_eq!(data["split"], "by = 'column'\ncolumn = 's'".parse::<Table>().unwrap().into());
        let (data, left_out) = after(&["data.fields.age.kind=numeric"]);
        assert_eq!(left_out, ["data.fields.age.buckets"]);
        assert_eq!(data["fields"]["age"], "kind = 'numeric'".parse::<Table>().unwrap().into());
        assert_eq!(after(&["data.split.by=sede", "data.split.valid=0.1"]).1, [""; 0]);
        let (data, left_out) = after(&["data.split={by='column', column='s', valid='v'}"]);
        assert_eq!(left_out, [""; 0]);
        assert_eq!(data["split"]["valid"].as_str(), Some("v"));
    }

    #[test]
    fn malformed_sets_say_why() {
        let fault = |set: &str| {
            let mut table: Table = "[train]\nepochs = 3\n[data]\nsequence = [{}]".parse().unwrap();
            apply_set(&mut table, set).unwrap_err().to_string()
        };
        assert_eq!(fault("foo"), "--set foo: expected key=value, such as train.epochs=5");
        assert_eq!(fault("=1"), "--set =1: `` is not a key; expected section.key, such as train.epochs");
        assert_eq!(fault("a..b=1"), "--set a..b=1: `a..b` is not a key; expected section.key, such as train.epochs");
        assert_eq!(fault("train.epochs.max=1"), "--set train.epochs.max=1: `train.epochs` is 3, which has no keys");
        assert_eq!(
            fault("data.sequence.1.column=h"),
            "--set data.sequence.1.column=h: `data.sequence` is an array of 1; `1` is not one of its places, which count from 0"
        );
        assert!(fault("data.aware=[a, b]").starts_with("--set data.aware=[a, b]: the value is not TOML: "));
    }
}
