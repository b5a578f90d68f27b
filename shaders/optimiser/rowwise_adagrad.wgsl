// Adagrad with one sum for each row, on the embedding rows the batch read, as far as this shard holds them. One invocation
// per row, since all of it is needed before any of it moves.
#import adagrad
#import pieces
#import read_rows
const WIDTH: u32 = 4u;

@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

fn piece(unique: u32) {
    if (unique >= distinct_rows()) {
        return;
    }
    let row = distinct_row(unique);
    if (!in_shard(row)) {
        return;
    }
    let first = (row - FIRST_ROW) * QUADS;
    let gradient = GRADIENT + 4u * unique * QUADS;
    var squares = 0.0;
    for (var quad = 0u; quad < QUADS; quad += 1u) {
        // What lies behind the row in a padded table is 0, as is its gradient.
        let g = whole_gradient(load4(gradient + 4u * quad), row_values(weights[first + quad]));
        squares += dot(g, g);
    }
    let sum = sums[row - FIRST_ROW] + squares / f32(WIDTH);
    for (var quad = 0u; quad < QUADS; quad += 1u) {
        let w = row_values(weights[first + quad]);
        let g = whole_gradient(load4(gradient + 4u * quad), w);
        let step = step_of(g, vec4<f32>(sum), uniforms.embedding_rate);
        weights[first + quad] = row_quad(w - step, row, 4u * quad);
    }
    sums[row - FIRST_ROW] = sum;
}
