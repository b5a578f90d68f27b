// Binary cross entropy of the logit with the label: its gradient, and its sums over LANES groups of samples for the log.
// One workgroup per lane, one invocation per sample of the lane.
#import uniforms
#import grid
#import lane_sum
#import logistic
#import memory
const T: u32 = 0u;
const T_STRIDE: u32 = 4u;
const GRADIENT: u32 = 0u;
const LOG_WIDTH: u32 = 1u;
const COLUMN: u32 = 0u;
const ORDER: u32 = 0u;

@group(0) @binding(3) var<storage, read> labels: array<f32>;
@group(0) @binding(4) var<storage, read> batches: array<u32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let lane = id.x;
    var sum = vec2<f32>();
    for (var row = lane + local * LANES; row < uniforms.rows; row += LANES * WORKGROUP) {
        let label = labels[batches[uniforms.batch_offset + ORDER + row]];
        let t = load(T + row * T_STRIDE);
        sum.x += log1p_exp(t) - t * label;
        store4(GRADIENT + row * T_STRIDE, vec4<f32>(uniforms.inverse_rows * (sigmoid(t) - label), 0.0, 0.0, 0.0));
    }
    let total = lane_sum(sum, local);
    if (local == 0u) {
        losses[(uniforms.batch_index * LANES + lane) * LOG_WIDTH + COLUMN] = total.x;
    }
}
