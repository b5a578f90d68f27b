// Gradient descent on the embedding rows the batch read, as far as this shard holds them. One invocation per four values of a
// row.
#import gradient
#import pieces
#import read_rows

fn piece(start: u32) {
    let unique = start / QUADS;
    if (unique >= distinct_rows()) {
        return;
    }
    let row = distinct_row(unique);
    if (!in_shard(row)) {
        return;
    }
    let at = (row - FIRST_ROW) * QUADS + start % QUADS;
    let w = row_values(weights[at]);
    let g = whole_gradient(load4(GRADIENT + 4u * start), w);
    weights[at] = row_quad(w - uniforms.embedding_rate * g, row, 4u * (start % QUADS));
}
