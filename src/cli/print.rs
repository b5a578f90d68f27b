//! Results on standard output.

use anyhow::Context;

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("as JSON")?;
    print_line(&text)
}

/// Prints a line. Unlike `println!` it does not panic when nobody reads it.
pub(super) fn print_line(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")
}
