//! The engine's errors as Python's exceptions, whose classes are in `polyscene/_errors.py`.

use pyo3::prelude::*;

use polyscene::train::told;

/// The exception of an error: its class is that of the program's exit code, its text what the program prints.
pub(crate) fn exception(py: Python<'_>, error: polyscene::Error) -> PyErr {
    let class = match error.exit_code() {
        2 => "ConfigError",
        3 => "DataError",
        4 => "DeviceError",
        6 => "RunError",
        _ => "Error",
    };
    named(py, class, told(&error))
}

/// An exception of a class of `polyscene._errors`.
pub(crate) fn named(py: Python<'_>, class: &str, text: String) -> PyErr {
    let made =
        py.import("polyscene._errors").and_then(|module| module.getattr(class)).and_then(|class| class.call1((text,)));
    match made {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}
