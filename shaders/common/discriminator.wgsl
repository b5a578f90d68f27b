// One pair of a discriminator, true and shuffled, its hidden layer in parts.
#import loss_scale
#import uniforms
#import groups
#import logistic
#import memory
const HIDDEN: u32 = 1u;
// Steps over which the losses' weights grow to their whole; 0 for none.
const WARM_UP: u32 = 0u;
const SHUFFLE: u32 = 0u;
const LANES: u32 = 32u;
const LOG_WIDTH: u32 = 1u;

@group(0) @binding(4) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> batches: array<u32>;
@group(0) @binding(6) var<storage, read_write> losses: array<f32>;

const ALIGNED: bool = HIDDEN % 4u == 0u;

struct Pair {
    // Where A e of the true pair and of the shuffled one begins, and B S + b.
    from_true: u32,
    from_other: u32,
    from_weighting: u32,
    // Where the gradients of both sums go, their sum, the ReLU's values and the scores' gradients; the place of w.
    z: u32,
    sum: u32,
    y: u32,
    dt: u32,
    w: u32,
    // The score's bias, twice, and the weight of the loss.
    bias: vec2<f32>,
    weight: f32,
}

// Sample `row` of the discriminator that is described at `at`.
fn pair_of(row: u32, at: u32) -> Pair {
    // A e and B S + b: addresses and distances from row to row.
    let inputs = table[at];
    // z, their sum, the ReLU's values, the scores' gradients.
    let outputs = table[at + 1u];
    // From row to row of these, except the last; the place of w.
    let steps = table[at + 2u];
    // Place of c, first column of the log, weight in the loss.
    let last = table[at + 3u];
    var weight = bitcast<f32>(last.z) * mean_weight();
    if (WARM_UP > 0u) {
        weight *= min(f32(uniforms.step + 1u) / f32(WARM_UP), 1.0);
    }
    return Pair(
        inputs.x + row * inputs.y, inputs.x + batches[uniforms.batch_offset + SHUFFLE + row] * inputs.y,
        inputs.z + row * inputs.w, outputs.x + row * steps.x, outputs.y + row * steps.y, outputs.z + row * steps.z,
        outputs.w + row * 4u, steps.w, vec2<f32>(parameters[last.x / 4u][last.x % 4u]), weight);
}

// Four values from k on of the hidden layer, 0 beyond its end.
fn rectified(x: vec4<f32>, k: u32) -> vec4<f32> {
    return select(vec4<f32>(), max(x, vec4<f32>()), k + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(HIDDEN));
}

// What every SPREAD-th four values of the hidden layer add to the two scores; keeps these values.
fn part_of_scores(pair: Pair, lane: u32, spread: u32, keep: bool) -> vec2<f32> {
    var t = vec2<f32>();
    for (var k = 4u * lane; k < HIDDEN; k += 4u * spread) {
        let s = load4(pair.from_weighting + k);
        let w = parameters[(pair.w + k) / 4u];
        let y_true = rectified(load4(pair.from_true + k) + s, k);
        let y_other = rectified(load4(pair.from_other + k) + s, k);
        t += vec2<f32>(dot(w, y_true), dot(w, y_other));
        if (keep) {
            store_some(pair.y + k, HIDDEN - k, y_true);
            store_some(pair.y + HIDDEN + k, HIDDEN - k, y_other);
        }
    }
    return t;
}

// The gradients of the scores and of every SPREAD-th four values of the hidden layer, which the same invocation kept.
fn leave_gradients(pair: Pair, t: vec2<f32>, lane: u32, spread: u32) {
    let d = pair.weight * (vec2<f32>(sigmoid(t.x), sigmoid(t.y)) - vec2<f32>(1.0, 0.0));
    if (lane == 0u) {
        store4(pair.dt, vec4<f32>(d, 0.0, 0.0));
    }
    for (var k = 4u * lane; k < HIDDEN; k += 4u * spread) {
        let w = parameters[(pair.w + k) / 4u];
        let y_true = load4(pair.y + k);
        let y_other = load_some4(pair.y + HIDDEN + k, HIDDEN - k, ALIGNED);
        let z_true = select(vec4<f32>(), d.x * w, y_true > vec4<f32>());
        let z_other = select(vec4<f32>(), d.y * w, y_other > vec4<f32>());
        store_some(pair.z + k, HIDDEN - k, z_true);
        store_some(pair.z + HIDDEN + k, HIDDEN - k, z_other);
        store_some(pair.sum + k, HIDDEN - k, z_true + z_other);
    }
}

// The two losses.
fn pair_losses(t: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(log1p_exp(t.x) - t.x, log1p_exp(t.y));
}
