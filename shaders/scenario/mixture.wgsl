// The sums of experts' values with the softmax of their scores as weights. One invocation per four values of the result.
#import uniforms
#import experts
#import pieces
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;

// Column `col` of the result, and with vectors the three after it.
fn mixed(row: u32, col: u32) -> vec4<f32> {
    let group = min(col / WIDTH, GROUPS - 1u);
    let t = T + row * T_STRIDE + group * EXPERTS;
    let v = V + row * V_STRIDE + group * STEP + col % WIDTH;
    let found = softmax(t);
    var sum = vec4<f32>();
    for (var k = 0u; k < EXPERTS; k += 1u) {
        let p = weight(found, load(t + k));
        if (WIDTH % 4u == 0u) {
            sum += p * load4(v + k * WIDTH);
        } else {
            sum.x += p * load(v + k * WIDTH);
        }
    }
    return sum;
}

fn piece(at: u32) {
    const ACROSS = Y_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    var y = mixed(row, col);
    if (WIDTH % 4u != 0u) {
        y = vec4<f32>(y.x, mixed(row, col + 1u).x, mixed(row, col + 2u).x, mixed(row, col + 3u).x);
    }
    store4(Y + row * Y_STRIDE + col, y);
}
