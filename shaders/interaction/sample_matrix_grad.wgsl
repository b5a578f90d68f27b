// The gradients of x and of each sample's matrix M in y = x + M x; Y is dy. One invocation per four values of dx, then of
// dM.
#import pieces
#import own_matrix
const DX: u32 = 0u;
const DM: u32 = 0u;

const ALIGNED: bool = SIZE % 4u == 0u;

// Four columns of dx from `col` on.
fn of_x(row: u32, col: u32) -> vec4<f32> {
    let dy = Y + row * X_STRIDE;
    let m = M + row * M_STRIDE + col;
    var sum = load4(dy + col);
    for (var i = 0u; i < SIZE; i += 1u) {
        sum += load(dy + i) * load_some4(m + i * SIZE, SIZE - col, ALIGNED);
    }
    return sum;
}

// Column `col` of dM, and with whole fours the three after it.
fn of_matrix(row: u32, col: u32) -> vec4<f32> {
    let at = min(col, SIZE * SIZE - 1u);
    return load(Y + row * X_STRIDE + at / SIZE) * load_some4(X + row * X_STRIDE + at % SIZE, SIZE - at % SIZE, ALIGNED);
}

fn piece(at: u32) {
    const OF_X = X_STRIDE / 4u;
    const ACROSS = OF_X + M_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let quad = at % ACROSS;
    if (quad < OF_X) {
        store4(DX + row * X_STRIDE + 4u * quad, of_x(row, 4u * quad));
        return;
    }
    let col = 4u * (quad - OF_X);
    var d = of_matrix(row, col);
    if (!ALIGNED) {
        d = vec4<f32>(d.x, of_matrix(row, col + 1u).x, of_matrix(row, col + 2u).x, of_matrix(row, col + 3u).x);
    }
    store4(DM + row * M_STRIDE + col, d);
}
