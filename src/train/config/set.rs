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
