// Binary cross entropy of each column of logits: its gradient, and its sums over LANES groups of samples for the log.
// One workgroup per lane and column, one invocation per sample of the lane.
#import clock
#import grid
#import lane_sum
#import logistic
#import memory
const T: u32 = 0u;
const T_STRIDE: u32 = 4u;
const GRADIENT: u32 = 0u;
const COLUMNS: u32 = 1u;
const LOG_WIDTH: u32 = 1u;
const FIRST_COLUMN: u32 = 0u;
const ORDER: u32 = 0u;
// What a column should say: 0 zero, 1 one, 2 the label.
const TARGET_0: u32 = 2u;
const TARGET_1: u32 = 2u;
const WEIGHT_0: f32 = 1.0;
const WEIGHT_1: f32 = 1.0;

@group(0) @binding(3) var<storage, read> labels: array<f32>;
@group(0) @binding(4) var<storage, read> schedule: array<u32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let lane = id.x;
    var sums = vec2<f32>();
    for (var row = lane + local * LANES; row < clock.rows; row += LANES * WORKGROUP) {
        var label = 0.0;
        if (TARGET_0 == 2u || (COLUMNS > 1u && TARGET_1 == 2u)) {
            label = labels[schedule[clock.base + ORDER + row]];
        }
        let wanted = vec2<f32>(select(f32(TARGET_0), label, TARGET_0 == 2u), select(f32(TARGET_1), label, TARGET_1 == 2u));
        let logits = load4(T + row * T_STRIDE).xy;
        let t = vec2<f32>(logits.x, select(0.0, logits.y, COLUMNS > 1u));
        let weights = vec2<f32>(WEIGHT_0, select(0.0, WEIGHT_1, COLUMNS > 1u)) * clock.inverse_rows;
        sums += vec2<f32>(log1p_exp(t.x), log1p_exp(t.y)) - t * wanted;
        let d = weights * (vec2<f32>(sigmoid(t.x), sigmoid(t.y)) - wanted);
        store4(GRADIENT + row * T_STRIDE, vec4<f32>(d, 0.0, 0.0));
    }
    let total = lane_sum(sums, local);
    if (local < COLUMNS) {
        losses[(clock.slot * LANES + lane) * LOG_WIDTH + FIRST_COLUMN + local] = total[local];
    }
}
