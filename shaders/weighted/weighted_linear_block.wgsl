// y[b,m] = act(SCALE · Σ_n S[b,r(m),c(n)] W[m,n] h[b,n] + bias[m]) for a block of samples. Sixteen invocations share the
// inputs of four outputs, so that neighbours read neighbouring weights and values of S.
#import block_main
#import block_product
#import epilogue
#import scaled_weights
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

// Outputs of a pass, four for each sixteen invocations.
const OUTPUTS_OF_PASS: u32 = WORKGROUP / 4u;

fn add_scaled(row: u32, k: u32, first: u32, local: u32, sums: ptr<function, array<vec4<f32>, BLOCK>>) {
    let quads = min((INPUTS - k + 3u) / 4u, STAGED);
    let n = min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(OUTPUTS - 1u));
    let w = (WEIGHT + n * WEIGHT_STRIDE + k) / 4u;
    let group = row_group(row);
    for (var q = local % 16u; q < quads; q += 16u) {
        let w0 = parameters[w.x + q];
        let w1 = parameters[w.y + q];
        let w2 = parameters[w.z + q];
        let w3 = parameters[w.w + q];
        let col = k + 4u * q;
        for (var i = 0u; i < BLOCK; i += 1u) {
            let s = S + row_of(first, i) * S_STRIDE;
            let x = tile[i * STAGED + q];
            if (SAME_ROWS) {
                let scaled = scales(s, group, col) * x;
                (*sums)[i] += vec4<f32>(dot(w0, scaled), dot(w1, scaled), dot(w2, scaled), dot(w3, scaled));
            } else {
                (*sums)[i] += vec4<f32>(
                    dot(w0, scales(s, group, col) * x), dot(w1, scales(s, row_group(row + 1u), col) * x),
                    dot(w2, scales(s, row_group(row + 2u), col) * x), dot(w3, scales(s, row_group(row + 3u), col) * x));
            }
        }
    }
}

fn block(first: u32, local: u32, at: u32) {
    for (var pass_row = 0u; pass_row < OUTPUTS; pass_row += OUTPUTS_OF_PASS) {
        var sums: array<vec4<f32>, BLOCK>;
        let row = pass_row + 4u * (local / 16u);
        for (var k = 0u; k < INPUTS; k += 4u * STAGED) {
            stage(H, H_STRIDE, INPUTS, k, first, local);
            if (row < OUTPUTS) {
                add_scaled(row, k, first, local, &sums);
            }
        }
        // In a fixed order: afterwards the first of each sixteen invocations' sums are whole.
        for (var t = 0u; t < BLOCK / 2u; t += 1u) {
            workgroupBarrier();
            tile[local] = sums[2u * t];
            tile[WORKGROUP + local] = sums[2u * t + 1u];
            workgroupBarrier();
            // Four outputs of one sample each.
            if (local / 32u == t) {
                let own = local % 16u;
                let begin = local % 32u / 16u * WORKGROUP + 16u * own;
                var total = vec4<f32>();
                for (var i = 0u; i < 16u; i += 1u) {
                    total += tile[begin + (i + own) % 16u];
                }
                let sample = first + 2u * t + local % 32u / 16u;
                let m = pass_row + 4u * own;
                if (sample < uniforms.rows && m < OUTPUTS) {
                    let z = SCALE * total + parameters[(BIAS + m) / 4u];
                    store4(Y + sample * Y_STRIDE + m, epilogue(z, ACTIVATION, DROPOUT, DROPOUT_SALT, sample * OUTPUTS + m));
                }
            }
        }
    }
}
