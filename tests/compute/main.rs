//! What models compute: operations, plans and whole models, on the CPU and on the software renderer.
//!
//! All of these tests are one binary: it is linked once, and what one test waits for, another computes.

mod common;
use common::interpreted;

mod entire_space;
mod golden_cpu;
mod golden_gpu;
mod half_tables;
#[cfg(target_os = "linux")]
mod isa;
mod mixed_precision;
mod operations_gradient;
mod operations_shader;
mod optimizers;
mod plans;
mod profile;
mod scenarios;
mod shader_variants;
#[allow(dead_code, unreachable_pub, reason = "the benchmark of kernels uses what the tests do not")]
mod simt;
mod tags;
