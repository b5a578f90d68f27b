// y = x̂ ⊙ scale + shift, x̂ by the row's own moments. One invocation per row.
#import pieces
#import layer_moments
const SHIFT: u32 = 0u;

fn piece(row: u32) {
    if (row >= row_count()) {
        return;
    }
    let own = moments(row);
    for (var col = 0u; col < WIDTH; col += 4u) {
        let normal = (load4(X + row * STRIDE + col) - own.x) * own.y;
        store4(Y + row * STRIDE + col, normal * parameters[(SCALE + col) / 4u] + parameters[(SHIFT + col) / 4u]);
    }
}
