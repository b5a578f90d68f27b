// y[n] = SCALE · a[n mod A_WIDTH] · b[n / GROUP]. One invocation per four values of the result.
#import uniforms
#import pieces
#import memory
const A: u32 = 0u;
const A_STRIDE: u32 = 4u;
const A_WIDTH: u32 = 1u;
const B: u32 = 0u;
const B_STRIDE: u32 = 4u;
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;
const Y_WIDTH: u32 = 1u;
const GROUP: u32 = 1u;
const SCALE: f32 = 1.0;

fn piece(at: u32) {
    const ACROSS = Y_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let a = A + row * A_STRIDE;
    let b = B + row * B_STRIDE;
    var y: vec4<f32>;
    if (A_WIDTH % 4u == 0u && GROUP % 4u == 0u) {
        y = load(b + col / GROUP) * load4(a + col % A_WIDTH);
    } else if (A_WIDTH == Y_WIDTH && GROUP == 1u) {
        y = load4(b + col) * load4(a + col);
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            let n = min(col + i, Y_WIDTH - 1u);
            y[i] = load(b + n / GROUP) * load(a + n % A_WIDTH);
        }
    }
    store4(Y + row * Y_STRIDE + col, SCALE * y);
}
