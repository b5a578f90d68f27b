// Adagrad on the embedding rows the batch read, as far as this shard holds them. One invocation per four values of a row.
#import adagrad
#import pieces
#import read_rows

@group(0) @binding(5) var<storage, read_write> sums: array<vec4<f32>>;

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
    let sum = sums[at] + g * g;
    weights[at] = row_quad(w - step_of(g, sum, uniforms.embedding_rate), row, 4u * (start % QUADS));
    sums[at] = sum;
}
