// Columns of each scenario side by side, WIDTH each, and those of a sample's own.
#import uniforms
#import grid
#import memory
const X: u32 = 0u;
const X_STRIDE: u32 = 4u;
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;
const WIDTH: u32 = 1u;
const SCENARIOS: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;

// The first column of the sample's own scenario.
fn first_own(row: u32) -> u32 {
    return batches[uniforms.batch_offset + SCENARIOS + row] * WIDTH;
}
