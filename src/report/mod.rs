//! Tables and summaries of results, as text and as JSON, and pages with pictures.

pub mod bench;
pub mod chart;
pub mod comparison;
pub mod html;
pub mod table;
pub mod tsne;
