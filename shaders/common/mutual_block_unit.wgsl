// The branches of a block's samples among each other: products of their vectors, made by eight invocations each, and what
// follows from them, by one invocation for each unit. All lie in workgroup memory, some samples' at a time.
#import block
#import eight
#import logistic
#import memory
#import mutual_branches

const ALIGNED: bool = WIDTH % 4u == 0u;
const QUADS: u32 = (WIDTH + 3u) / 4u;

// Where a branch's vector begins.
fn branch(row: u32, j: u32) -> u32 {
    return ALL + row * ALL_STRIDE + j * WIDTH;
}

// Four values of a vector from column `col` on, 0 beyond its end.
fn vector4(at: u32, col: u32) -> vec4<f32> {
    let values = load_some4(at + col, WIDTH - col, ALIGNED);
    return select(vec4<f32>(), values, col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(WIDTH));
}

// What one invocation of eight has of a product.
fn part_of_product(a: u32, b: u32, lane: u32) -> f32 {
    var sum = 0.0;
    for (var quad = lane; quad < QUADS; quad += 8u) {
        sum += dot(vector4(a, 4u * quad), vector4(b, 4u * quad));
    }
    return sum;
}

// A branch among the others. `lengths` is where the squares of all branches begin, `row` where its products with them do,
// `square` its own.
struct Unit {
    own: u32,
    lengths: u32,
    row: u32,
    own_length: f32,
    divisor: f32,
    // Whether the divisor is the cosines' sum.
    divides: bool,
    most: f32,
    total: f32,
}

// Whether a branch counts, and its length.
fn length_of(unit: Unit, j: u32) -> f32 {
    let length = sqrt(partial[unit.lengths + j]);
    return select(0.0, length, j != unit.own && min(length, unit.own_length) >= SHORTEST);
}

fn cosine(unit: Unit, j: u32) -> f32 {
    let length = length_of(unit, j);
    var value = 0.0;
    if (length > 0.0) {
        value = partial[unit.row + j] / (length * unit.own_length);
    }
    return value;
}

fn score(unit: Unit, j: u32) -> f32 {
    return cosine(unit, j) / unit.divisor;
}

// The softmax's value.
fn alpha(unit: Unit, j: u32) -> f32 {
    return select(exp(min(score(unit, j) - unit.most, 0.0)), 0.0, j == unit.own) / unit.total;
}

fn unit_of(own: u32, lengths: u32, row: u32, square: f32) -> Unit {
    var unit = Unit(own, lengths, row, sqrt(square), 1.0, false, -3.4e38, 1.0);
    if (DIVIDED) {
        var sum = 0.0;
        for (var j = 0u; j < BRANCHES; j += 1u) {
            sum += cosine(unit, j);
        }
        unit.divides = abs(sum) >= SMALLEST;
        unit.divisor = select(select(SMALLEST, -SMALLEST, sum < 0.0), sum, unit.divides);
    }
    for (var j = 0u; j < BRANCHES; j += 1u) {
        unit.most = max(unit.most, select(score(unit, j), unit.most, j == own));
    }
    var total = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        total += alpha(unit, j);
    }
    unit.total = total;
    return unit;
}
