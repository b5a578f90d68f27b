// VECTORS vectors of a sample side by side, WIDTH values each.
#import uniforms
#import grid
#import memory
const E: u32 = 0u;
const E_STRIDE: u32 = 4u;
const Y: u32 = 0u;
const VECTORS: u32 = 1u;
const WIDTH: u32 = 1u;

const ALIGNED: bool = WIDTH % 4u == 0u;

// Four values of vector number `vector` from `d` on, 0 beyond its last.
fn values(row: u32, vector: u32, d: u32) -> vec4<f32> {
    let found = load_some4(E + row * E_STRIDE + vector * WIDTH + d, WIDTH - d, ALIGNED);
    return select(vec4<f32>(), found, d + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(WIDTH));
}

// The same of the sum of the vectors.
fn sums(row: u32, d: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var vector = 0u; vector < VECTORS; vector += 1u) {
        sum += values(row, vector, d);
    }
    return sum;
}
