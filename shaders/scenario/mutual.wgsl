// M = V + g Σ α V of a sample's own branch, and of all its branches where these are wanted. One invocation per sample.
#import pieces
#import mutual_unit
const M: u32 = 0u;
const MADE: u32 = 0u;
const MADE_STRIDE: u32 = 4u;
const EVERYONE: bool = false;
const GATES: u32 = 0u;
const GATES_STRIDE: u32 = 4u;
const EVERYONES: u32 = 0u;

fn store_mixed(unit: Unit, gate: f32, v: u32, all: u32, m: u32) {
    for (var c = 0u; c < WIDTH; c += 1u) {
        var sum = 0.0;
        for (var j = 0u; j < BRANCHES; j += 1u) {
            sum += unit.alpha[j] * load(all + j * WIDTH + c);
        }
        store(m + c, load(v + c) + gate * sum);
    }
}

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let all = ALL + row * ALL_STRIDE;
    let v = OWN + row * OWN_STRIDE;
    let own = scenario(row);
    let unit = compute(own, v, all);
    let gate = sigmoid(load(T + row * 4u));
    store_mixed(unit, gate, v, all, M + row * OWN_STRIDE);
    for (var j = 0u; j < BRANCHES; j += 1u) {
        store(MADE + row * MADE_STRIDE + j, select(unit.alpha[j], gate, j == own));
    }
    if (EVERYONE) {
        for (var i = 0u; i < BRANCHES; i += 1u) {
            let branch = all + i * WIDTH;
            let g = sigmoid(load(GATES + row * GATES_STRIDE + i));
            store_mixed(compute(i, branch, all), g, branch, all, EVERYONES + row * ALL_STRIDE + i * WIDTH);
        }
    }
}
