// y = x + M x, M a matrix of each sample. One invocation per four values of y.
#import pieces
#import own_matrix

fn product(row: u32, out: u32) -> f32 {
    let x = X + row * X_STRIDE;
    let m = M + row * M_STRIDE + min(out, SIZE - 1u) * SIZE;
    var sum = load(x + out);
    if (SIZE % 4u == 0u) {
        for (var i = 0u; i < SIZE; i += 4u) {
            sum += dot(load4(m + i), load4(x + i));
        }
    } else {
        for (var i = 0u; i < SIZE; i += 1u) {
            sum += load(m + i) * load(x + i);
        }
    }
    return sum;
}

fn piece(at: u32) {
    const ACROSS = X_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let y = vec4<f32>(product(row, col), product(row, col + 1u), product(row, col + 2u), product(row, col + 3u));
    store4(Y + row * X_STRIDE + col, y);
}
