// T(e, S) = w · ReLU(A e + B S + b) + c of many discriminators, on each sample's true pair and on its shuffled one; their
// losses and all gradients. One workgroup per discriminator and lane of the log, one invocation per sample of the lane.
#import uniforms
#import groups
#import lane_sum
#import logistic
#import memory
const HIDDEN: u32 = 1u;
// Steps over which the losses' weights grow to their whole; 0 for none.
const WARM_UP: u32 = 0u;
const SHUFFLE: u32 = 0u;
const LOG_WIDTH: u32 = 1u;

@group(0) @binding(4) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> batches: array<u32>;
@group(0) @binding(6) var<storage, read_write> losses: array<f32>;

const ALIGNED: bool = HIDDEN % 4u == 0u;

// Four values from k on of the hidden layer, 0 beyond its end.
fn rectified(x: vec4<f32>, k: u32) -> vec4<f32> {
    return select(vec4<f32>(), max(x, vec4<f32>()), k + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(HIDDEN));
}

// The loss of a sample's true and shuffled pair.
fn sample_loss(row: u32, at: u32, weight: f32) -> vec2<f32> {
    // A e and B S + b.
    let inputs = table[at + 1u];
    // z, their sum, the ReLU's values, the scores' gradients.
    let outputs = table[at + 2u];
    // From row to row of these, except the last; the place of w.
    let steps = table[at + 3u];
    let from_true = inputs.x + row * inputs.y;
    let from_other = inputs.x + batches[uniforms.batch_offset + SHUFFLE + row] * inputs.y;
    let from_weighting = inputs.z + row * inputs.w;
    let y = outputs.z + row * steps.z;
    let c = table[at + 4u].x;
    var t = vec2<f32>(parameters[c / 4u][c % 4u]);
    for (var k = 0u; k < HIDDEN; k += 4u) {
        let s = load4(from_weighting + k);
        let w = parameters[(steps.w + k) / 4u];
        let y_true = rectified(load4(from_true + k) + s, k);
        let y_other = rectified(load4(from_other + k) + s, k);
        t += vec2<f32>(dot(w, y_true), dot(w, y_other));
        store_some(y + k, HIDDEN - k, y_true);
        store_some(y + HIDDEN + k, HIDDEN - k, y_other);
    }
    let d = weight * (vec2<f32>(sigmoid(t.x), sigmoid(t.y)) - vec2<f32>(1.0, 0.0));
    store4(outputs.w + row * 4u, vec4<f32>(d, 0.0, 0.0));
    for (var k = 0u; k < HIDDEN; k += 4u) {
        let w = parameters[(steps.w + k) / 4u];
        let y_true = load4(y + k);
        let y_other = load_any4(y + HIDDEN + k, ALIGNED);
        let z_true = select(vec4<f32>(), d.x * w, y_true > vec4<f32>());
        let z_other = select(vec4<f32>(), d.y * w, y_other > vec4<f32>());
        store_some(outputs.x + row * steps.x + k, HIDDEN - k, z_true);
        store_some(outputs.x + row * steps.x + HIDDEN + k, HIDDEN - k, z_other);
        store_some(outputs.y + row * steps.y + k, HIDDEN - k, z_true + z_other);
    }
    return vec2<f32>(log1p_exp(t.x) - t.x, log1p_exp(t.y));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = group_number(id, groups);
    let at = item_of(group);
    let lane = group - table[at].x;
    // Place of c, first column of the log, weight in the loss.
    let last = table[at + 4u];
    var weight = bitcast<f32>(last.z) * uniforms.inverse_rows;
    if (WARM_UP > 0u) {
        weight *= min(f32(uniforms.step + 1u) / f32(WARM_UP), 1.0);
    }
    var sums = vec2<f32>();
    for (var row = lane + local * LANES; row < uniforms.rows; row += LANES * WORKGROUP) {
        sums += sample_loss(row, at, weight);
    }
    let total = lane_sum(sums, local);
    if (local < 2u) {
        losses[(uniforms.batch_index * LANES + lane) * LOG_WIDTH + last.y + local] = total[local];
    }
}
