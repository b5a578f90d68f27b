// The gradients of y[n] = SCALE · a[n mod A_WIDTH] · b[n / GROUP]; Y is dy. One invocation per four values of da, then of
// db.
#import uniforms
#import pieces
#import memory
const A: u32 = 0u;
const A_STRIDE: u32 = 4u;
const A_WIDTH: u32 = 1u;
const B: u32 = 0u;
const B_STRIDE: u32 = 4u;
const B_WIDTH: u32 = 1u;
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;
const Y_WIDTH: u32 = 1u;
const DA: u32 = 0u;
const DB: u32 = 0u;
const GROUP: u32 = 1u;
const SCALE: f32 = 1.0;

const VECTORS: bool = A_WIDTH % 4u == 0u && GROUP % 4u == 0u;

// Four values of da from column `col` on.
fn of_a(dy: u32, b: u32, col: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var copy = 0u; copy < Y_WIDTH; copy += A_WIDTH) {
        if (VECTORS) {
            sum += load(b + (copy + col) / GROUP) * load4(dy + copy + col);
        } else {
            for (var i = 0u; i < 4u; i += 1u) {
                let n = copy + min(col + i, A_WIDTH - 1u);
                sum[i] += load(b + n / GROUP) * load(dy + n);
            }
        }
    }
    return sum;
}

// One value of db.
fn of_b(dy: u32, a: u32, number: u32) -> f32 {
    let first = min(number, B_WIDTH - 1u) * GROUP;
    var sum = 0.0;
    if (VECTORS) {
        for (var d = 0u; d < GROUP; d += 4u) {
            sum += dot(load4(dy + first + d), load4(a + (first + d) % A_WIDTH));
        }
    } else {
        for (var d = 0u; d < GROUP; d += 1u) {
            sum += load(dy + first + d) * load(a + (first + d) % A_WIDTH);
        }
    }
    return sum;
}

fn piece(at: u32) {
    const OF_A = A_STRIDE / 4u;
    const ACROSS = OF_A + B_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let dy = Y + row * Y_STRIDE;
    let quad = at % ACROSS;
    if (quad < OF_A) {
        store4(DA + row * A_STRIDE + 4u * quad, SCALE * of_a(dy, B + row * B_STRIDE, 4u * quad));
    } else {
        let first = 4u * (quad - OF_A);
        let a = A + row * A_STRIDE;
        let sums = vec4<f32>(
            of_b(dy, a, first), of_b(dy, a, first + 1u), of_b(dy, a, first + 2u), of_b(dy, a, first + 3u));
        store4(DB + row * B_STRIDE + first, SCALE * sums);
    }
}
