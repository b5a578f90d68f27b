// S = σ(R C), factors of each sample or shared by all. One invocation per value of S.
#import clock
#import grid
#import logistic
const ROWS: u32 = 1u;
const RANK: u32 = 1u;
const COLS: u32 = 1u;
const ROW_SHARED: bool = false;
const COLUMN_SHARED: bool = true;

@group(0) @binding(0) var<storage, read> r: array<f32>;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read_write> s: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let sample = at / (ROWS * COLS);
    if (sample >= clock.rows) {
        return;
    }
    let row = at / COLS % ROWS;
    let col = at % COLS;
    let rows = select(sample, 0u, ROW_SHARED) * (ROWS * RANK) + row * RANK;
    let cols = select(sample, 0u, COLUMN_SHARED) * (RANK * COLS) + col;
    var sum = 0.0;
    for (var k = 0u; k < RANK; k += 1u) {
        sum += r[rows + k] * c[cols + k * COLS];
    }
    s[at] = sigmoid(sum);
}
