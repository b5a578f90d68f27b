//! Configurations from files and dictionaries.

use std::path::PathBuf;

use polyscene::Config;
use polyscene::config::set_argument;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString};
use toml::{Table, Value};

use crate::errors::exception;

/// What messages call a configuration that is no file, and what its runs are called by default.
const NO_FILE: &str = "config";

/// Reads a configuration: a TOML file's path, or a dictionary of its sections. `overrides` are keys as `--set` has them.
pub(crate) fn read(config: &Bound<'_, PyAny>, overrides: &Bound<'_, PyDict>) -> PyResult<Config> {
    let py = config.py();
    let mut sets = Vec::new();
    for (key, value) in overrides {
        let Ok(key) = key.extract::<String>() else {
            return Err(PyTypeError::new_err(format!("overrides: expected keys like \"train.epochs\", found {key:?}")));
        };
        if let Some(value) = toml_value(&value, &format!("overrides[\"{key}\"]"))? {
            sets.push(set_argument(&key, &value));
        }
    }
    let read = match config.cast::<PyDict>() {
        Ok(sections) => {
            let text = toml::to_string(&toml_table(sections, NO_FILE)?)
                .map_err(|error| PyValueError::new_err(format!("{NO_FILE}: cannot be written as TOML: {error}")))?;
            Config::from_toml(&text, NO_FILE, &sets)
        }
        Err(_) => match config.extract::<PathBuf>() {
            Ok(path) => Config::load(path, &sets),
            Err(_) => {
                let found = config.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "config: expected the path of a TOML file or a dict of its sections, found {found}"
                )));
            }
        },
    };
    read.map_err(|error| exception(py, error.into()))
}

fn toml_table(dict: &Bound<'_, PyDict>, place: &str) -> PyResult<Table> {
    let mut table = Table::new();
    for (key, value) in dict {
        let Ok(name) = key.extract::<String>() else {
            return Err(PyTypeError::new_err(format!("{place}: expected keys that are strings, found {key:?}")));
        };
        if let Some(value) = toml_value(&value, &format!("{place}.{name}"))? {
            table.insert(name, value);
        }
    }
    Ok(table)
}

/// A value of Python as TOML has it; nothing where it is `None`, which stands for a key that is left out. NumPy's numbers are taken
/// for what they are.
fn toml_value(value: &Bound<'_, PyAny>, place: &str) -> PyResult<Option<Value>> {
    let wrong = |what: &str| -> PyResult<PyErr> {
        let found = value.get_type().name()?;
        Ok(PyTypeError::new_err(format!("{place}: expected {what}, found {found}")))
    };
    if value.is_none() {
        return Ok(None);
    }
    // Before numbers: Python's booleans are such.
    if let Ok(truth) = value.extract::<bool>() {
        return Ok(Some(truth.into()));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Some(value.extract::<String>()?.into()));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(Some(toml_table(dict, place)?.into()));
    }
    if value.is_instance_of::<PyInt>() || (value.hasattr("__index__")? && !value.hasattr("__len__")?) {
        return match value.extract::<i64>() {
            Ok(number) => Ok(Some(number.into())),
            Err(_) => Err(wrong("a whole number of 64 bits")?),
        };
    }
    if value.is_instance_of::<PyFloat>() || (value.hasattr("__float__")? && !value.hasattr("__len__")?) {
        return Ok(Some(value.extract::<f64>()?.into()));
    }
    if let Ok(path) = value.extract::<PathBuf>() {
        return match path.to_str() {
            Some(path) => Ok(Some(path.into())),
            None => Err(wrong("a path that is UTF-8")?),
        };
    }
    let Ok(items) = value.try_iter() else {
        return Err(wrong("a string, a number, a boolean, a list or a dict")?);
    };
    let mut array = Vec::new();
    for (at, item) in items.enumerate() {
        let place = format!("{place}[{at}]");
        match toml_value(&item?, &place)? {
            Some(item) => array.push(item),
            None => return Err(PyTypeError::new_err(format!("{place}: expected a value, found None"))),
        }
    }
    Ok(Some(array.into()))
}
