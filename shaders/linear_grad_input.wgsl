// dx = dz W. An invocation computes 4 rows × 4 inputs in registers.
#import clock
#import grid
const INNER: u32 = 1u;
const OUTER: u32 = 1u;
const GROUPS: u32 = 1u;

@group(0) @binding(0) var<storage, read> dz: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

fn store(row: u32, rows: u32, col: u32, sums: vec4<f32>) {
    if (row >= rows) {
        return;
    }
    for (var j = 0u; j < 4u; j += 1u) {
        if (col + j < INNER) {
            dx[row * INNER + col + j] = sums[j];
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const TILES = (INNER + 3u) / 4u;
    let rows = clock.rows * GROUPS;
    let at = invocation(id, groups);
    let row = at / TILES * 4u;
    let col = at % TILES * 4u;
    if (row >= rows) {
        return;
    }
    let last = rows - 1u;
    let d0 = row * OUTER;
    let d1 = min(row + 1u, last) * OUTER;
    let d2 = min(row + 2u, last) * OUTER;
    let d3 = min(row + 3u, last) * OUTER;
    let c1 = min(col + 1u, INNER - 1u);
    let c2 = min(col + 2u, INNER - 1u);
    let c3 = min(col + 3u, INNER - 1u);
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var n = 0u; n < OUTER; n += 1u) {
        let start = n * INNER;
        let weights = vec4<f32>(w[start + col], w[start + c1], w[start + c2], w[start + c3]);
        s0 += dz[d0 + n] * weights;
        s1 += dz[d1 + n] * weights;
        s2 += dz[d2 + n] * weights;
        s3 += dz[d3 + n] * weights;
    }
    store(row, rows, col, s0);
    store(row + 1u, rows, col, s1);
    store(row + 2u, rows, col, s2);
    store(row + 3u, rows, col, s3);
}
