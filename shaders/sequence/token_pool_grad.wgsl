// The gradients of a sample's tokens, and of their weights, through a sum or mean over them; Y is dy. One invocation per
// sample and four columns, and one for the weights.
#import pieces
#import pooled
const DV: u32 = 0u;
const DW: u32 = 0u;

// dy · v of a token.
fn product(row: u32, token: u32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < WIDTH; c += 1u) {
        sum += load(Y + row * STRIDE + c) * load(V + token * STRIDE + c);
    }
    return sum;
}

fn piece(at: u32) {
    const OF_V = STRIDE / 4u;
    let across = OF_V + select(0u, 1u, WEIGHTED);
    let row = at / across;
    if (row >= uniforms.rows) {
        return;
    }
    let quad = at % across;
    let tokens = tokens_of(row);
    for (var token = tokens.first; token < tokens.next; token += 1u) {
        let own = token < tokens.end;
        if (quad < OF_V) {
            var d = vec4<f32>();
            if (own) {
                d = weight(tokens, token) * load4(Y + row * STRIDE + 4u * quad);
            }
            store4(DV + token * STRIDE + 4u * quad, d);
        } else {
            var d = 0.0;
            if (own) {
                d = product(row, token);
            }
            store4(DW + 4u * token, vec4<f32>(d, 0.0, 0.0, 0.0));
        }
    }
}
