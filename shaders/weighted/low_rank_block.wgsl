// S = σ(R C) for a block of samples, factors of each sample or shared by all; one of them may be made here, as g Wᵀ + b.
#import block_main
#import block_product
#import logistic
#import low_rank_factors
// 0: R is made, 1: C is, 2: neither.
const MADE: u32 = 2u;
// What a factor is made of, and how long g is.
const G: u32 = 0u;
const G_STRIDE: u32 = 4u;
const INNER: u32 = 1u;
const WEIGHT: u32 = 0u;
const WEIGHT_STRIDE: u32 = 4u;
const BIAS: u32 = 0u;
const ALIGNED: bool = true;

fn parameters4(at: u32) -> vec4<f32> {
    return parameters[at / 4u];
}

// Makes a factor of `count` values.
fn make(address: u32, stride: u32, count: u32, first: u32, local: u32) {
    for (var base = 0u; base < count; base += PASS) {
        var sums: array<vec4<f32>, BLOCK>;
        var totals: array<vec4<f32>, OWN>;
        let n = base + 4u * (local / 8u) + vec4<u32>(0u, 1u, 2u, 3u);
        for (var k = 0u; k < INNER; k += 4u * STAGED) {
            stage(G, G_STRIDE, INNER, k, first, local);
            if (n.x < count) {
                let w = WEIGHT + min(n, vec4<u32>(count - 1u)) * WEIGHT_STRIDE + k;
                add_rows(w, k, INNER, vec2<u32>(0u, BLOCK), local, &sums);
            }
        }
        collect(true, local, &sums, &totals);
        let own = base + 4u * (local % 32u);
        for (var u = 0u; u < OWN; u += 1u) {
            let row = first + 8u * u + local / 32u;
            if (row < uniforms.rows && own < count) {
                store4(address + row * stride + own, totals[u] + parameters4(BIAS + own));
            }
        }
    }
}

fn c_value(sample: u32, k: u32, col: u32) -> f32 {
    var value: f32;
    if (C_SHARED) {
        value = parameter(C + k * C_STRIDE + col);
    } else {
        value = load(C + sample * C_STRIDE + k * COLS + col);
    }
    return value;
}

fn c_values(sample: u32, k: u32, col: u32) -> vec4<f32> {
    var values: vec4<f32>;
    if (C_SHARED) {
        values = parameters[(C + k * C_STRIDE + col) / 4u];
    } else {
        values = load4(C + sample * C_STRIDE + k * COLS + col);
    }
    return values;
}

// Four values of S, numbered row by row.
fn four(sample: u32, number: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    if (COLS % 4u == 0u) {
        for (var k = 0u; k < RANK; k += 1u) {
            sums += r_value(sample, number / COLS, k) * c_values(sample, k, number % COLS);
        }
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            let at = min(number + i, ROWS * COLS - 1u);
            for (var k = 0u; k < RANK; k += 1u) {
                sums[i] += r_value(sample, at / COLS, k) * c_value(sample, k, at % COLS);
            }
        }
    }
    return sums;
}

fn block(first: u32, local: u32, at: u32) {
    if (MADE == 0u) {
        make(R, R_STRIDE, ROWS * RANK, first, local);
    } else if (MADE == 1u) {
        make(C, C_STRIDE, RANK * COLS, first, local);
    }
    // Other invocations of the workgroup read what was made.
    storageBarrier();
    const ACROSS = (ROWS * COLS + 3u) / 4u;
    let count = min(BLOCK, uniforms.rows - first) * ACROSS;
    for (var quad = local; quad < count; quad += WORKGROUP) {
        let sample = first + quad / ACROSS;
        let number = quad % ACROSS * 4u;
        store4(S + sample * S_STRIDE + number, sigmoid4(four(sample, number)));
    }
}
