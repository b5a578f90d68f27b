// dW[m,n] = scale · Σ_b dz[b,m] S[b,r(m),c(n)] h[b,n], of several layers in one dispatch: a tile of a weight, for a part of
// the samples, by a workgroup.
#import tiles_main
#import uniforms
#import groups
#import grad_tile
#import memory
// How S is repeated and stored: see `blocks.wgsl`.
const TILED: bool = false;
const COL_MODE: u32 = 0u;
const S_VECTOR: bool = false;
const SAME_ROWS: u32 = 1u;

@group(0) @binding(4) var<storage, read_write> gradients: array<f32>;

// A layer, as its descriptors say it.
struct Layer {
    outputs: u32,
    row_groups: u32,
    col_groups: u32,
    row_members: u32,
    col_members: u32,
    s_row_step: u32,
    s_col_step: u32,
}

fn row_group(layer: Layer, row: u32) -> u32 {
    let m = min(row, layer.outputs - 1u);
    return select(m / layer.row_members, m % layer.row_groups, TILED);
}

// S's values of a row group and four inputs, of the sample whose values begin at `s`.
fn scales(layer: Layer, s: u32, group: u32, col: u32) -> vec4<f32> {
    let at = s + group * layer.s_row_step;
    let last = layer.col_groups * layer.col_members - 1u;
    var found: vec4<f32>;
    if (COL_MODE == 2u) {
        found = vec4<f32>(load(at + min(col, last) / layer.col_members * layer.s_col_step));
    } else if (COL_MODE == 1u && S_VECTOR) {
        found = load4(at + min(col, last - 3u) % layer.col_groups);
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            let n = min(col + i, last);
            found[i] = load(at + select(n / layer.col_members, n % layer.col_groups, TILED) * layer.s_col_step);
        }
    }
    return found;
}

fn tiles(group: u32, local: u32, at: u32) {
    let item = at + table[at + 1u + group / 4u][group % 4u];
    let shape = table[item + 1u];
    let steps = table[item + 2u];
    // Addresses and distances from row to row: of dz and h, and of S and the gradient.
    let inputs = table[item + 3u];
    let others = table[item + 4u];
    // Parts, samples of one, values of a copy of the gradients, the factor of S.
    let cut = table[item + 5u];
    let layer = Layer(shape.x, shape.y, shape.z, shape.w, steps.x, steps.y, steps.z);
    let width = layer.col_groups * layer.col_members;
    let across = (width + SIDE - 1u) / SIDE;
    let count = across * ((layer.outputs + SIDE - 1u) / SIDE);
    let number = group - table[item].x;
    let part = number / count;
    let row = number % count / across * SIDE;
    let col = number % across * SIDE;
    let start = min(part * cut.y, uniforms.rows);
    let end = min(start + cut.y, uniforms.rows);

    let first_row = row + own_rows(local);
    let first_col = col + own_cols(local);
    let from_row = row + 4u * (local % ACROSS);
    var sums: array<vec4<f32>, 4>;
    for (var begin = start; begin < end; begin += DEPTH) {
        let sample = begin + local / ACROSS;
        var d = vec4<f32>();
        var x = vec4<f32>();
        if (sample < end && from_row < layer.outputs) {
            d = load4(inputs.x + sample * inputs.y + from_row);
        }
        if (sample < end && first_col < width) {
            x = load4(inputs.z + sample * inputs.w + first_col);
        }
        workgroupBarrier();
        stage_pair(local, d, x);
        workgroupBarrier();
        for (var i = local / TEAM; i < min(DEPTH, end - begin); i += TEAMS) {
            let rows = staged_rows(i, local);
            let cols = staged_cols(i, local);
            let s = others.x + (begin + i) * others.y;
            var scaled = scales(layer, s, row_group(layer, first_row), first_col) * cols;
            sums[0] += rows.x * scaled;
            if (SAME_ROWS != 4u) {
                scaled = scales(layer, s, row_group(layer, first_row + 1u), first_col) * cols;
            }
            sums[1] += rows.y * scaled;
            if (SAME_ROWS != 4u) {
                scaled = scales(layer, s, row_group(layer, first_row + 2u), first_col) * cols;
            }
            sums[2] += rows.z * scaled;
            if (SAME_ROWS != 4u) {
                scaled = scales(layer, s, row_group(layer, first_row + 3u), first_col) * cols;
            }
            sums[3] += rows.w * scaled;
        }
    }
    add_teams(local, &sums);
    let scale = bitcast<f32>(cut.w);
    for (var i = 0u; i < 4u; i += 1u) {
        for (var j = 0u; j < 4u; j += 1u) {
            if (writes(i, local) && first_row + i < layer.outputs && first_col + j < width) {
                let place = others.z + part * cut.z + (first_row + i) * others.w + first_col + j;
                gradients[place] = scale * sums[i][j];
            }
        }
    }
}
