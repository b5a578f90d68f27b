// The gradients of a mixture's scores and of the experts' values. One invocation per four values of dt, then of dv.
#import uniforms
#import experts
#import pieces
const DY: u32 = 0u;
const DY_STRIDE: u32 = 4u;
const DT: u32 = 0u;
const DV: u32 = 0u;

const ALIGNED: bool = WIDTH % 4u == 0u;

// Four values from `col` on, 0 beyond an expert's last.
fn some(address: u32, col: u32) -> vec4<f32> {
    return select(vec4<f32>(), load_some4(address + col, WIDTH - col, ALIGNED), col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(WIDTH));
}

// dy · v of an expert.
fn product(dy: u32, v: u32) -> f32 {
    var sum = 0.0;
    for (var col = 0u; col < WIDTH; col += 4u) {
        sum += dot(some(dy, col), some(v, col));
    }
    return sum;
}

// The gradient of a score: p (dy · v − Σ p (dy · v)).
fn of_score(row: u32, number: u32) -> f32 {
    let own = min(number, GROUPS * EXPERTS - 1u);
    let group = own / EXPERTS;
    let t = T + row * T_STRIDE + group * EXPERTS;
    let v = V + row * V_STRIDE + group * STEP;
    let dy = DY + row * DY_STRIDE + group * WIDTH;
    let found = softmax(t);
    var mean = 0.0;
    for (var k = 0u; k < EXPERTS; k += 1u) {
        mean += weight(found, load(t + k)) * product(dy, v + k * WIDTH);
    }
    let k = own % EXPERTS;
    return weight(found, load(t + k)) * (product(dy, v + k * WIDTH) - mean);
}

// Column `col` of dv, and with vectors the three after it.
fn of_value(row: u32, col: u32) -> vec4<f32> {
    let dy = DY + row * DY_STRIDE + col % WIDTH;
    let t = T + row * T_STRIDE;
    var sum = vec4<f32>();
    if (STEP > 0u) {
        let number = min(col / WIDTH, GROUPS * EXPERTS - 1u);
        let group = number / EXPERTS;
        sum = weight(softmax(t + group * EXPERTS), load(t + number)) * load_some4(dy + group * WIDTH, WIDTH - col % WIDTH, ALIGNED);
    } else {
        let expert = min(col / WIDTH, EXPERTS - 1u);
        for (var group = 0u; group < GROUPS; group += 1u) {
            let p = weight(softmax(t + group * EXPERTS), load(t + group * EXPERTS + expert));
            sum += p * load_some4(dy + group * WIDTH, WIDTH - col % WIDTH, ALIGNED);
        }
    }
    return sum;
}

fn piece(at: u32) {
    const OF_T = T_STRIDE / 4u;
    const ACROSS = OF_T + V_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let quad = at % ACROSS;
    if (quad < OF_T) {
        let first = 4u * quad;
        let d = vec4<f32>(
            of_score(row, first), of_score(row, first + 1u), of_score(row, first + 2u), of_score(row, first + 3u));
        store4(DT + row * T_STRIDE + first, d);
    } else {
        let col = 4u * (quad - OF_T);
        var d = of_value(row, col);
        if (!ALIGNED) {
            d = vec4<f32>(d.x, of_value(row, col + 1u).x, of_value(row, col + 2u).x, of_value(row, col + 3u).x);
        }
        store4(DV + row * V_STRIDE + col, d);
    }
}
