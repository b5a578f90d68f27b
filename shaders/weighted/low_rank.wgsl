// S = σ(R C), factors of each sample or shared by all; one of them may be made here, as g Wᵀ + b. An invocation computes
// SAMPLES samples × four rows of S, or four columns where C is made, so that what it makes it needs alone.
#import uniforms
#import pieces
#import logistic
#import low_rank_factors
const SAMPLES: u32 = 4u;
// 0: R is made, 1: C is, 2: neither.
const MADE: u32 = 2u;
// What a factor is made of, and how long g is.
const G: u32 = 0u;
const G_STRIDE: u32 = 4u;
const INNER: u32 = 1u;
const WEIGHT: u32 = 0u;
const WEIGHT_STRIDE: u32 = 4u;
const BIAS: u32 = 0u;

// Invocations side by side: one alone where columns of S share groups of four with others.
const ACROSS: u32 = select((ROWS + 3u) / 4u, select((COLS + 3u) / 4u, 1u, COLS % 4u > 0u), MADE == 1u);
// Four rows of R, or four columns of C, of each sample.
const VALUES: u32 = SAMPLES * RANK;

// Values first..first + 3 of the factor that is made, for each sample.
fn make(samples: array<u32, SAMPLES>, first: u32, count: u32) -> array<vec4<f32>, SAMPLES> {
    var sums: array<vec4<f32>, SAMPLES>;
    var w: vec4<u32>;
    var bias: vec4<f32>;
    for (var i = 0u; i < 4u; i += 1u) {
        let n = min(first + i, count - 1u);
        w[i] = (WEIGHT + n * WEIGHT_STRIDE) / 4u;
        bias[i] = parameter(BIAS + n);
    }
    for (var s = 0u; s < SAMPLES; s += 1u) {
        sums[s] = bias;
    }
    for (var k = 0u; k < INNER; k += 4u) {
        let inside = k + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(INNER);
        let weights = mat4x4<f32>(
            parameters[w.x + k / 4u], parameters[w.y + k / 4u], parameters[w.z + k / 4u], parameters[w.w + k / 4u]);
        for (var s = 0u; s < SAMPLES; s += 1u) {
            sums[s] += select(vec4<f32>(), load4(G + samples[s] * G_STRIDE + k), inside) * weights;
        }
    }
    return sums;
}

// Rows row..row + 3 of R: value k of row row + i is value i · RANK + k.
fn rows_of_r(samples: array<u32, SAMPLES>, row: u32, first: u32) -> array<vec4<f32>, VALUES> {
    var r: array<vec4<f32>, VALUES>;
    for (var q = 0u; q < RANK; q += 1u) {
        let start = row * RANK + 4u * q;
        if (MADE == 0u) {
            let made = make(samples, start, ROWS * RANK);
            for (var s = 0u; s < SAMPLES; s += 1u) {
                r[s * RANK + q] = made[s];
                if (first + s < uniforms.rows && start < ROWS * RANK) {
                    store4(R + samples[s] * R_STRIDE + start, made[s]);
                }
            }
        } else if (R_SHARED) {
            var shared_values: vec4<f32>;
            for (var i = 0u; i < 4u; i += 1u) {
                let at = min(start + i, ROWS * RANK - 1u);
                shared_values[i] = parameter(R + at / RANK * R_STRIDE + at % RANK);
            }
            for (var s = 0u; s < SAMPLES; s += 1u) {
                r[s * RANK + q] = shared_values;
            }
        } else {
            let at = min(start, (ROWS * RANK - 1u) / 4u * 4u);
            for (var s = 0u; s < SAMPLES; s += 1u) {
                r[s * RANK + q] = load4(R + samples[s] * R_STRIDE + at);
            }
        }
    }
    return r;
}

// Columns col..col + 3 of C: row k of sample s is s · RANK + k.
fn cols_of_c(samples: array<u32, SAMPLES>, col: u32, first: u32) -> array<vec4<f32>, VALUES> {
    var c: array<vec4<f32>, VALUES>;
    for (var k = 0u; k < RANK; k += 1u) {
        let start = k * COLS + col;
        if (MADE == 1u) {
            let made = make(samples, start, RANK * COLS);
            for (var s = 0u; s < SAMPLES; s += 1u) {
                c[s * RANK + k] = made[s];
                if (first + s < uniforms.rows) {
                    store_some(C + samples[s] * C_STRIDE + start, COLS - col, made[s]);
                }
            }
        } else if (C_SHARED) {
            for (var s = 0u; s < SAMPLES; s += 1u) {
                c[s * RANK + k] = parameters[(C + k * C_STRIDE + col) / 4u];
            }
        } else {
            for (var s = 0u; s < SAMPLES; s += 1u) {
                c[s * RANK + k] = load_any4(C + samples[s] * C_STRIDE + start, COLS % 4u == 0u);
            }
        }
    }
    return c;
}

fn store_products(
    samples: array<u32, SAMPLES>, first: u32, row: u32, col: u32, r: array<vec4<f32>, VALUES>,
    c: array<vec4<f32>, VALUES>,
) {
    var rs = r;
    var cs = c;
    for (var s = 0u; s < SAMPLES; s += 1u) {
        for (var i = 0u; i < 4u; i += 1u) {
            if (first + s < uniforms.rows && row + i < ROWS) {
                var sum = vec4<f32>();
                for (var k = 0u; k < RANK; k += 1u) {
                    let at = i * RANK + k;
                    sum += rs[s * RANK + at / 4u][at % 4u] * cs[s * RANK + k];
                }
                let place = S + samples[s] * S_STRIDE + (row + i) * COLS + col;
                if (COLS % 4u == 0u) {
                    store4(place, sigmoid4(sum));
                } else {
                    store_some(place, COLS - col, sigmoid4(sum));
                }
            }
        }
    }
}

fn piece(at: u32) {
    let first = at / ACROSS * SAMPLES;
    if (first >= uniforms.rows) {
        return;
    }
    // Samples beyond the end repeat the last: computed, not stored.
    var samples: array<u32, SAMPLES>;
    for (var s = 0u; s < SAMPLES; s += 1u) {
        samples[s] = min(first + s, uniforms.rows - 1u);
    }
    if (MADE == 1u) {
        for (var col = at % ACROSS * 4u; col < COLS; col += 4u * ACROSS) {
            let c = cols_of_c(samples, col, first);
            for (var row = 0u; row < ROWS; row += 4u) {
                store_products(samples, first, row, col, rows_of_r(samples, row, first), c);
            }
        }
    } else {
        let row = at % ACROSS * 4u;
        let r = rows_of_r(samples, row, first);
        for (var col = 0u; col < COLS; col += 4u) {
            store_products(samples, first, row, col, r, cols_of_c(samples, col, first));
        }
    }
}
