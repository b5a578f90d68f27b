// The columns of a sample's own scenario. One invocation per four values of the result.
#import pieces
#import own_columns

fn piece(at: u32) {
    const ACROSS = Y_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let x = X + row * X_STRIDE + first_own(row) + col;
    store4(Y + row * Y_STRIDE + col, load_some4(x, WIDTH - col, WIDTH % 4u == 0u));
}
