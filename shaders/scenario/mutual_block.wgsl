// M = V + g Σ α V of a sample's own branch, and of all its branches where these are wanted, for a block of samples.
#import block_main
#import mutual_block_unit
const M: u32 = 0u;
const MADE: u32 = 0u;
const MADE_STRIDE: u32 = 4u;
const EVERYONE: bool = false;
const GATES: u32 = 0u;
const GATES_STRIDE: u32 = 4u;
const EVERYONES: u32 = 0u;

// Units of a sample: its own branch, then every branch.
const UNITS: u32 = select(1u, 1u + BRANCHES, EVERYONE);
// A sample's numbers: its own branch's square, all branches' squares, and for each unit the products with all, which become
// α.
const NUMBERS: u32 = 1u + BRANCHES + UNITS * BRANCHES;
// Samples at a time.
const TOGETHER: u32 = min(BLOCK, 1024u / NUMBERS);

// Where the vector of a unit begins.
fn unit_vector(row: u32, unit: u32) -> u32 {
    return select(ALL + row * ALL_STRIDE + (unit - 1u) * WIDTH, OWN + row * OWN_STRIDE, unit == 0u);
}

// What number `number` of a sample is made of.
fn part_of_number(row: u32, number: u32, lane: u32) -> f32 {
    var a = unit_vector(row, 0u);
    var b = a;
    if (number > BRANCHES) {
        let pair = number - 1u - BRANCHES;
        a = unit_vector(row, pair / BRANCHES);
        b = branch(row, pair % BRANCHES);
    } else if (number > 0u) {
        a = branch(row, number - 1u);
        b = a;
    }
    return part_of_product(a, b, lane);
}

fn make_numbers(first: u32, local: u32) {
    for (var base = 0u; base < TOGETHER * NUMBERS; base += WORKGROUP / 8u) {
        let number = min(base + local / 8u, TOGETHER * NUMBERS - 1u);
        let row = row_of(first, number / NUMBERS);
        let total = sum_of_eight(vec4<f32>(part_of_number(row, number % NUMBERS, local % 8u), 0.0, 0.0, 0.0), local);
        if (local % 8u == 0u && base + local / 8u < TOGETHER * NUMBERS) {
            partial[number] = total.x;
        }
    }
    workgroupBarrier();
}

// Column `col` of M's row of a unit.
fn mixed(row: u32, unit: u32, gate: f32, alphas: u32, col: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var j = 0u; j < BRANCHES; j += 1u) {
        sum += partial[alphas + j] * vector4(branch(row, j), col);
    }
    return vector4(unit_vector(row, unit), col) + gate * sum;
}

fn gate_of(row: u32, unit: u32) -> f32 {
    var gate: f32;
    if (unit == 0u) {
        gate = sigmoid(load(T + row * 4u));
    } else {
        gate = sigmoid(load(GATES + row * GATES_STRIDE + unit - 1u));
    }
    return gate;
}

// Four values of what all branches become, side by side, from `number` on.
fn everyones(row: u32, numbers: u32, number: u32) -> vec4<f32> {
    var values: vec4<f32>;
    for (var i = 0u; i < 4u; i += 1u) {
        if (!ALIGNED || i == 0u) {
            let at = min(number + i, BRANCHES * WIDTH - 1u);
            let unit = 1u + at / WIDTH;
            let found = mixed(row, unit, gate_of(row, unit), numbers + 1u + BRANCHES + unit * BRANCHES, at % WIDTH);
            if (ALIGNED) {
                values = found;
            } else {
                values[i] = found.x;
            }
        }
    }
    return values;
}

fn compute(first: u32, local: u32) {
    make_numbers(first, local);
    for (var at = local; at < TOGETHER * UNITS; at += WORKGROUP) {
        let numbers = at / UNITS * NUMBERS;
        let unit_number = at % UNITS;
        let row = row_of(first, at / UNITS);
        var own = scenario(row);
        var square = partial[numbers];
        if (unit_number > 0u) {
            own = unit_number - 1u;
            square = partial[numbers + unit_number];
        }
        let products = numbers + 1u + BRANCHES + unit_number * BRANCHES;
        let unit = unit_of(own, numbers + 1u, products, square);
        // The last that is asked of a product is its own α.
        for (var j = 0u; j < BRANCHES; j += 1u) {
            partial[products + j] = alpha(unit, j);
        }
    }
    workgroupBarrier();
    let samples = min(TOGETHER, uniforms.rows - first);
    for (var at = local; at < samples * QUADS; at += WORKGROUP) {
        let row = first + at / QUADS;
        let alphas = at / QUADS * NUMBERS + 1u + BRANCHES;
        let col = 4u * (at % QUADS);
        store4(M + row * OWN_STRIDE + col, mixed(row, 0u, gate_of(row, 0u), alphas, col));
    }
    const MADE_QUADS = (BRANCHES + 3u) / 4u;
    for (var at = local; at < samples * MADE_QUADS; at += WORKGROUP) {
        let row = first + at / MADE_QUADS;
        let own = scenario(row);
        var values: vec4<f32>;
        for (var i = 0u; i < 4u; i += 1u) {
            let j = 4u * (at % MADE_QUADS) + i;
            if (j < BRANCHES) {
                let found = partial[at / MADE_QUADS * NUMBERS + 1u + BRANCHES + j];
                values[i] = select(found, gate_of(row, 0u), j == own);
            }
        }
        store4(MADE + row * MADE_STRIDE + 4u * (at % MADE_QUADS), values);
    }
    if (EVERYONE) {
        const ACROSS = (BRANCHES * WIDTH + 3u) / 4u;
        for (var at = local; at < samples * ACROSS; at += WORKGROUP) {
            let row = first + at / ACROSS;
            let number = 4u * (at % ACROSS);
            store4(EVERYONES + row * ALL_STRIDE + number, everyones(row, at / ACROSS * NUMBERS, number));
        }
    }
}

fn block(first: u32, local: u32, at: u32) {
    for (var begin = 0u; begin < BLOCK; begin += TOGETHER) {
        if (first + begin < uniforms.rows) {
            workgroupBarrier();
            compute(first + begin, local);
        }
    }
}
