// Sums of GROUP neighbouring columns, or each column GROUP times. One invocation per four values of the result.
#import uniforms
#import pieces
#import memory
const X: u32 = 0u;
const X_STRIDE: u32 = 4u;
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;
const GROUP: u32 = 1u;
const SCALE: f32 = 1.0;
const SPREAD: bool = false;

// Column `col` of the result; whatever lies in the padding beyond its last.
fn value(row: u32, col: u32) -> f32 {
    let x = X + row * X_STRIDE;
    var sum = 0.0;
    if (SPREAD) {
        sum = load(x + min(col / GROUP, X_STRIDE - 1u));
    } else if (col * GROUP + GROUP <= X_STRIDE) {
        if (GROUP % 4u == 0u) {
            for (var d = 0u; d < GROUP; d += 4u) {
                sum += dot(load4(x + col * GROUP + d), vec4<f32>(1.0));
            }
        } else {
            for (var d = 0u; d < GROUP; d += 1u) {
                sum += load(x + col * GROUP + d);
            }
        }
    }
    return SCALE * sum;
}

fn piece(at: u32) {
    const ACROSS = Y_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let y = vec4<f32>(value(row, col), value(row, col + 1u), value(row, col + 2u), value(row, col + 3u));
    store4(Y + row * Y_STRIDE + col, y);
}
