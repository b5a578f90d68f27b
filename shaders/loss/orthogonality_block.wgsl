// The cosines of every two of a sample's vectors, for a block of samples: what of them is a loss, summed for the log, and its
// gradient. Eight invocations make a product of two vectors; one invocation for each two makes their factors in the
// gradient, which is a sum of the vectors.
#import loss_scale
#import block_main
#import eight
#import cosine_loss
#import memory
const LANES: u32 = 32u;
const LOG_WIDTH: u32 = 1u;
const COLUMN: u32 = 0u;

const ALIGNED: bool = WIDTH % 4u == 0u;
const QUADS: u32 = (WIDTH + 3u) / 4u;
// A sample's numbers: the product of vectors i and j at i · VECTORS + j; after them the sum of its losses.
const PRODUCTS: u32 = VECTORS * VECTORS;
const NUMBERS: u32 = PRODUCTS + 1u;
// Samples at a time.
const TOGETHER: u32 = min(BLOCK, 512u / NUMBERS);

// Four values of a vector from column `col` on, 0 beyond its end.
fn vector4(row: u32, vector: u32, col: u32) -> vec4<f32> {
    let found = load_some4(R + row * R_STRIDE + vector * WIDTH + col, WIDTH - col, ALIGNED);
    return select(vec4<f32>(), found, col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(WIDTH));
}

fn make_products(first: u32, local: u32) {
    for (var base = 0u; base < TOGETHER * PRODUCTS; base += WORKGROUP / 8u) {
        let number = min(base + local / 8u, TOGETHER * PRODUCTS - 1u);
        let row = row_of(first, number / PRODUCTS);
        let pair = number % PRODUCTS;
        var sum = 0.0;
        for (var quad = local % 8u; quad < QUADS; quad += 8u) {
            sum += dot(vector4(row, pair / VECTORS, 4u * quad), vector4(row, pair % VECTORS, 4u * quad));
        }
        let total = sum_of_eight(vec4<f32>(sum, 0.0, 0.0, 0.0), local);
        if (local % 8u == 0u && base + local / 8u < TOGETHER * PRODUCTS) {
            partial[number / PRODUCTS * NUMBERS + pair] = total.x;
        }
    }
    workgroupBarrier();
}

// A pair's loss, the factor of the other vector in a vector's gradient, and that of the vector itself.
fn pair_factors(numbers: u32, i: u32, j: u32) -> vec3<f32> {
    let aa = partial[numbers + i * VECTORS + i];
    let bb = partial[numbers + j * VECTORS + j];
    var factors = vec3<f32>();
    if (min(sqrt(aa), sqrt(bb)) >= SHORTEST) {
        let lengths = sqrt(aa) * sqrt(bb);
        let c = partial[numbers + i * VECTORS + j] / lengths;
        let value = select(select(c * c, abs(c), FORM == 1u), c, FORM == 0u);
        let slope = WEIGHT * mean_weight() * select(select(2.0 * c, sign(c), FORM == 1u), 1.0, FORM == 0u);
        factors = vec3<f32>(value, slope / lengths, -slope * c / aa);
    }
    return factors;
}

fn compute(first: u32, local: u32) {
    make_products(first, local);
    // The factors have places of their own, as far behind as there are numbers.
    for (var at = local; at < TOGETHER * VECTORS; at += WORKGROUP) {
        let numbers = at / VECTORS * NUMBERS;
        let i = at % VECTORS;
        var own = 0.0;
        var sum = 0.0;
        for (var j = 0u; j < VECTORS; j += 1u) {
            if (j != i) {
                let factors = pair_factors(numbers, i, j);
                partial[512u + numbers + i * VECTORS + j] = factors.y;
                own += factors.z;
                sum += select(0.0, factors.x, j < i);
            }
        }
        partial[512u + numbers + i * VECTORS + i] = own;
        // The sums of the losses, by vector.
        tile[at] = vec4<f32>(sum, 0.0, 0.0, 0.0);
    }
    workgroupBarrier();
    if (local < TOGETHER) {
        var sum = 0.0;
        for (var i = 0u; i < VECTORS; i += 1u) {
            sum += tile[local * VECTORS + i].x;
        }
        partial[local * NUMBERS + PRODUCTS] = select(0.0, sum, first + local < uniforms.rows);
    }
    const ACROSS = R_STRIDE / 4u;
    let samples = min(TOGETHER, uniforms.rows - first);
    for (var at = local; at < samples * ACROSS; at += WORKGROUP) {
        let row = first + at / ACROSS;
        let factors = 512u + at / ACROSS * NUMBERS;
        let col = 4u * (at % ACROSS);
        var d = vec4<f32>();
        for (var c = 0u; c < 4u; c += 1u) {
            if ((!ALIGNED || c == 0u) && col + c < VECTORS * WIDTH) {
                let i = (col + c) / WIDTH;
                var sum = vec4<f32>();
                for (var j = 0u; j < VECTORS; j += 1u) {
                    sum += partial[factors + i * VECTORS + j] * vector4(row, j, (col + c) % WIDTH);
                }
                if (ALIGNED) {
                    d = sum;
                } else {
                    d[c] = sum.x;
                }
            }
        }
        store4(GRADIENT + row * R_STRIDE + col, d);
    }
}

fn block(first: u32, local: u32, at: u32) {
    var total = 0.0;
    for (var begin = 0u; begin < BLOCK; begin += TOGETHER) {
        if (first + begin < uniforms.rows) {
            workgroupBarrier();
            compute(first + begin, local);
            workgroupBarrier();
            for (var i = 0u; i < TOGETHER; i += 1u) {
                total += partial[i * NUMBERS + PRODUCTS];
            }
        }
    }
    if (local == 0u) {
        losses[(uniforms.batch_index * LANES + first / BLOCK) * LOG_WIDTH + COLUMN] = total;
    }
}
