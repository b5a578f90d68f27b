//! The shaders that measure ceilings.

use crate::gpu::{Error, Shader, ShaderSource};
use crate::ops::import_text;

/// Vectors of four numbers that one invocation of the copying shader may copy.
pub(super) const COPIES: [u32; 2] = [1, 4];
/// Chains of the multiply-add shaders: name, and operations of one round.
pub(super) const CHAINS: [(&str, u64); 2] = [("fma_scalar", 2 * 32), ("fma_vec4", 2 * 4 * 16)];

/// Copies `length` vectors of four numbers, `per` by each invocation.
pub(super) fn copy(workgroup: u32, length: u32, per: u32) -> Result<Shader, Error> {
    let source = ShaderSource::new("bench/copy", include_str!("../../shaders/bench/copy.wgsl"));
    source.with("WORKGROUP", workgroup).with("LENGTH", length).with("PER", per).expand(import_text)
}

/// Multiplies and adds along one of [`CHAINS`].
pub(super) fn multiply_add(name: &str, workgroup: u32, rounds: u32, fused: bool) -> Result<Shader, Error> {
    let text = match name {
        "fma_vec4" => include_str!("../../shaders/bench/fma_vec4.wgsl"),
        _ => include_str!("../../shaders/bench/fma_scalar.wgsl"),
    };
    let source = ShaderSource::new(format!("bench/{name}"), text);
    source.with("WORKGROUP", workgroup).with("ROUNDS", rounds).with("FUSED", fused).expand(import_text)
}

/// Does next to nothing.
pub(super) fn touch(workgroup: u32) -> Result<Shader, Error> {
    let source = ShaderSource::new("bench/touch", include_str!("../../shaders/bench/touch.wgsl"));
    source.with("WORKGROUP", workgroup).expand(import_text)
}

/// Every shader with every set of constants but for sizes, for tests.
///
/// # Errors
/// When a text lacks a constant.
pub fn variants(workgroup: u32) -> Result<Vec<Shader>, Error> {
    let mut shaders = vec![touch(workgroup)?];
    for per in COPIES {
        shaders.push(copy(workgroup, 1 << 20, per)?);
    }
    for (name, _) in CHAINS {
        for fused in [false, true] {
            shaders.push(multiply_add(name, workgroup, 64, fused)?);
        }
    }
    Ok(shaders)
}
