// Groups of experts: scores t [GROUPS · EXPERTS] of a sample and values v, EXPERTS · WIDTH of each group, those of one
// group STEP after those of the one before it: 0 where all share them.
#import memory
const T: u32 = 0u;
const T_STRIDE: u32 = 4u;
const V: u32 = 0u;
const V_STRIDE: u32 = 4u;
const GROUPS: u32 = 1u;
const EXPERTS: u32 = 1u;
const WIDTH: u32 = 1u;
const STEP: u32 = 1u;

// A softmax: the largest score and the sum of exponentials of the scores less it.
struct Softmax {
    largest: f32,
    total: f32,
}

// That of the scores from address `t` on.
fn softmax(t: u32) -> Softmax {
    var found = Softmax(load(t), 0.0);
    for (var k = 1u; k < EXPERTS; k += 1u) {
        found.largest = max(found.largest, load(t + k));
    }
    for (var k = 0u; k < EXPERTS; k += 1u) {
        found.total += exp(load(t + k) - found.largest);
    }
    return found;
}

fn weight(found: Softmax, score: f32) -> f32 {
    return exp(score - found.largest) / found.total;
}
