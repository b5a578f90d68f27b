// y = act(Σ x W + Σ views + b) ⊙ act', for many items in one dispatch. For devices without fast workgroup memory: an
// invocation computes ROWS samples × 4 QUADS columns in registers, and reads four values at a time.
#import affine_item
#import uniforms
const ROWS: u32 = 16u;
const QUADS: u32 = 4u;

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
        at[r] = term.x + clamped(tile.row + r, row_count()) * term.stride;
    }
    return at;
}

// Rows of a tile that read the same weights.
struct Run {
    first: u32,
    end: u32,
    // Where they begin.
    weight: u32,
}

// Four outputs at four neighbouring inputs are four reads: one for each output where W's rows are outputs, one for each
// input where its columns are.
fn product(item: Item, term: Term, run: Run, tile: Tile, sums: ptr<function, array<vec4<f32>, SUMS>>) {
    let x = x_rows(term, tile);
    var w: array<u32, COLS>;
    for (var q = 0u; q < QUADS; q += 1u) {
        let col = clamped(tile.col / 4u + q, (item.width + 3u) / 4u) * 4u;
        for (var i = 0u; i < 4u; i += 1u) {
            let plain = clamped(col + i, item.width) * term.stride_w;
            w[4u * q + i] = run.weight + select(plain, i * term.stride_w + col, term.transposed);
        }
    }
    let step = select(1u, term.stride_w, term.transposed);
    for (var k = 0u; k < term.inner; k += 4u) {
        let inside = k + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(term.inner);
        var weights: array<mat4x4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            var block: mat4x4<f32>;
            for (var i = 0u; i < 4u; i += 1u) {
                block[i] = parameters4(w[4u * q + i] + k * step);
            }
            let turned = transpose(block);
            for (var i = 0u; i < 4u; i += 1u) {
                weights[q][i] = select(turned[i], block[i], term.transposed);
            }
        }
        for (var r = 0u; r < ROWS; r += 1u) {
            var v = select(vec4<f32>(), load_any4(x[r] + k, ALIGNED), inside);
            if (ROUTED) {
                v = select(vec4<f32>(), v, r >= run.first && r < run.end);
            }
            for (var q = 0u; q < QUADS; q += 1u) {
                (*sums)[r * QUADS + q] += weights[q] * v;
            }
        }
    }
}

// The product of a tile's rows with the weights of their scenarios, one run of a scenario after the other.
fn products(item: Item, term: Term, tile: Tile, sums: ptr<function, array<vec4<f32>, SUMS>>) {
    if (!ROUTED || term.scenario_stride == 0u) {
        product(item, term, Run(0u, ROWS, term.weight), tile, sums);
        return;
    }
    let count = min(ROWS, row_count() - tile.row);
    for (var first = 0u; first < count; ) {
        let own = scenario(tile.row + first);
        var end = first + 1u;
        while (end < count && scenario(tile.row + min(end, count - 1u)) == own) {
            end += 1u;
        }
        product(item, term, Run(first, end, term.weight + own * term.scenario_stride), tile, sums);
        first = end;
    }
}

fn compute(item: Item, tile: Tile) {
    var sums: array<vec4<f32>, SUMS>;
    for (var i = 0u; i < item.term_count; i += 1u) {
        products(item, read_term(item, i), tile, &sums);
    }
    // A loop that is not unrolled may not index registers: it takes the first row, and moves the others up.
    for (var row = tile.row; row < min(tile.row + ROWS, row_count()); row += 1u) {
        var line: array<vec4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q += 1u) {
            line[q] = sums[q];
        }
        for (var col = tile.col; col < min(tile.col + COLS, item.width); col += 4u) {
            finish(item, row, col, line[0]);
            for (var q = 1u; q < QUADS; q += 1u) {
                line[q - 1u] = line[q];
            }
        }
        for (var r = 1u; r < ROWS; r += 1u) {
            for (var q = 0u; q < QUADS; q += 1u) {
                sums[(r - 1u) * QUADS + q] = sums[r * QUADS + q];
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
    if (row >= row_count()) {
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
