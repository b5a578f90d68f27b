//! Schema, readers, vocabularies, encoded columns, splits and synthetic data.

pub mod synthetic;
