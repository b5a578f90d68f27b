// dW = Σ dz xᵀ and db = Σ dz over the samples of a batch, of many weights in one dispatch. For devices without fast
// workgroup memory: an invocation sums a tile of TILE × TILE values, or TILE columns of dz, over its part of the samples
// in order.
#import uniforms
#import grad_item
const QUADS: u32 = 4u;

const TILE: u32 = 4u * QUADS;
const SUMS: u32 = TILE * QUADS;

// A group of four columns of a tile, or the last one where the item has no more.
fn quad(first: u32, number: u32, count: u32) -> u32 {
    return min(first + 4u * number, (count - 1u) / 4u * 4u);
}

fn add_products(pair: Pair, item: Item, row: u32, col: u32, sums: ptr<function, array<vec4<f32>, SUMS>>) {
    // Without x the columns of dz are what is summed, in the first row.
    let alone = pair.x == NONE;
    let across = select(pair.x, pair.dz, alone);
    let stride = select(pair.x_stride, pair.dz_stride, alone);
    for (var sample = pair.start; sample < pair.end; sample += 1u) {
        if (pair.scenario > 0u && batches[uniforms.batch_offset + SCENARIOS + sample] + 1u != pair.scenario) {
            continue;
        }
        var x: array<vec4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            x[q] = load_any4(across + sample * stride + quad(col, q, item.cols), ALIGNED);
        }
        var d: array<vec4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            let found = load_any4(pair.dz + sample * pair.dz_stride + quad(row, q, item.rows), ALIGNED);
            d[q] = select(found, vec4<f32>(1.0), alone);
        }
        for (var p = 0u; p < QUADS; p += 1u) {
            for (var i = 0u; i < 4u; i += 1u) {
                for (var q = 0u; q < QUADS; q += 1u) {
                    (*sums)[(4u * p + i) * QUADS + q] += d[p][i] * x[q];
                }
            }
        }
    }
}

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
    let across = (table[at + 1u].y + TILE - 1u) / TILE;
    let tiles = across * ((table[at + 1u].x + TILE - 1u) / TILE);
    let number = (group - table[at].x) * WORKGROUP + local;
    let item = read_item(at, number / tiles);
    if (item.part >= item.parts) {
        return;
    }
    let row = number % tiles / across * TILE;
    let col = number % across * TILE;
    var sums: array<vec4<f32>, SUMS>;
    for (var i = 0u; i < item.pair_count; i += 1u) {
        add_products(read_pair(item, i), item, row, col, &sums);
    }
    // A loop that is not unrolled may not index registers: it takes the first row, and moves the others up.
    for (var i = row; i < min(row + TILE, item.rows); i += 1u) {
        var line: array<vec4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            line[q] = sums[q];
        }
        for (var j = col; j < min(col + TILE, item.cols); j += 1u) {
            gradients[item.gradient + i * item.stride + j] = line[0].x;
            for (var q = 0u; q < QUADS; q += 1u) {
                line[q] = vec4<f32>(line[q].yzw, line[min(q + 1u, QUADS - 1u)].x);
            }
        }
        for (var r = 1u; r < TILE; r += 1u) {
            for (var q = 0u; q < QUADS; q += 1u) {
                sums[(r - 1u) * QUADS + q] = sums[r * QUADS + q];
            }
        }
    }
}
