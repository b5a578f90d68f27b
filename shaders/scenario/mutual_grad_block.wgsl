// The gradients of a sample's own branch and of its gate through the mutual unit, for a block of samples.
#import block_main
#import mutual_block_unit
const DM: u32 = 0u;
const DV: u32 = 0u;
const DT: u32 = 0u;

// A sample's numbers: its own branch's square, all branches' squares, its products with all, and those of dM with all,
// which become the factors of V_j; and the factor of V.
const NUMBERS: u32 = 2u + 3u * BRANCHES;
// Samples at a time.
const TOGETHER: u32 = min(BLOCK, 1024u / NUMBERS);

// What number `number` of a sample is made of.
fn part_of_number(row: u32, number: u32, lane: u32) -> f32 {
    let v = OWN + row * OWN_STRIDE;
    var a = v;
    var b = v;
    if (number > 0u) {
        b = branch(row, (number - 1u) % BRANCHES);
        let kind = (number - 1u) / BRANCHES;
        a = select(select(DM + row * OWN_STRIDE, v, kind == 1u), b, kind == 0u);
    }
    return part_of_product(a, b, lane);
}

fn make_numbers(first: u32, local: u32) {
    // The last number is no product.
    const PRODUCTS = NUMBERS - 1u;
    for (var base = 0u; base < TOGETHER * PRODUCTS; base += WORKGROUP / 8u) {
        let number = min(base + local / 8u, TOGETHER * PRODUCTS - 1u);
        let row = row_of(first, number / PRODUCTS);
        let total = sum_of_eight(vec4<f32>(part_of_number(row, number % PRODUCTS, local % 8u), 0.0, 0.0, 0.0), local);
        if (local % 8u == 0u && base + local / 8u < TOGETHER * PRODUCTS) {
            partial[number / PRODUCTS * NUMBERS + number % PRODUCTS] = total.x;
        }
    }
    workgroupBarrier();
}

// The factors of V_j and V in dV, of one sample; and the gate's gradient.
fn make_factors(row: u32, numbers: u32, store_gate: bool) {
    let towards = numbers + 1u + 2u * BRANCHES;
    let unit = unit_of(scenario(row), numbers + 1u, numbers + 1u + BRANCHES, partial[numbers]);
    let gate = sigmoid(load(T + row * 4u));
    var mean = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        mean += alpha(unit, j) * partial[towards + j];
    }
    if (store_gate) {
        store4(DT + row * 4u, vec4<f32>(mean * gate * (1.0 - gate), 0.0, 0.0, 0.0));
    }
    var along = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        along += gate * alpha(unit, j) * (partial[towards + j] - mean) * score(unit, j);
    }
    if (!unit.divides) {
        along = 0.0;
    }
    var back = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        let d = (gate * alpha(unit, j) * (partial[towards + j] - mean) - along) / unit.divisor;
        let length = length_of(unit, j);
        var factor = 0.0;
        if (length > 0.0) {
            factor = d / (length * unit.own_length);
            back += d * cosine(unit, j) / (unit.own_length * unit.own_length);
        }
        partial[towards + j] = factor;
    }
    partial[numbers + NUMBERS - 1u] = back;
}

fn compute(first: u32, local: u32) {
    make_numbers(first, local);
    if (local < TOGETHER) {
        make_factors(row_of(first, local), local * NUMBERS, first + local < uniforms.rows);
    }
    workgroupBarrier();
    let samples = min(TOGETHER, uniforms.rows - first);
    for (var at = local; at < samples * QUADS; at += WORKGROUP) {
        let row = first + at / QUADS;
        let numbers = at / QUADS * NUMBERS;
        let col = 4u * (at % QUADS);
        let v = vector4(OWN + row * OWN_STRIDE, col);
        var sum = vector4(DM + row * OWN_STRIDE, col) - partial[numbers + NUMBERS - 1u] * v;
        for (var j = 0u; j < BRANCHES; j += 1u) {
            sum += partial[numbers + 1u + 2u * BRANCHES + j] * vector4(branch(row, j), col);
        }
        store4(DV + row * OWN_STRIDE + col, sum);
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
