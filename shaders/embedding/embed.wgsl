// The embeddings of all fields side by side, as far as this shard holds them. One invocation per four values.
#import uniforms
#import pieces
#import lookup
#import memory
#import rows
#import shard
const ORDER: u32 = 0u;
const X: u32 = 0u;
// Whether rows are of tokens, whose table rows stand in the batch, and where.
const TOKENS: bool = false;
const TOKEN_ROWS: u32 = 0u;

@group(0) @binding(3) var<storage, read> embeddings: array<RowQuad>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
@group(0) @binding(5) var<storage, read> values: array<f32>;
@group(0) @binding(6) var<storage, read> batches: array<u32>;

// The table row of a sample's field or of a token's sequence.
fn table_row(sample: u32, source: u32, field: u32) -> u32 {
    if (TOKENS) {
        return batches[uniforms.batch_offset + TOKEN_ROWS + sample * FIELDS + field];
    }
    return ids[source * ID_STRIDE + FIRST_COLUMN + field];
}

fn factor(field: u32, source: u32) -> f32 {
    var value = 1.0;
    if (is_numeric(field)) {
        value = values[source * VALUE_STRIDE + value_column(field)];
    }
    return value;
}

fn piece(at: u32) {
    const ACROSS = (FIELDS * WIDTH + 3u) / 4u;
    let sample = at / ACROSS;
    if (sample >= select(uniforms.rows, uniforms.tokens, TOKENS)) {
        return;
    }
    var source = 0u;
    if (!TOKENS) {
        source = batches[uniforms.batch_offset + ORDER + sample];
    }
    if (WIDTH % 4u == 0u) {
        let field = at % ACROSS / QUADS;
        let row = table_row(sample, source, field);
        if (in_shard(row)) {
            let embedding = row_values(embeddings[(row - FIRST_ROW) * QUADS + at % QUADS]);
            store4(X + 4u * at, factor(field, source) * embedding);
        }
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            let col = 4u * (at % ACROSS) + i;
            let field = col / WIDTH;
            if (field < FIELDS) {
                let row = table_row(sample, source, field);
                if (in_shard(row)) {
                    let quad = row_values(embeddings[(row - FIRST_ROW) * QUADS + col % WIDTH / 4u]);
                    store(X + 4u * at + i, factor(field, source) * quad[col % WIDTH % 4u]);
                }
            }
        }
    }
}
