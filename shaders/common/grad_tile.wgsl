// A tile of SIDE × SIDE values of a gradient, summed over samples by all invocations of a workgroup: DEPTH samples at a time
// are staged, so that each value is read once for the whole tile and neighbours read neighbouring ones.
#import block
const SIDE: u32 = 64u;
const DEPTH: u32 = 16u;
// Groups of four across the tile.
const ACROSS: u32 = 16u;

// Leaves in workgroup memory what an invocation has read of a sample: four rows' values and four columns'.
fn stage_pair(local: u32, rows: vec4<f32>, cols: vec4<f32>) {
    tile[local] = rows;
    tile[WORKGROUP + local] = cols;
}

// Four rows' values of staged sample s, for an invocation of the tile.
fn staged_rows(s: u32, local: u32) -> vec4<f32> {
    return tile[s * ACROSS + local / ACROSS];
}

// Four columns' values.
fn staged_cols(s: u32, local: u32) -> vec4<f32> {
    return tile[WORKGROUP + s * ACROSS + local % ACROSS];
}
