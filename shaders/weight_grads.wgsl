// dW = Σ dz xᵀ and db = Σ dz over the samples of a batch, of many weights in one dispatch. For devices without fast
// workgroup memory: an invocation sums a tile of 8 × 8 values, or 8 columns of dz, over its part of the samples in
// order.
#import clock
#import grad_item
const TILE: u32 = 8u;

// Where eight neighbouring columns of a view lie: two groups of four, or eight single ones.
fn add_products(pair: Pair, item: Item, row: u32, col: u32, sums: ptr<function, array<vec4<f32>, 16>>) {
    let d0 = pair.dz + row;
    let d1 = pair.dz + second(row, item.rows);
    let x0 = pair.x + col;
    let x1 = pair.x + second(col, item.cols);
    for (var sample = item.start; sample < item.end; sample += 1u) {
        let d = sample * pair.dz_stride;
        let at = sample * pair.x_stride;
        let da = load4(d0 + d);
        let db = load4(d1 + d);
        let xa = load4(x0 + at);
        let xb = load4(x1 + at);
        for (var i = 0u; i < 4u; i += 1u) {
            (*sums)[2u * i] += da[i] * xa;
            (*sums)[2u * i + 1u] += da[i] * xb;
            (*sums)[2u * i + 8u] += db[i] * xa;
            (*sums)[2u * i + 9u] += db[i] * xb;
        }
    }
}

// The second group of four of a tile, or the first again where there is none.
fn second(first: u32, count: u32) -> u32 {
    return select(first, first + 4u, first + 4u < count);
}

// The same where a view begins anywhere.
fn add_scattered(pair: Pair, item: Item, row: u32, col: u32, sums: ptr<function, array<vec4<f32>, 16>>) {
    for (var sample = item.start; sample < item.end; sample += 1u) {
        var x: array<vec4<f32>, 2>;
        for (var j = 0u; j < TILE; j += 1u) {
            x[j / 4u][j % 4u] = load(pair.x + sample * pair.x_stride + min(col + j, item.cols - 1u));
        }
        for (var i = 0u; i < TILE; i += 1u) {
            let d = load(pair.dz + sample * pair.dz_stride + min(row + i, item.rows - 1u));
            (*sums)[2u * i] += d * x[0];
            (*sums)[2u * i + 1u] += d * x[1];
        }
    }
}

fn add_columns(pair: Pair, item: Item, col: u32, sums: ptr<function, array<vec4<f32>, 16>>) {
    let aligned = ALIGNED || pair.dz % 4u == 0u;
    for (var sample = item.start; sample < item.end; sample += 1u) {
        let at = pair.dz + sample * pair.dz_stride;
        (*sums)[0] += load_any4(at + col, aligned);
        (*sums)[1] += load_any4(at + second(col, item.cols), aligned);
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
    var sums: array<vec4<f32>, 16>;
    for (var i = 0u; i < 16u; i += 1u) {
        sums[i] = vec4<f32>();
    }
    for (var i = 0u; i < item.pair_count; i += 1u) {
        let pair = read_pair(item, i);
        if (pair.x == NONE) {
            add_columns(pair, item, col, &sums);
        } else if (ALIGNED || (pair.dz | pair.x) % 4u == 0u) {
            add_products(pair, item, row, col, &sums);
        } else {
            add_scattered(pair, item, row, col, &sums);
        }
    }
    for (var i = 0u; i < TILE; i += 1u) {
        for (var j = 0u; j < TILE; j += 1u) {
            if (row + i < item.rows && col + j < item.cols) {
                gradients[item.gradient + (row + i) * item.stride + col + j] = sums[2u * i + j / 4u][j % 4u];
            }
        }
    }
}
