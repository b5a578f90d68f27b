// Heads of self-attention over a sample's tokens: q and k with SIZE columns each, v with WIDTH.
#import memory
#import own_tokens
const Q: u32 = 0u;
const K: u32 = 0u;
const Q_STRIDE: u32 = 4u;
const V: u32 = 0u;
const V_STRIDE: u32 = 4u;
const HEADS: u32 = 1u;
const SIZE: u32 = 1u;
const WIDTH: u32 = 1u;
const LONGEST: u32 = 1u;
// Whether what tokens attend to is averaged over each sample.
const MEAN: bool = true;

// A sample's tokens, at most LONGEST: as many as the arrays below have places.
fn count_of(tokens: Tokens) -> u32 {
    return min(tokens.end - tokens.first, LONGEST);
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
    for (var j = 0u; j < count_of(tokens); j += 1u) {
        weights[j] = score(tokens, head, p, j);
        most = max(most, weights[j]);
    }
    var total = 0.0;
    for (var j = 0u; j < count_of(tokens); j += 1u) {
        weights[j] = exp(weights[j] - most);
        total += weights[j];
    }
    for (var j = 0u; j < count_of(tokens); j += 1u) {
        weights[j] /= total;
    }
    return weights;
}
