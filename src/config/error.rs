//! What can be wrong with a configuration, said so that the reader can mend it.

use std::fmt::Display;

use toml::Value;

use super::set;
use crate::data::nearest;

/// A fault in a run's configuration. `origin` is the file, or the `--set` that brought the fault in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file's path.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{file}: {message}")]
    Syntax {
        /// The file's path.
        file: String,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A section or a key outside any section that nothing reads.
    #[error("{origin}: unknown {what}; {hint}")]
    UnknownSection {
        /// File or `--set`.
        origin: String,
        /// The section in brackets, or the key outside any section.
        what: String,
        /// The section's name.
        section: String,
        /// The nearest known section, or all of them.
        hint: String,
    },
    /// A key that nothing reads.
    #[error("{origin}: unknown key `{key}` in [{section}]; {hint}")]
    UnknownKey {
        /// File or `--set`.
        origin: String,
        /// The dotted section.
        section: String,
        /// The key.
        key: String,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{origin}: {key}: expected {expected}, found {found}")]
    Value {
        /// File or `--set`.
        origin: String,
        /// The dotted section and key.
        key: String,
        /// What would have been right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A value that does not fit for a reason of its own.
    #[error("{origin}: {key}: {message}")]
    Other {
        /// File or `--set`.
        origin: String,
        /// The dotted section and key.
        key: String,
        /// The reason.
        message: String,
    },
    /// A key that has no default.
    #[error("{origin}: [{section}] needs the key `{key}`")]
    Missing {
        /// File or `--set`.
        origin: String,
        /// The dotted section.
        section: String,
        /// The key.
        key: String,
    },
    /// A `--set` that is not `key.path=value`, or whose path leads through something that holds no keys.
    #[error("--set {argument}: {reason}")]
    Set {
        /// The argument.
        argument: String,
        /// Why it cannot be applied.
        reason: String,
    },
    /// A value that TOML cannot hold.
    #[error("cannot write {what} as TOML: {reason}")]
    Unwritable {
        /// The section.
        what: String,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// The value of `section.key` in `file` is wrong: what was expected, and what was found.
    pub fn value(file: &str, key: &str, expected: &str, found: &str) -> ConfigError {
        ConfigError::Value {
            origin: file.to_owned(),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    /// `[section]` of `file` has no `key`, which has no default.
    pub fn missing(file: &str, section: &str, key: &str) -> ConfigError {
        ConfigError::Missing { origin: file.to_owned(), section: section.to_owned(), key: key.to_owned() }
    }

    pub(super) fn unknown_key(file: &str, section: &str, key: &str, known: &[&str]) -> ConfigError {
        ConfigError::UnknownKey {
            origin: file.to_owned(),
            section: section.to_owned(),
            key: key.to_owned(),
            hint: hint(key, known, "`", "`", "keys"),
        }
    }

    pub(super) fn unknown_section(file: &str, section: &str, value: &Value, known: &[&str]) -> ConfigError {
        let what = match value {
            Value::Table(_) => format!("section [{section}]"),
            _ => format!("key `{section}` outside any section"),
        };
        let hint = match value {
            Value::Table(_) => hint(section, known, "[", "]", "sections"),
            _ => hint("", known, "[", "]", "sections"),
        };
        ConfigError::UnknownSection { origin: file.to_owned(), what, section: section.to_owned(), hint }
    }

    /// TOML cannot hold the section called `what`.
    pub fn unwritable(what: &str, reason: &dyn Display) -> ConfigError {
        ConfigError::Unwritable { what: what.to_owned(), reason: reason.to_string() }
    }

    /// Names the last of `sets` that wrote the faulty key (or a table around it) as the origin, if there is one.
    pub fn blame(mut self, sets: &[String]) -> ConfigError {
        let (origin, path) = match &mut self {
            ConfigError::UnknownSection { origin, section, .. } => (origin, section.clone()),
            ConfigError::UnknownKey { origin, section, key, .. } => (origin, format!("{section}.{key}")),
            ConfigError::Value { origin, key, .. } | ConfigError::Other { origin, key, .. } => (origin, key.clone()),
            _ => return self,
        };
        let wrote = |set: &&String| match set::target(set) {
            // The fault is at, inside, or (an unknown section that the set created) around what was set.
            Some(target) => within(&path, &target) || within(&target, &path),
            None => false,
        };
        if let Some(set) = sets.iter().rev().find(wrote) {
            *origin = format!("--set {set}");
        }
        self
    }
}

/// Whether the dotted `path` is `outer` or lies inside it.
fn within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn hint(word: &str, known: &[&str], open: &str, close: &str, kind: &str) -> String {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return format!("did you mean {open}{near}{close}?");
    }
    let all: Vec<String> = known.iter().map(|name| format!("{open}{name}{close}")).collect();
    match all.is_empty() {
        true => format!("it takes no {kind}"),
        false => format!("the {kind} are {}", all.join(", ")),
    }
}
