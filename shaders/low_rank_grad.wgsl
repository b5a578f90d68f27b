// The gradient of one factor of S = σ(R C), per sample: dR = dZ Cᵀ or dC = Rᵀ dZ with dZ = dS ⊙ S ⊙ (1 − S). One
// invocation per value of the factor.
#import clock
#import grid
const ROWS: u32 = 1u;
const RANK: u32 = 1u;
const COLS: u32 = 1u;
// Whether the gradient is R's.
const ROW_SIDE: bool = true;
const OTHER_SHARED: bool = false;

@group(0) @binding(0) var<storage, read> ds: array<f32>;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> other: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;

fn dz(at: u32) -> f32 {
    return ds[at] * s[at] * (1.0 - s[at]);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const SIZE = RANK * select(COLS, ROWS, ROW_SIDE);
    let at = invocation(id, groups);
    let sample = at / SIZE;
    if (sample >= clock.rows) {
        return;
    }
    let base = sample * (ROWS * COLS);
    let start = select(sample, 0u, OTHER_SHARED);
    var sum = 0.0;
    if (ROW_SIDE) {
        let row = at % SIZE / RANK;
        let k = at % RANK;
        for (var col = 0u; col < COLS; col += 1u) {
            sum += dz(base + row * COLS + col) * other[start * (RANK * COLS) + k * COLS + col];
        }
    } else {
        let k = at % SIZE / COLS;
        let col = at % COLS;
        for (var row = 0u; row < ROWS; row += 1u) {
            sum += dz(base + row * COLS + col) * other[start * (ROWS * RANK) + row * RANK + k];
        }
    }
    gradient[at] = sum;
}
