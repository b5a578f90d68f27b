// Binary cross entropy of the logit with the label: its gradient, and its sums for the log.
#import loss_scale
#import uniforms
#import loss_log
#import logistic
#import memory
const T: u32 = 0u;
const T_STRIDE: u32 = 4u;
const GRADIENT: u32 = 0u;
const ORDER: u32 = 0u;

@group(0) @binding(3) var<storage, read> labels: array<f32>;
@group(0) @binding(4) var<storage, read> batches: array<u32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;

fn loss(row: u32) -> f32 {
    let label = labels[batches[uniforms.batch_offset + ORDER + row]];
    let t = load(T + row * T_STRIDE);
    store4(GRADIENT + row * T_STRIDE, vec4<f32>(mean_weight() * (sigmoid(t) - label), 0.0, 0.0, 0.0));
    return log1p_exp(t) - t * label;
}
