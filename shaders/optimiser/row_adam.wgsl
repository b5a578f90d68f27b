// Adam on the embedding rows the batch read, as far as this shard holds them. One invocation per four values of a row.
#import adam
#import uniforms
#import pieces
#import memory
#import rows
#import shard
const GRADIENT: u32 = 0u;
// Groups of four in a row.
const QUADS: u32 = 1u;
const COUNT: u32 = 0u;
const UNIQUE: u32 = 0u;

@group(0) @binding(3) var<storage, read_write> weights: array<RowQuad>;
@group(0) @binding(4) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> batches: array<u32>;

fn piece(start: u32) {
    let unique = start / QUADS;
    if (unique >= batches[uniforms.batch_offset + COUNT]) {
        return;
    }
    let row = batches[uniforms.batch_offset + UNIQUE + unique];
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
