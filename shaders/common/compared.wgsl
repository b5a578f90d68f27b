// Tokens k and their samples' q, WIDTH columns each; y [k, q, k − q, k ⊙ q] or its gradient.
#import grid
#import memory
#import own_tokens
const K: u32 = 0u;
const Q: u32 = 0u;
const STRIDE: u32 = 4u;
const WIDTH: u32 = 1u;
const Y: u32 = 0u;

const ALIGNED: bool = WIDTH % 4u == 0u;
