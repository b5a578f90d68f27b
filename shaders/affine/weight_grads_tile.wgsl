// dW = Σ dz xᵀ and db = Σ dz over the samples of a batch, of many weights in one dispatch: a tile of a weight, for a part of
// the samples, by a workgroup.
#import tiles_main
#import grad_item
#import grad_tile

fn add_products(
    pair: Pair, item: Item, row: u32, col: u32, local: u32, sums: ptr<function, array<vec4<f32>, 4>>,
) {
    // Without x the columns of dz are what is summed, in the first row.
    let alone = pair.x == NONE;
    let across = select(pair.x, pair.dz, alone);
    let stride = select(pair.x_stride, pair.dz_stride, alone);
    let own_row = row + 4u * (local % ACROSS);
    let own_col = col + 4u * (local % ACROSS);
    for (var begin = pair.start; begin < pair.end; begin += DEPTH) {
        let sample = begin + local / ACROSS;
        var counts = sample < pair.end;
        if (counts && pair.scenario > 0u) {
            counts = batches[uniforms.batch_offset + SCENARIOS + sample] + 1u == pair.scenario;
        }
        var d = vec4<f32>();
        var x = vec4<f32>();
        if (counts && own_row < item.rows) {
            if (alone) {
                d = vec4<f32>(1.0);
            } else {
                d = load_some4(pair.dz + sample * pair.dz_stride + own_row, item.rows - own_row, ALIGNED);
            }
        }
        if (counts && own_col < item.cols) {
            x = load_some4(across + sample * stride + own_col, item.cols - own_col, ALIGNED);
        }
        workgroupBarrier();
        stage_pair(local, d, x);
        workgroupBarrier();
        for (var s = local / TEAM; s < DEPTH; s += TEAMS) {
            let rows = staged_rows(s, local);
            let cols = staged_cols(s, local);
            (*sums)[0] += rows.x * cols;
            (*sums)[1] += rows.y * cols;
            (*sums)[2] += rows.z * cols;
            (*sums)[3] += rows.w * cols;
        }
    }
}

fn tiles(group: u32, local: u32, at: u32) {
    let item_at = at + table[at + 1u + group / 4u][group % 4u];
    let shape = table[item_at + 1u];
    let across = (shape.y + SIDE - 1u) / SIDE;
    let count = across * ((shape.x + SIDE - 1u) / SIDE);
    let number = group - table[item_at].x;
    let item = read_item(item_at, number / count);
    let row = number % count / across * SIDE;
    let col = number % across * SIDE;
    var sums: array<vec4<f32>, 4>;
    for (var i = 0u; i < item.pair_count; i += 1u) {
        add_products(read_pair(item, i), item, row, col, local, &sums);
    }
    add_teams(local, &sums);
    let first_row = row + own_rows(local);
    let first_col = col + own_cols(local);
    for (var i = 0u; i < 4u; i += 1u) {
        for (var j = 0u; j < 4u; j += 1u) {
            if (writes(i, local) && first_row + i < item.rows && first_col + j < item.cols) {
                gradients[item.gradient + (first_row + i) * item.stride + first_col + j] = sums[i][j];
            }
        }
    }
}
