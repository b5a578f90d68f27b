// The rows of a shard of an embedding table, those of them that the batch read, and their gradients.
#import uniforms
#import memory
#import rows
#import shard
const GRADIENT: u32 = 0u;
// Groups of four in a row.
const QUADS: u32 = 1u;
const COUNT: u32 = 0u;
const UNIQUE: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;
@group(0) @binding(4) var<storage, read_write> weights: array<RowQuad>;

// How many different rows the batch read.
fn distinct_rows() -> u32 {
    return batches[uniforms.batch_offset + COUNT];
}

// The row of the table that is the batch's distinct row of this number.
fn distinct_row(unique: u32) -> u32 {
    return batches[uniforms.batch_offset + UNIQUE + unique];
}
