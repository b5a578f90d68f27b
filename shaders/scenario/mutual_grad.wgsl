// The gradients of a sample's own branch and of its gate through the mutual unit. One invocation per sample.
#import pieces
#import mutual_unit
const DM: u32 = 0u;
const DV: u32 = 0u;
const DT: u32 = 0u;

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let all = ALL + row * ALL_STRIDE;
    let v = OWN + row * OWN_STRIDE;
    let dm = DM + row * OWN_STRIDE;
    let own = scenario(row);
    let unit = compute(own, v, all);
    let gate = sigmoid(load(T + row * 4u));
    // dM · V_j, later the gradients of the scores, and at last the factors of V_j.
    var towards: array<f32, BRANCHES>;
    var mean = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        towards[j] = product(dm, all + j * WIDTH);
        mean += unit.alpha[j] * towards[j];
    }
    store4(DT + row * 4u, vec4<f32>(mean * gate * (1.0 - gate), 0.0, 0.0, 0.0));
    var along = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        towards[j] = gate * unit.alpha[j] * (towards[j] - mean);
        along += towards[j] * unit.score[j];
    }
    if (!unit.divides) {
        along = 0.0;
    }
    var back = 0.0;
    for (var j = 0u; j < BRANCHES; j += 1u) {
        let d = (towards[j] - along) / unit.divisor;
        towards[j] = 0.0;
        if (unit.length[j] > 0.0) {
            towards[j] = d / (unit.length[j] * unit.own_length);
            back += d * unit.cosine[j] / (unit.own_length * unit.own_length);
        }
    }
    for (var c = 0u; c < WIDTH; c += 1u) {
        var sum = load(dm + c) - back * load(v + c);
        for (var j = 0u; j < BRANCHES; j += 1u) {
            sum += towards[j] * load(all + j * WIDTH + c);
        }
        store(DV + row * OWN_STRIDE + c, sum);
    }
}
