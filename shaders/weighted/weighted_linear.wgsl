// y[b,m] = act(SCALE · Σ_c S[b,r(m),c] Σ_{n in group c} W[m,n] h[b,n] + bias[m]): a product whose inner dimension is
// cut into the column groups of S, each partial sum scaled before it is added. An invocation computes ROWS samples ×
// COLS outputs, four column groups at a time.
#import uniforms
#import epilogue
#import pieces
#import weighted_layer
const ROWS: u32 = 8u;
// 1, 4 or 8.
const COLS: u32 = 8u;
const H: u32 = 0u;
const H_STRIDE: u32 = 4u;
const S: u32 = 0u;
const S_STRIDE: u32 = 4u;
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;
const BIAS: u32 = 0u;
const ACTIVATION: u32 = 0u;
const DROPOUT: f32 = 0.0;
const DROPOUT_SALT: u32 = 0u;

const SUMS: u32 = ROWS * COLS;
const QUADS: u32 = (COLS + 3u) / 4u;

fn piece(at: u32) {
    const ACROSS = (OUTPUTS + COLS - 1u) / COLS;
    let row = at / ACROSS * ROWS;
    let col = at % ACROSS * COLS;
    if (row >= uniforms.rows) {
        return;
    }
    let b = layer();
    var sums: array<f32, SUMS>;
    for (var c = 0u; c < COL_GROUPS; c += 4u) {
        for (var j = 0u; j < COL_MEMBERS; j += TOGETHER) {
            // Samples beyond the end repeat the last: computed, not stored.
            var x: array<mat4x4<f32>, ROWS>;
            for (var r = 0u; r < ROWS; r += 1u) {
                x[r] = members(b, H + min(row + r, uniforms.rows - 1u) * H_STRIDE, c, j);
            }
            var s: array<vec4<f32>, ROWS>;
            for (var n = 0u; n < COLS; n += 1u) {
                if (n % SAME_ROWS == 0u) {
                    for (var r = 0u; r < ROWS; r += 1u) {
                        let place = S + min(row + r, uniforms.rows - 1u) * S_STRIDE;
                        s[r] = values(b, place, row_group(b, col + n), c);
                    }
                }
                let w = weights(min(col + n, OUTPUTS - 1u), c, j);
                for (var r = 0u; r < ROWS; r += 1u) {
                    var product = w[0] * x[r][0];
                    for (var i = 1u; i < TOGETHER; i += 1u) {
                        product += w[i] * x[r][i];
                    }
                    sums[r * COLS + n] += dot(s[r], product);
                }
            }
        }
    }
    // A loop that is not unrolled may not index registers: it takes the first row, and moves the others up.
    for (var k = row; k < min(row + ROWS, uniforms.rows); k += 1u) {
        var line: array<vec4<f32>, QUADS>;
        for (var n = 0u; n < COLS; n += 1u) {
            line[n / 4u][n % 4u] = sums[n];
        }
        for (var m = col; m < min(col + COLS, OUTPUTS); m += 4u) {
            let z = SCALE * line[0] + parameters[(BIAS + m) / 4u];
            store4(Y + k * Y_STRIDE + m, epilogue(z, ACTIVATION, DROPOUT, DROPOUT_SALT, k * OUTPUTS + m));
            line[0] = line[QUADS - 1u];
        }
        for (var r = 1u; r < ROWS; r += 1u) {
            for (var n = 0u; n < COLS; n += 1u) {
                sums[(r - 1u) * COLS + n] = sums[r * COLS + n];
            }
        }
    }
}
