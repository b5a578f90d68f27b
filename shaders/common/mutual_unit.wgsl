// One branch of a sample among the others: cosines, and the softmax made of them.
#import uniforms
#import logistic
#import memory
#import mutual_branches

struct Unit {
    // Cosines, what the softmax is of, the softmax, and the others' lengths where the cosine counts, else 0.
    cosine: array<f32, BRANCHES>,
    score: array<f32, BRANCHES>,
    alpha: array<f32, BRANCHES>,
    length: array<f32, BRANCHES>,
    own_length: f32,
    divisor: f32,
    // Whether the divisor is the cosines' sum.
    divides: bool,
}

fn product(a: u32, b: u32) -> f32 {
    var sum = 0.0;
    if (WIDTH % 4u == 0u) {
        for (var c = 0u; c < WIDTH; c += 4u) {
            sum += dot(load4(a + c), load4(b + c));
        }
    } else {
        for (var c = 0u; c < WIDTH; c += 1u) {
            sum += load(a + c) * load(b + c);
        }
    }
    return sum;
}

// The unit of branch `own` with value at address `v`, the others' one after another from `all` on.
fn compute(own: u32, v: u32, all: u32) -> Unit {
    var unit: Unit;
    unit.own_length = sqrt(product(v, v));
    var sum = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        let other = all + j * WIDTH;
        let length = sqrt(product(other, other));
        if (j != own && min(length, unit.own_length) >= SHORTEST) {
            unit.length[j] = length;
            unit.cosine[j] = product(v, other) / (length * unit.own_length);
            sum += unit.cosine[j];
        }
    }
    unit.divisor = 1.0;
    if (DIVIDED) {
        unit.divides = abs(sum) >= SMALLEST;
        unit.divisor = select(select(SMALLEST, -SMALLEST, sum < 0.0), sum, unit.divides);
    }
    var most = -3.4e38;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        unit.score[j] = unit.cosine[j] / unit.divisor;
        most = max(most, select(unit.score[j], most, j == own));
    }
    var total = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        unit.alpha[j] = select(exp(min(unit.score[j] - most, 0.0)), 0.0, j == own);
        total += unit.alpha[j];
    }
    for (var j = 0u; j < BRANCHES; j += 1u) {
        unit.alpha[j] /= total;
    }
    return unit;
}
