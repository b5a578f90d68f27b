// The gradients of both factors of S = σ(R C), of each sample: with d = dS ⊙ S ⊙ (1 − S), dR = d Cᵀ and dC = Rᵀ d. Some
// invocations compute four rows of dR each, the others four columns of dC.
#import uniforms
#import pieces
#import low_rank_factors
const CAPACITY: u32 = 1u;
const DS: u32 = 0u;
const DR: u32 = 0u;
const DR_STRIDE: u32 = 4u;
const DC: u32 = 0u;
const DC_STRIDE: u32 = 4u;

const ROW_QUADS: u32 = (ROWS + 3u) / 4u;
// One invocation where columns of dC share groups of four with others.
const COL_QUADS: u32 = select((COLS + 3u) / 4u, 1u, COLS % 4u > 0u);

// d at a row and four columns; 0 beyond the last.
fn d(sample: u32, row: u32, col: u32) -> vec4<f32> {
    let at = sample * S_STRIDE + row * COLS + col;
    let s = load_any4(S + at, COLS % 4u == 0u);
    let found = load_any4(DS + at, COLS % 4u == 0u) * s * (1.0 - s);
    return select(vec4<f32>(), found, col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(COLS));
}

fn row_gradient(sample: u32, row: u32) {
    // Value k of row row + i is value i · RANK + k.
    var sums: array<vec4<f32>, RANK>;
    for (var k = 0u; k < RANK; k += 1u) {
        sums[k] = vec4<f32>();
    }
    for (var col = 0u; col < COLS; col += 4u) {
        var c: array<vec4<f32>, RANK>;
        for (var k = 0u; k < RANK; k += 1u) {
            if (C_SHARED) {
                c[k] = parameters[(C + k * C_STRIDE + col) / 4u];
            } else {
                let found = load_any4(C + sample * C_STRIDE + k * COLS + col, COLS % 4u == 0u);
                c[k] = select(vec4<f32>(), found, col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(COLS));
            }
        }
        for (var i = 0u; i < 4u; i += 1u) {
            let part = d(sample, min(row + i, ROWS - 1u), col);
            for (var k = 0u; k < RANK; k += 1u) {
                let at = i * RANK + k;
                sums[at / 4u][at % 4u] += dot(part, c[k]);
            }
        }
    }
    for (var q = 0u; q < RANK; q += 1u) {
        let at = row * RANK + 4u * q;
        if (at < ROWS * RANK) {
            store4(DR + sample * DR_STRIDE + at, sums[q]);
        }
    }
}

fn column_gradient(sample: u32, col: u32) {
    var sums: array<vec4<f32>, RANK>;
    for (var k = 0u; k < RANK; k += 1u) {
        sums[k] = vec4<f32>();
    }
    for (var row = 0u; row < ROWS; row += 1u) {
        let part = d(sample, row, col);
        for (var k = 0u; k < RANK; k += 1u) {
            var r: f32;
            if (R_SHARED) {
                r = parameter(R + row * R_STRIDE + k);
            } else {
                r = load(R + sample * R_STRIDE + row * RANK + k);
            }
            sums[k] += r * part;
        }
    }
    for (var k = 0u; k < RANK; k += 1u) {
        store_some(DC + sample * DC_STRIDE + k * COLS + col, COLS - col, sums[k]);
    }
}

fn piece(at: u32) {
    if (at < CAPACITY * ROW_QUADS) {
        let sample = at / ROW_QUADS;
        if (sample < uniforms.rows) {
            row_gradient(sample, at % ROW_QUADS * 4u);
        }
    } else {
        let sample = (at - CAPACITY * ROW_QUADS) / COL_QUADS;
        if (sample < uniforms.rows) {
            for (var col = (at - CAPACITY * ROW_QUADS) % COL_QUADS * 4u; col < COLS; col += 4u * COL_QUADS) {
                column_gradient(sample, col);
            }
        }
    }
}
