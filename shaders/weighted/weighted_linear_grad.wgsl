// With y[r,n] = Σ_{m in group r} W[m,n] dz[m]: dh[n] = SCALE · Σ_r S[r,c(n)] y[r,n] and
// dS[r,c] = SCALE · Σ_{n in group c} h[n] y[r,n] (+ what else S receives). An invocation owns four whole column groups
// of ROWS samples, so that both sums end in it.
#import uniforms
#import pieces
#import weighted_layer
const ROWS: u32 = 4u;
const DZ: u32 = 0u;
const DZ_STRIDE: u32 = 4u;
const H: u32 = 0u;
const H_STRIDE: u32 = 4u;
const S: u32 = 0u;
const S_STRIDE: u32 = 4u;
const DH: u32 = 0u;
const DS: u32 = 0u;
// What is added to dS; its rows lie like those of S.
const ADDS: bool = false;
const ADD: u32 = 0u;
// Whether dz's values of four members of a row group are neighbours.
const ROW_VECTOR: bool = false;

// Invocations side by side: one alone where column groups share four values of dh or dS.
const ACROSS: u32 = select((COL_GROUPS + 3u) / 4u, 1u, COL_GROUPS % 4u > 0u);

fn store_values(row: u32, group: u32, c: u32, value: vec4<f32>) {
    let at = row + group * S_ROW_STEP + c * S_COL_STEP;
    if (S_VECTOR) {
        store4(at, value);
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            if (c + i < COL_GROUPS) {
                store(at + i * S_COL_STEP, value[i]);
            }
        }
    }
}

fn store_members(row: u32, c: u32, j: u32, found: mat4x4<f32>) {
    let b = layer();
    if (COL_MODE == 1u) {
        store4(row + column(b, c, j), found[0]);
    } else {
        let by_group = transpose(found);
        for (var i = 0u; i < 4u; i += 1u) {
            if (c + i < COL_GROUPS) {
                if (COL_MODE == 2u) {
                    store4(row + column(b, c + i, j), by_group[i]);
                } else {
                    store(row + column(b, c + i, j), found[0][i]);
                }
            }
        }
    }
}

fn piece(at: u32) {
    let row = at / ACROSS * ROWS;
    if (row >= uniforms.rows) {
        return;
    }
    let b = layer();
    // Samples beyond the end repeat the last: computed, not stored.
    var samples: array<u32, ROWS>;
    for (var k = 0u; k < ROWS; k += 1u) {
        samples[k] = min(row + k, uniforms.rows - 1u);
    }
    for (var c = at % ACROSS * 4u; c < COL_GROUPS; c += 4u * ACROSS) {
        for (var j = 0u; j < COL_MEMBERS; j += TOGETHER) {
            var x: array<mat4x4<f32>, ROWS>;
            var sums: array<mat4x4<f32>, ROWS>;
            for (var k = 0u; k < ROWS; k += 1u) {
                x[k] = members(b, H + samples[k] * H_STRIDE, c, j);
                sums[k] = mat4x4<f32>();
            }
            for (var r = 0u; r < ROW_GROUPS; r += 1u) {
                var y: array<mat4x4<f32>, ROWS>;
                for (var k = 0u; k < ROWS; k += 1u) {
                    y[k] = mat4x4<f32>();
                }
                if (ROW_VECTOR) {
                    for (var i = 0u; i < ROW_MEMBERS; i += 4u) {
                        var d: array<vec4<f32>, ROWS>;
                        for (var k = 0u; k < ROWS; k += 1u) {
                            d[k] = load4(DZ + samples[k] * DZ_STRIDE + r * ROW_MEMBERS + i);
                        }
                        for (var n = 0u; n < 4u; n += 1u) {
                            let w = weights(r * ROW_MEMBERS + i + n, c, j);
                            for (var k = 0u; k < ROWS; k += 1u) {
                                for (var t = 0u; t < TOGETHER; t += 1u) {
                                    y[k][t] += d[k][n] * w[t];
                                }
                            }
                        }
                    }
                } else {
                    for (var i = 0u; i < ROW_MEMBERS; i += 1u) {
                        let m = row_member(b, r, i);
                        let w = weights(m, c, j);
                        for (var k = 0u; k < ROWS; k += 1u) {
                            let d = load(DZ + samples[k] * DZ_STRIDE + m);
                            for (var t = 0u; t < TOGETHER; t += 1u) {
                                y[k][t] += d * w[t];
                            }
                        }
                    }
                }
                for (var k = 0u; k < ROWS; k += 1u) {
                    let s = values(b, S + samples[k] * S_STRIDE, r, c);
                    var product = vec4<f32>();
                    for (var t = 0u; t < TOGETHER; t += 1u) {
                        sums[k][t] += s * y[k][t];
                        product += x[k][t] * y[k][t];
                    }
                    if (row + k < uniforms.rows) {
                        // A group of several reads is summed in place: its values are this invocation's alone.
                        var before = vec4<f32>();
                        if (j > 0u) {
                            before = values(b, DS + samples[k] * S_STRIDE, r, c);
                        } else if (ADDS) {
                            before = values(b, ADD + samples[k] * S_STRIDE, r, c);
                        }
                        store_values(DS + samples[k] * S_STRIDE, r, c, before + SCALE * product);
                    }
                }
            }
            for (var k = 0u; k < ROWS; k += 1u) {
                if (row + k < uniforms.rows) {
                    store_members(DH + samples[k] * H_STRIDE, c, j, SCALE * sums[k]);
                }
            }
        }
    }
}
