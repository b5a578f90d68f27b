// y = act(Σ x W + Σ views + b) ⊙ gate, for many items in one dispatch. For devices without fast workgroup memory: an
// invocation computes ROWS samples × 4 QUADS columns in registers, and reads four values at a time.
#import affine_item
#import clock
const ROWS: u32 = 8u;
const QUADS: u32 = 2u;

const COLS: u32 = 4u * QUADS;
const SUMS: u32 = ROWS * QUADS;

// A tile: its first sample and column.
struct Tile {
    row: u32,
    col: u32,
}

// The last of `count` whose number is not above `i`: tiles that reach beyond the end read it again, and do not store.
fn clamped(i: u32, count: u32) -> u32 {
    return min(i, count - 1u);
}

// Where the rows of x begin.
fn x_rows(term: Term, tile: Tile) -> array<u32, ROWS> {
    var at: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r += 1u) {
        at[r] = term.x + clamped(tile.row + r, clock.rows) * term.stride;
    }
    return at;
}

// W's rows are outputs: four outputs' values at four neighbouring inputs are four reads.
fn plain(item: Item, term: Term, tile: Tile, sums: ptr<function, array<vec4<f32>, SUMS>>) {
    let x = x_rows(term, tile);
    var w: array<u32, COLS>;
    for (var n = 0u; n < COLS; n += 1u) {
        w[n] = (term.weight + clamped(tile.col + n, item.width) * term.output_step) / 4u;
    }
    for (var k = 0u; k < term.inner; k += 4u) {
        let inside = k + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(term.inner);
        var weights: array<mat4x4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            let at = k / 4u;
            weights[q] = transpose(mat4x4<f32>(
                parameters[w[4u * q] + at], parameters[w[4u * q + 1u] + at], parameters[w[4u * q + 2u] + at],
                parameters[w[4u * q + 3u] + at]));
        }
        for (var r = 0u; r < ROWS; r += 1u) {
            let v = select(vec4<f32>(), load4(x[r] + k), inside);
            for (var q = 0u; q < QUADS; q += 1u) {
                (*sums)[r * QUADS + q] += weights[q] * v;
            }
        }
    }
}

// W's columns are outputs: four neighbouring outputs' values at one input are one read.
fn transposed(item: Item, term: Term, tile: Tile, sums: ptr<function, array<vec4<f32>, SUMS>>) {
    let x = x_rows(term, tile);
    var w: array<u32, QUADS>;
    for (var q = 0u; q < QUADS; q += 1u) {
        w[q] = term.weight + clamped(tile.col / 4u + q, (item.width + 3u) / 4u) * 4u;
    }
    for (var k = 0u; k < term.inner; k += 4u) {
        let inside = k + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(term.inner);
        var weights: array<mat4x4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            for (var i = 0u; i < 4u; i += 1u) {
                weights[q][i] = parameters[(w[q] + clamped(k + i, term.inner) * term.inner_step) / 4u];
            }
        }
        for (var r = 0u; r < ROWS; r += 1u) {
            let v = select(vec4<f32>(), load4(x[r] + k), inside);
            for (var q = 0u; q < QUADS; q += 1u) {
                (*sums)[r * QUADS + q] += weights[q] * v;
            }
        }
    }
}

// Any places: value by value.
fn scattered(item: Item, term: Term, tile: Tile, sums: ptr<function, array<vec4<f32>, SUMS>>) {
    let x = x_rows(term, tile);
    for (var k = 0u; k < term.inner; k += 1u) {
        var weights: array<vec4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            for (var i = 0u; i < 4u; i += 1u) {
                let n = clamped(tile.col + 4u * q + i, item.width);
                weights[q][i] = parameter(term.weight + n * term.output_step + k * term.inner_step);
            }
        }
        for (var r = 0u; r < ROWS; r += 1u) {
            let v = load(x[r] + k);
            for (var q = 0u; q < QUADS; q += 1u) {
                (*sums)[r * QUADS + q] += weights[q] * v;
            }
        }
    }
}

fn compute(item: Item, tile: Tile) {
    var sums: array<vec4<f32>, SUMS>;
    for (var i = 0u; i < SUMS; i += 1u) {
        sums[i] = vec4<f32>();
    }
    for (var i = 0u; i < item.term_count; i += 1u) {
        let term = read_term(item, i);
        if (term.kind == 0u) {
            plain(item, term, tile, &sums);
        } else if (ALIGNED || term.kind == 1u) {
            transposed(item, term, tile, &sums);
        } else {
            scattered(item, term, tile, &sums);
        }
    }
    for (var r = 0u; r < ROWS; r += 1u) {
        for (var q = 0u; q < QUADS; q += 1u) {
            let col = tile.col + 4u * q;
            if (tile.row + r < clock.rows && col < item.width) {
                finish(item, tile.row + r, col, sums[r * QUADS + q]);
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
    var at = item_of(group);
    // First workgroup, tiles side by side, and how many items are computed together.
    let head = table[at];
    let number = (group - head.x) * WORKGROUP + local;
    let row = number / head.y * ROWS;
    if (row >= clock.rows) {
        return;
    }
    for (var i = 0u; i < head.z; i += 1u) {
        let item = read_item(at);
        for (var col = number % head.y * COLS; col < item.width; col += head.y * COLS) {
            compute(item, Tile(row, col));
        }
        at = item.next;
    }
}
