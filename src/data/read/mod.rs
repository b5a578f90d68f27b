//! From `data.path` to chunks of rows whose cells are checked, whatever the files' format; or from tables in memory.

pub(super) mod cells;
pub(super) mod checks;
pub(super) mod compressed;
pub(super) mod csv_file;
pub(super) mod faults;
pub(super) mod filtering;
pub(super) mod inputs;
pub(super) mod lists;
pub(super) mod local_file;
pub(super) mod parquet_file;
pub(super) mod reader;
pub(super) mod remote;
pub(super) mod table;
pub(super) mod tag_checks;
