// Binary cross entropy of the logit with a label, times the sample's weight: its gradient, and its sums for the log.
#import loss_scale
#import uniforms
#import loss_log
#import logistic
#import memory
const T: u32 = 0u;
const T_STRIDE: u32 = 4u;
const GRADIENT: u32 = 0u;
const ORDER: u32 = 0u;
// Labels of a sample, and which of them.
const LABELS: u32 = 1u;
const LABEL: u32 = 0u;

// The sample's weight, negative where its label is 0.
@group(0) @binding(3) var<storage, read> labels: array<f32>;
@group(0) @binding(4) var<storage, read> batches: array<u32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;

fn loss(row: u32) -> f32 {
    let signed_weight = labels[batches[uniforms.batch_offset + ORDER + row] * LABELS + LABEL];
    let label = select(0.0, 1.0, signed_weight > 0.0);
    let weight = abs(signed_weight);
    let t = load(T + row * T_STRIDE) + uniforms.logit_offset;
    store4(GRADIENT + row * T_STRIDE, vec4<f32>(weight * mean_weight() * (sigmoid(t) - label), 0.0, 0.0, 0.0));
    return weight * (log1p_exp(t) - t * label);
}
