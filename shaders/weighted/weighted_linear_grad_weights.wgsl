// dW[m,n] = scale · Σ_b dz[b,m] S[b,r(m),c(n)] h[b,n], of several layers in one dispatch. An invocation owns 8 outputs ×
// the members of four column groups that are read together, and sums over its part of the samples in order.
#import blocks
#import uniforms
#import groups

@group(0) @binding(4) var<storage, read_write> gradients: array<f32>;

const TILE: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = group_number(id, groups);
    if (!has_item(group)) {
        return;
    }
    let at = item_of(group);
    let shape = table[at + 1u];
    let steps = table[at + 2u];
    // Addresses and distances from row to row: of dz and h, and of S and the gradient.
    let inputs = table[at + 3u];
    let others = table[at + 4u];
    // Parts, samples of one, values of a copy of the gradients, the factor of S.
    let cut = table[at + 5u];
    let b = Blocks(shape.x, shape.y, shape.z, shape.w, steps.x, steps.y, steps.z);

    let reads = b.col_members / TOGETHER;
    let across = (b.col_groups + 3u) / 4u * reads;
    let tiles = across * ((b.outputs + TILE - 1u) / TILE);
    let number = (group - table[at].x) * WORKGROUP + local;
    let part = number / tiles;
    if (part >= cut.x) {
        return;
    }
    let row = number % tiles / across * TILE;
    let c = number % across / reads * 4u;
    let j = number % reads * TOGETHER;
    // The second four outputs, or the first again where there are none.
    let second = select(row, row + 4u, row + 4u < b.outputs);

    var sums: array<mat4x4<f32>, TILE>;
    let start = min(part * cut.y, uniforms.rows);
    let end = min(start + cut.y, uniforms.rows);
    for (var sample = start; sample < end; sample += 1u) {
        var d: array<vec4<f32>, 2>;
        d[0] = load4(inputs.x + sample * inputs.y + row);
        d[1] = load4(inputs.x + sample * inputs.y + second);
        let x = members(b, inputs.z + sample * inputs.w, c, j);
        var scaled: mat4x4<f32>;
        for (var i = 0u; i < TILE; i += 1u) {
            if (i % SAME_ROWS == 0u) {
                let s = values(b, others.x + sample * others.y, row_group(b, row + i), c);
                for (var t = 0u; t < TOGETHER; t += 1u) {
                    scaled[t] = s * x[t];
                }
            }
            for (var t = 0u; t < TOGETHER; t += 1u) {
                sums[i][t] += d[i / 4u][i % 4u] * scaled[t];
            }
        }
    }
    let scale = bitcast<f32>(cut.w);
    // A loop that is not unrolled may not index registers: it takes the first row, and moves the others up.
    for (var i = row; i < min(row + TILE, b.outputs); i += 1u) {
        let place = others.z + part * cut.z + i * others.w;
        var line = sums[0];
        for (var t = 0u; t < TOGETHER; t += 1u) {
            for (var k = c; k < min(c + 4u, b.col_groups); k += 1u) {
                gradients[place + column(b, k, j + t)] = scale * line[0].x;
                line[0] = line[0].yzww;
            }
            line = mat4x4<f32>(line[1], line[2], line[3], line[3]);
        }
        for (var r = 1u; r < TILE; r += 1u) {
            sums[r - 1u] = sums[r];
        }
    }
}
