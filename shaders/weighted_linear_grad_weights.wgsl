// dW[m,n] = SCALE · Σ_b dz[b,m] S[b,r(m),c(n)] h[b,n] and db = Σ_b dz[b]. An invocation owns a tile of one block of
// the weight that shares a value of S, and sums over the samples in order.
#import blocks
#import clock
#import grid

@group(0) @binding(0) var<storage, read> dz: array<f32>;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const COLUMN_TILES = COL_GROUPS * COL_TILES;
    let at = invocation(id, groups);
    let row_tile = at / COLUMN_TILES;
    let col_tile = at % COLUMN_TILES;
    if (row_tile >= ROW_GROUPS * ROW_TILES) {
        return;
    }
    let r = row_tile / ROW_TILES;
    let row = row_tile % ROW_TILES * ROW_TILE;
    let c = col_tile / COL_TILES;
    let col = col_tile % COL_TILES * COL_TILE;
    var outputs: array<u32, ROW_TILE>;
    var inputs: array<u32, COL_TILE>;
    var bias: array<f32, ROW_TILE>;
    var sums: array<array<f32, COL_TILE>, ROW_TILE>;
    for (var j = 0u; j < COL_TILE; j += 1u) {
        inputs[j] = col_member(c, col + j);
    }
    for (var i = 0u; i < ROW_TILE; i += 1u) {
        outputs[i] = row_member(r, row + i);
        bias[i] = 0.0;
        for (var j = 0u; j < COL_TILE; j += 1u) {
            sums[i][j] = 0.0;
        }
    }
    for (var sample = 0u; sample < clock.rows; sample += 1u) {
        let scale = s[sample * (ROW_GROUPS * COL_GROUPS) + r * S_ROW_STEP + c * S_COL_STEP];
        var x: array<f32, COL_TILE>;
        for (var j = 0u; j < COL_TILE; j += 1u) {
            x[j] = scale * h[sample * INPUTS + inputs[j]];
        }
        for (var i = 0u; i < ROW_TILE; i += 1u) {
            let d = dz[sample * OUTPUTS + outputs[i]];
            bias[i] += d;
            for (var j = 0u; j < COL_TILE; j += 1u) {
                sums[i][j] += d * x[j];
            }
        }
    }
    for (var i = 0u; i < ROW_TILE; i += 1u) {
        if (row + i < ROW_MEMBERS) {
            for (var j = 0u; j < COL_TILE; j += 1u) {
                if (col + j < COL_MEMBERS) {
                    dw[outputs[i] * INPUTS + inputs[j]] = SCALE * sums[i][j];
                }
            }
            if (col_tile == 0u) {
                db[outputs[i]] = bias[i];
            }
        }
    }
}
