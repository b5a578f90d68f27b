//! Tables and summaries of results, as text and as JSON, and pages with pictures.
//!
//! *Stability*: file names and keys of JSON and CSV stay; the look of pages does not.

pub mod bench;
pub mod chart;
pub mod comparison;
pub mod html;
pub mod importance;
pub mod table;
pub mod tsne;
