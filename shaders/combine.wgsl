// y = act(Σ pieces) ⊙ gate: concatenation, slices, sums, shuffles and their gradients. Piece A adds columns
// A_FROM..A_FROM + A_WIDTH of its input to columns A_TO.. of y; a piece of width 0 is not there. One invocation per
// value of y.
#import clock
#import grid
#import logistic
const WIDTH: u32 = 1u;
// Rows of y where they are not the batch's.
const FIXED_ROWS: u32 = 0u;
const SHUFFLE: u32 = 0u;
const UNSHUFFLE: u32 = 0u;
// 0 none, 1 ReLU, 2 sigmoid.
const ACTIVATION: u32 = 0u;
// 0 open, 1 ReLU's derivative times GATE_SCALE, 2 the sigmoid's.
const GATE: u32 = 0u;
const GATE_SCALE: f32 = 1.0;
const A_FROM: u32 = 0u;
const A_TO: u32 = 0u;
const A_WIDTH: u32 = 0u;
const A_STRIDE: u32 = 0u;
// Which row a piece reads: 0 the same, 1 that of π(row), 2 that of the inverse.
const A_ROWS: u32 = 0u;
const B_FROM: u32 = 0u;
const B_TO: u32 = 0u;
const B_WIDTH: u32 = 0u;
const B_STRIDE: u32 = 0u;
const B_ROWS: u32 = 0u;
const C_FROM: u32 = 0u;
const C_TO: u32 = 0u;
const C_WIDTH: u32 = 0u;
const C_STRIDE: u32 = 0u;
const C_ROWS: u32 = 0u;
const D_FROM: u32 = 0u;
const D_TO: u32 = 0u;
const D_WIDTH: u32 = 0u;
const D_STRIDE: u32 = 0u;
const D_ROWS: u32 = 0u;
const E_FROM: u32 = 0u;
const E_TO: u32 = 0u;
const E_WIDTH: u32 = 0u;
const E_STRIDE: u32 = 0u;
const E_ROWS: u32 = 0u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> d: array<f32>;
@group(0) @binding(4) var<storage, read> e: array<f32>;
@group(0) @binding(5) var<storage, read> stored: array<f32>;
@group(0) @binding(6) var<storage, read> schedule: array<u32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

fn source(rows: u32, row: u32) -> u32 {
    if (rows == 1u) {
        return schedule[clock.base + SHUFFLE + row];
    }
    if (rows == 2u) {
        return schedule[clock.base + UNSHUFFLE + row];
    }
    return row;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let row = at / WIDTH;
    let col = at % WIDTH;
    if (row >= select(clock.rows, FIXED_ROWS, FIXED_ROWS > 0u)) {
        return;
    }
    var sum = 0.0;
    // col − TO wraps around below TO and is then larger than any width.
    if (col - A_TO < A_WIDTH) {
        sum += a[source(A_ROWS, row) * A_STRIDE + A_FROM + (col - A_TO)];
    }
    if (col - B_TO < B_WIDTH) {
        sum += b[source(B_ROWS, row) * B_STRIDE + B_FROM + (col - B_TO)];
    }
    if (col - C_TO < C_WIDTH) {
        sum += c[source(C_ROWS, row) * C_STRIDE + C_FROM + (col - C_TO)];
    }
    if (col - D_TO < D_WIDTH) {
        sum += d[source(D_ROWS, row) * D_STRIDE + D_FROM + (col - D_TO)];
    }
    if (col - E_TO < E_WIDTH) {
        sum += e[source(E_ROWS, row) * E_STRIDE + E_FROM + (col - E_TO)];
    }
    if (ACTIVATION == 1u) {
        sum = max(sum, 0.0);
    } else if (ACTIVATION == 2u) {
        sum = sigmoid(sum);
    }
    if (GATE == 1u) {
        sum *= select(0.0, GATE_SCALE, stored[at] > 0.0);
    } else if (GATE == 2u) {
        sum *= stored[at] * (1.0 - stored[at]);
    }
    y[at] = sum;
}
