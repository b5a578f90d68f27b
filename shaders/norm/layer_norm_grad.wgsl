// The gradient of x through its normalisation, and dy ⊙ x̂; Y is dy. One invocation per row.
#import pieces
#import layer_moments
const DX: u32 = 0u;
const BY_X: u32 = 0u;

fn normal(row: u32, col: u32, own: vec2<f32>) -> vec4<f32> {
    return (load4(X + row * STRIDE + col) - own.x) * own.y;
}

// dy ⊙ scale.
fn scaled(row: u32, col: u32) -> vec4<f32> {
    return load4(Y + row * STRIDE + col) * parameters[(SCALE + col) / 4u];
}

fn piece(row: u32) {
    if (row >= row_count()) {
        return;
    }
    let own = moments(row);
    var plain = 0.0;
    var along = 0.0;
    for (var col = 0u; col < WIDTH; col += 4u) {
        let d = within(col, scaled(row, col));
        plain += dot(d, vec4<f32>(1.0));
        along += dot(d, within(col, normal(row, col, own)));
    }
    for (var col = 0u; col < WIDTH; col += 4u) {
        let x = normal(row, col, own);
        let d = scaled(row, col) - (plain + along * x) / f32(WIDTH);
        store4(DX + row * STRIDE + col, own.y * d);
        store4(BY_X + row * STRIDE + col, x * load4(Y + row * STRIDE + col));
    }
}
