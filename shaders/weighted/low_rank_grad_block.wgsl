// The gradients of both factors of S = σ(R C) for a block of samples: with d = dS ⊙ S ⊙ (1 − S), dR = d Cᵀ and
// dC = Rᵀ d. Eight invocations share the columns of four values of dR; an invocation has four columns of dC.
#import block_main
#import eight
#import low_rank_factors
const DS: u32 = 0u;
const DR: u32 = 0u;
const DR_STRIDE: u32 = 4u;
const DC: u32 = 0u;
const DC_STRIDE: u32 = 4u;

const ALIGNED: bool = COLS % 4u == 0u;
const COL_QUADS: u32 = (COLS + 3u) / 4u;

fn inside(col: u32, values: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), values, col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(COLS));
}

// d at a row and four columns; 0 beyond the last.
fn d(sample: u32, row: u32, col: u32) -> vec4<f32> {
    let at = sample * S_STRIDE + row * COLS + col;
    let s = load_some4(S + at, COLS - col, ALIGNED);
    return inside(col, load_some4(DS + at, COLS - col, ALIGNED) * s * (1.0 - s));
}

fn c_values(sample: u32, k: u32, col: u32) -> vec4<f32> {
    var values: vec4<f32>;
    if (C_SHARED) {
        values = parameters[(C + k * C_STRIDE + col) / 4u];
    } else {
        values = load_some4(C + sample * C_STRIDE + k * COLS + col, COLS - col, ALIGNED);
    }
    return inside(col, values);
}

// One value of dR, as far as the columns of one invocation of eight go.
fn part_of_dr(sample: u32, number: u32, lane: u32) -> f32 {
    let row = number / RANK;
    var sum = 0.0;
    if (number < ROWS * RANK) {
        for (var quad = lane; quad < COL_QUADS; quad += 8u) {
            sum += dot(d(sample, row, 4u * quad), c_values(sample, number % RANK, 4u * quad));
        }
    }
    return sum;
}

// Four values of dC, numbered row by row.
fn four_of_dc(sample: u32, number: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    for (var row = 0u; row < ROWS; row += 1u) {
        if (ALIGNED) {
            sums += r_value(sample, row, number / COLS) * d(sample, row, number % COLS);
        } else {
            for (var i = 0u; i < 4u; i += 1u) {
                let at = min(number + i, RANK * COLS - 1u);
                sums[i] += r_value(sample, row, at / COLS) * d(sample, row, at % COLS).x;
            }
        }
    }
    return sums;
}

fn block(first: u32, local: u32, at: u32) {
    let samples = min(BLOCK, uniforms.rows - first);
    const R_QUADS = (ROWS * RANK + 3u) / 4u;
    for (var base = 0u; base < samples * R_QUADS; base += WORKGROUP / 8u) {
        let item = base + local / 8u;
        let own = item < samples * R_QUADS;
        let sample = first + min(item / R_QUADS, samples - 1u);
        let number = item % R_QUADS * 4u;
        let lane = local % 8u;
        let parts = vec4<f32>(
            part_of_dr(sample, number, lane), part_of_dr(sample, number + 1u, lane),
            part_of_dr(sample, number + 2u, lane), part_of_dr(sample, number + 3u, lane));
        let total = sum_of_eight(parts, local);
        if (own && lane == 0u) {
            store4(DR + sample * DR_STRIDE + number, total);
        }
    }
    const C_QUADS = (RANK * COLS + 3u) / 4u;
    for (var quad = local; quad < samples * C_QUADS; quad += WORKGROUP) {
        let number = quad % C_QUADS * 4u;
        let sample = first + quad / C_QUADS;
        store4(DC + sample * DC_STRIDE + number, four_of_dc(sample, number));
    }
}
