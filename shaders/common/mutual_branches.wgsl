// Where a sample's branches lie, and which is its own.
#import uniforms
const ALL: u32 = 0u;
const ALL_STRIDE: u32 = 4u;
const OWN: u32 = 0u;
const OWN_STRIDE: u32 = 4u;
const T: u32 = 0u;
const BRANCHES: u32 = 2u;
const WIDTH: u32 = 1u;
// Whether cosines are divided by their sum.
const DIVIDED: bool = true;
const SHORTEST: f32 = 1e-6;
const SMALLEST: f32 = 1e-6;
const SCENARIOS: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;

fn scenario(row: u32) -> u32 {
    return batches[uniforms.batch_offset + SCENARIOS + row];
}
