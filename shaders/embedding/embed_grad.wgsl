// The gradient of every distinct row the batch read: the sum over its lookups in order of position. One invocation per
// four values of a row; rows with more than MOST lookups are left to embed_grad_hot.
#import pieces
#import row_gradient
const COUNT: u32 = 0u;
const MOST: u32 = 0xffffffffu;

fn piece(at: u32) {
    let unique = at / QUADS;
    if (unique >= batches[uniforms.batch_offset + COUNT]) {
        return;
    }
    let start = first_lookup(unique);
    let end = first_lookup(unique + 1u);
    if (end - start > MOST) {
        return;
    }
    var sum = vec4<f32>();
    for (var i = start; i < end; i += 1u) {
        sum += lookup_gradient(i, at % QUADS);
    }
    store_gradient(unique, at % QUADS, sum);
}
