// Tokens v of WIDTH columns, each with a weight of its own or with that of a mean.
#import grid
#import memory
#import own_tokens
const V: u32 = 0u;
const STRIDE: u32 = 4u;
const WIDTH: u32 = 1u;
const Y: u32 = 0u;
const WEIGHTED: bool = false;
const WEIGHTS: u32 = 0u;

fn weight(tokens: Tokens, token: u32) -> f32 {
    var value = 1.0 / f32(max(tokens.end - tokens.first, 1u));
    if (WEIGHTED) {
        value = load(WEIGHTS + 4u * token);
    }
    return value;
}
