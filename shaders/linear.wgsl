// y = act(x Wᵀ + b). An invocation computes 4 rows × 4 outputs in registers.
#import clock
#import epilogue
#import grid
const INNER: u32 = 1u;
const OUTER: u32 = 1u;
const GROUPS: u32 = 1u;
const BIAS: bool = true;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn store(row: u32, rows: u32, col: u32, sums: vec4<f32>) {
    if (row >= rows) {
        return;
    }
    for (var j = 0u; j < 4u; j += 1u) {
        if (col + j < OUTER) {
            var z = sums[j];
            if (BIAS) {
                z += bias[col + j];
            }
            let index = row * OUTER + col + j;
            y[index] = epilogue(z, index);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const TILES = (OUTER + 3u) / 4u;
    let rows = clock.rows * GROUPS;
    let at = invocation(id, groups);
    let row = at / TILES * 4u;
    let col = at % TILES * 4u;
    if (row >= rows) {
        return;
    }
    // Rows and outputs beyond the end repeat the last: computed, not stored.
    let last = rows - 1u;
    let x0 = row * INNER;
    let x1 = min(row + 1u, last) * INNER;
    let x2 = min(row + 2u, last) * INNER;
    let x3 = min(row + 3u, last) * INNER;
    let w0 = col * INNER;
    let w1 = min(col + 1u, OUTER - 1u) * INNER;
    let w2 = min(col + 2u, OUTER - 1u) * INNER;
    let w3 = min(col + 3u, OUTER - 1u) * INNER;
    var y0 = vec4<f32>();
    var y1 = vec4<f32>();
    var y2 = vec4<f32>();
    var y3 = vec4<f32>();
    for (var k = 0u; k < INNER; k += 1u) {
        let weights = vec4<f32>(w[w0 + k], w[w1 + k], w[w2 + k], w[w3 + k]);
        y0 += x[x0 + k] * weights;
        y1 += x[x1 + k] * weights;
        y2 += x[x2 + k] * weights;
        y3 += x[x3 + k] * weights;
    }
    store(row, rows, col, y0);
    store(row + 1u, rows, col, y1);
    store(row + 2u, rows, col, y2);
    store(row + 3u, rows, col, y3);
}
