//! Subcommands, one file each: parsing, progress and exit codes, nothing else.
