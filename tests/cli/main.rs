//! The program as its users run it: the real binary, each test in a folder of its own.
//!
//! All of these tests are one binary: it is linked once, and what one test waits for, another computes.

mod events;
mod place;

mod bad_input;
mod baselines;
mod bench;
mod commands;
mod compare;
mod continuing;
mod entire_space;
mod examples;
mod fields;
mod fuzz;
mod judged_rows;
mod judging;
#[cfg(feature = "object-store")]
mod object_stores;
mod onnx;
mod precision;
mod prepare;
mod reports;
#[cfg(unix)]
mod resume;
mod rows;
#[cfg(unix)]
mod search;
mod snapshots;
mod tags;
mod training;
mod tuning;
