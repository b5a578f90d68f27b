// Binary cross entropy of each column of logits: its gradient, and its sums over LANES groups of samples for the log.
// One invocation per lane and column.
#import clock
#import grid
#import logistic
const COLUMNS: u32 = 1u;
const LANES: u32 = 32u;
const LOG_WIDTH: u32 = 1u;
const FIRST_COLUMN: u32 = 0u;
const ORDER: u32 = 0u;
// What a column should say: 0 zero, 1 one, 2 the label.
const TARGET_0: u32 = 2u;
const TARGET_1: u32 = 2u;
const WEIGHT_0: f32 = 1.0;
const WEIGHT_1: f32 = 1.0;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<f32>;
@group(0) @binding(2) var<storage, read> schedule: array<u32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let lane = at / COLUMNS;
    let col = at % COLUMNS;
    if (lane >= LANES) {
        return;
    }
    let goal = select(TARGET_1, TARGET_0, col == 0u);
    let weight = select(WEIGHT_1, WEIGHT_0, col == 0u) * clock.inverse_rows;
    var sum = 0.0;
    for (var row = lane; row < clock.rows; row += LANES) {
        let t = logits[row * COLUMNS + col];
        var wanted = f32(goal);
        if (goal == 2u) {
            wanted = labels[schedule[clock.base + ORDER + row]];
        }
        sum += log1p_exp(t) - t * wanted;
        gradient[row * COLUMNS + col] = weight * (sigmoid(t) - wanted);
    }
    losses[(clock.slot * LANES + lane) * LOG_WIDTH + FIRST_COLUMN + col] = sum;
}
