// Heads of self-attention over a sample's tokens: q and k with SIZE columns each, v with WIDTH.
#import clock
#import memory
const Q: u32 = 0u;
const K: u32 = 0u;
const Q_STRIDE: u32 = 4u;
const V: u32 = 0u;
const V_STRIDE: u32 = 4u;
const HEADS: u32 = 1u;
const SIZE: u32 = 1u;
const WIDTH: u32 = 1u;
const LONGEST: u32 = 1u;
const STARTS: u32 = 0u;
const LENGTHS: u32 = 0u;

@group(0) @binding(3) var<storage, read> schedule: array<u32>;

// A sample's tokens.
struct Tokens {
    first: u32,
    count: u32,
}

fn tokens_of(row: u32) -> Tokens {
    return Tokens(schedule[clock.base + STARTS + row], min(schedule[clock.base + LENGTHS + row], LONGEST));
}

fn score(tokens: Tokens, head: u32, p: u32, j: u32) -> f32 {
    let q = Q + (tokens.first + p) * Q_STRIDE + head * SIZE;
    let k = K + (tokens.first + j) * Q_STRIDE + head * SIZE;
    var sum = 0.0;
    for (var c = 0u; c < SIZE; c += 1u) {
        sum += load(q + c) * load(k + c);
    }
    return sum / sqrt(f32(SIZE));
}

// Token p's attention to each token of its sample.
fn attention(tokens: Tokens, head: u32, p: u32) -> array<f32, LONGEST> {
    var weights: array<f32, LONGEST>;
    var most = -3.4e38;
    for (var j = 0u; j < tokens.count; j += 1u) {
        weights[j] = score(tokens, head, p, j);
        most = max(most, weights[j]);
    }
    var total = 0.0;
    for (var j = 0u; j < tokens.count; j += 1u) {
        weights[j] = exp(weights[j] - most);
        total += weights[j];
    }
    for (var j = 0u; j < tokens.count; j += 1u) {
        weights[j] /= total;
    }
    return weights;
}
