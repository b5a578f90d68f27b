// The gradient of a sample's vectors through their products: dy (Σ e − e); Y is dy. One invocation per four values.
#import pieces
#import vectors
const DE: u32 = 0u;

// Column `col` of the gradient before dy, and with whole fours the three after it.
fn others(row: u32, col: u32) -> vec4<f32> {
    let at = min(col, VECTORS * WIDTH - 1u);
    return sums(row, at % WIDTH) - values(row, at / WIDTH, at % WIDTH);
}

fn piece(at: u32) {
    const ACROSS = E_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    var d = others(row, col);
    if (!ALIGNED) {
        d = vec4<f32>(d.x, others(row, col + 1u).x, others(row, col + 2u).x, others(row, col + 3u).x);
    }
    store4(DE + row * E_STRIDE + col, load(Y + 4u * row) * d);
}
