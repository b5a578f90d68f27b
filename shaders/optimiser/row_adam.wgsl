// Adam on the embedding rows the batch read, as far as this shard holds them. One invocation per four values of a row.
#import adam
#import pieces
#import read_rows

@group(0) @binding(5) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> second: array<vec4<f32>>;

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
    let m = moments(load4(GRADIENT + 4u * start), w, first[at], second[at]);
    weights[at] = row_quad(w - step_of(m, uniforms.embedding_rate), row, 4u * (start % QUADS));
    first[at] = m.first;
    second[at] = m.second;
}
