// The weighted sum or the mean of a sample's tokens. One invocation per sample and four columns.
#import pieces
#import pooled

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let tokens = tokens_of(row);
    var sum = vec4<f32>();
    for (var token = tokens.first; token < tokens.end; token += 1u) {
        sum += weight(tokens, token) * load4(V + token * STRIDE + col);
    }
    store4(Y + row * STRIDE + col, sum);
}
