//! From `data.path` to chunks of rows whose cells are checked, whatever the files' format.

pub(super) mod cells;
pub(super) mod checks;
pub(super) mod compressed;
pub(super) mod csv_file;
pub(super) mod faults;
pub(super) mod inputs;
pub(super) mod parquet_file;
pub(super) mod reader;
