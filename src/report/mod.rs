//! Tables and summaries of results, as text and as JSON.

pub mod bench;
pub mod comparison;
pub mod table;
