// What kernels share that the invocations of a workgroup run together, for a block of samples.
#import uniforms
#import grid
// Samples of a block, a multiple of 8.
const BLOCK: u32 = 8u;
// Values that are staged for all invocations, or exchanged between them; all kernels of a segment use the same.
const TILE: u32 = 768u;
var<workgroup> tile: array<vec4<f32>, TILE>;
var<workgroup> partial: array<f32, 1024>;

// The row to read for sample number `i` of a block: beyond the last sample, the last again.
fn row_of(first: u32, i: u32) -> u32 {
    return min(first + i, uniforms.rows - 1u);
}
