// Dense Adam on the embedding rows the batch did not read: their gradient is 0. One invocation per four values of the
// shard.
#import adam
#import uniforms
#import pieces
#import rows
#import shard
// Groups of four in a row.
const QUADS: u32 = 1u;
const COUNT: u32 = 0u;
const UNIQUE: u32 = 0u;

@group(0) @binding(0) var<storage, read> batches: array<u32>;
@group(0) @binding(1) var<storage, read_write> weights: array<RowQuad>;
@group(0) @binding(2) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> second: array<vec4<f32>>;

// Whether the batch read the row: its distinct rows are sorted.
fn is_read(row: u32) -> bool {
    var low = 0u;
    var high = batches[uniforms.batch_offset + COUNT];
    while (low < high) {
        let middle = (low + high) / 2u;
        if (batches[uniforms.batch_offset + UNIQUE + middle] < row) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low < batches[uniforms.batch_offset + COUNT] && batches[uniforms.batch_offset + UNIQUE + low] == row;
}

fn piece(at: u32) {
    let row = FIRST_ROW + at / QUADS;
    if (at >= ROWS * QUADS || is_read(row)) {
        return;
    }
    let w = row_values(weights[at]);
    let m = moments(vec4<f32>(), w, first[at], second[at]);
    weights[at] = row_quad(w - step_of(m, uniforms.embedding_rate), row, 4u * (at % QUADS));
    first[at] = m.first;
    second[at] = m.second;
}
