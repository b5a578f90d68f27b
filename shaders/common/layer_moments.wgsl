// Rows x of WIDTH columns, samples or TOKENS, and each one's moments.
#import uniforms
#import grid
#import memory
#import within
const TOKENS: bool = false;
const X: u32 = 0u;
const STRIDE: u32 = 4u;
const SCALE: u32 = 0u;
const Y: u32 = 0u;
const EPSILON: f32 = 1e-5;

@group(0) @binding(3) var<storage, read> parameters: array<vec4<f32>>;

fn row_count() -> u32 {
    return select(uniforms.rows, uniforms.tokens, TOKENS);
}

// A row's mean and 1 / √(variance + ε).
fn moments(row: u32) -> vec2<f32> {
    var sum = 0.0;
    for (var col = 0u; col < WIDTH; col += 4u) {
        sum += dot(within(col, load4(X + row * STRIDE + col)), vec4<f32>(1.0));
    }
    let mean = sum / f32(WIDTH);
    var squares = 0.0;
    for (var col = 0u; col < WIDTH; col += 4u) {
        let off = within(col, load4(X + row * STRIDE + col) - mean);
        squares += dot(off, off);
    }
    return vec2<f32>(mean, 1.0 / sqrt(squares / f32(WIDTH) + EPSILON));
}
