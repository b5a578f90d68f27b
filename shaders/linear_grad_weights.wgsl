// dW = dzᵀ x and db = Σ dz. An invocation sums 4 outputs × 4 inputs over all rows, in order.
#import clock
#import grid
const INNER: u32 = 1u;
const OUTER: u32 = 1u;
const GROUPS: u32 = 1u;
const BIAS: bool = true;

@group(0) @binding(0) var<storage, read> dz: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;
@group(0) @binding(3) var<storage, read_write> db: array<f32>;

fn store(row: u32, col: u32, sums: vec4<f32>) {
    if (row >= OUTER) {
        return;
    }
    for (var j = 0u; j < 4u; j += 1u) {
        if (col + j < INNER) {
            dw[row * INNER + col + j] = sums[j];
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
    if (row >= OUTER) {
        return;
    }
    let r1 = min(row + 1u, OUTER - 1u);
    let r2 = min(row + 2u, OUTER - 1u);
    let r3 = min(row + 3u, OUTER - 1u);
    let c1 = min(col + 1u, INNER - 1u);
    let c2 = min(col + 2u, INNER - 1u);
    let c3 = min(col + 3u, INNER - 1u);
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    var b = vec4<f32>();
    for (var sample = 0u; sample < rows; sample += 1u) {
        let start = sample * INNER;
        let to = sample * OUTER;
        let inputs = vec4<f32>(x[start + col], x[start + c1], x[start + c2], x[start + c3]);
        let d = vec4<f32>(dz[to + row], dz[to + r1], dz[to + r2], dz[to + r3]);
        s0 += d.x * inputs;
        s1 += d.y * inputs;
        s2 += d.z * inputs;
        s3 += d.w * inputs;
        b += d;
    }
    store(row, col, s0);
    store(row + 1u, col, s1);
    store(row + 2u, col, s2);
    store(row + 3u, col, s3);
    if (BIAS && col == 0u) {
        for (var j = 0u; j < 4u; j += 1u) {
            if (row + j < OUTER) {
                db[row + j] = b[j];
            }
        }
    }
}
