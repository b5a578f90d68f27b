// Columns of a sample's own scenario, among those of all, which are 0. One invocation per four values of the result.
#import pieces
#import own_columns

fn piece(at: u32) {
    const ACROSS = Y_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let own = first_own(row);
    let x = X + row * X_STRIDE;
    var y: vec4<f32>;
    for (var i = 0u; i < 4u; i += 1u) {
        let n = col + i;
        if (n >= own && n < own + WIDTH) {
            y[i] = load(x + n - own);
        }
    }
    store4(Y + row * Y_STRIDE + col, y);
}
