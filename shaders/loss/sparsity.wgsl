// What it costs a sample to have pruned too little or too much, summed for the log, and the gradient of its factors.
#import loss_scale
#import uniforms
#import loss_log
#import memory
const FACTORS: u32 = 0u;
const STRIDE: u32 = 4u;
const WIDTH: u32 = 1u;
const GRADIENT: u32 = 0u;
const LOW: f32 = 0.0;
const HIGH: f32 = 1.0;
const WEIGHT: f32 = 1.0;

@group(0) @binding(3) var<storage, read_write> losses: array<f32>;

// A sample's loss; leaves the gradient.
fn loss(row: u32) -> f32 {
    var sum = 0.0;
    for (var col = 0u; col < WIDTH; col += 1u) {
        sum += load(FACTORS + row * STRIDE + col);
    }
    let ratio = 1.0 - sum / f32(WIDTH);
    var off = 0.0;
    if (ratio < LOW || ratio > HIGH) {
        off = ratio - 0.5 * (LOW + HIGH);
    }
    let slope = -2.0 * WEIGHT * mean_weight() / f32(WIDTH) * off;
    for (var col = 0u; col < STRIDE; col += 4u) {
        store4(GRADIENT + row * STRIDE + col, vec4<f32>(slope));
    }
    return off * off;
}
