//! polyscene trains multi-scenario click and conversion models on any GPU.
//!
//! A model is a [`graph`] of operations ([`ops`]); a [`plan`] is that graph differentiated and laid out as one
//! fixed list of dispatches; an executor replays the plan on a GPU or on the CPU. `docs/architecture.md` shows the
//! floors of the house; a module imports only from floors below its own.

pub mod bench;
pub mod cli;
pub mod cpu;
pub mod data;
pub mod gpu;
pub mod graph;
pub mod layers;
pub mod models;
pub mod ops;
pub mod plan;
pub mod report;
pub mod train;
