// Which tokens are a sample's.
#import uniforms
const STARTS: u32 = 0u;
const LENGTHS: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;

// Places `first..end` are the sample's tokens; those up to `next` are nobody's.
struct Tokens {
    first: u32,
    end: u32,
    next: u32,
}

fn tokens_of(row: u32) -> Tokens {
    let first = batches[uniforms.batch_offset + STARTS + row];
    var next = uniforms.tokens;
    if (row + 1u < uniforms.rows) {
        next = batches[uniforms.batch_offset + STARTS + row + 1u];
    }
    return Tokens(first, first + batches[uniforms.batch_offset + LENGTHS + row], next);
}
