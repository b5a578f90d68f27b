// The gradients of a sample's tokens and of its q through [k, q, k − q, k ⊙ q]; Y is dy. One invocation per sample and
// four columns.
#import pieces
#import compared
const DK: u32 = 0u;
const DQ: u32 = 0u;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let q = load4(Q + row * STRIDE + col);
    let tokens = tokens_of(row);
    var dq = vec4<f32>();
    for (var token = tokens.first; token < tokens.next; token += 1u) {
        var dk = vec4<f32>();
        if (token < tokens.end) {
            let dy = Y + 4u * (token * WIDTH) + col;
            let less = load_any4(dy + 2u * WIDTH, ALIGNED);
            let times = load_any4(dy + 3u * WIDTH, ALIGNED);
            dk = load_any4(dy, ALIGNED) + less + times * q;
            dq += load_any4(dy + WIDTH, ALIGNED) - less + times * load4(K + token * STRIDE + col);
        }
        store4(DK + token * STRIDE + col, dk);
    }
    store4(DQ + row * STRIDE + col, dq);
}
