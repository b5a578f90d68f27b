// [k, q, k − q, k ⊙ q] for a sample's tokens. One invocation per sample and four columns.
#import pieces
#import compared

// Column `col` of a token, and with whole fours the three after it.
fn value(token: u32, row: u32, col: u32) -> vec4<f32> {
    let c = col % WIDTH;
    let k = load_any4(K + token * STRIDE + c, ALIGNED);
    let q = load_any4(Q + row * STRIDE + c, ALIGNED);
    var y = k;
    switch (col / WIDTH) {
        case 0u: {}
        case 1u: {
            y = q;
        }
        case 2u: {
            y = k - q;
        }
        default: {
            y = k * q;
        }
    }
    return y;
}

fn piece(at: u32) {
    let row = at / WIDTH;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % WIDTH * 4u;
    let tokens = tokens_of(row);
    for (var token = tokens.first; token < tokens.next; token += 1u) {
        var y = vec4<f32>();
        if (token < tokens.end) {
            y = value(token, row, col);
            if (!ALIGNED) {
                y = vec4<f32>(
                    y.x, value(token, row, col + 1u).x, value(token, row, col + 2u).x, value(token, row, col + 3u).x);
            }
        }
        store4(Y + 4u * (token * WIDTH) + col, y);
    }
}
