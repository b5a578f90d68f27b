// The cosines of every two of a sample's vectors: what of them is a loss, summed for the log, and its gradient.
#import loss_scale
#import uniforms
#import cosine_loss
#import loss_log
#import memory

fn product(a: u32, b: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < WIDTH; k += 1u) {
        sum += load(a + k) * load(b + k);
    }
    return sum;
}

// The sum over the pairs (i, j), j < i; leaves the gradient.
fn loss(row: u32) -> f32 {
    let r = R + row * R_STRIDE;
    let d = GRADIENT + row * R_STRIDE;
    for (var k = 0u; k < R_STRIDE; k += 4u) {
        store4(d + k, vec4<f32>());
    }
    var sum = 0.0;
    for (var i = 1u; i < VECTORS; i += 1u) {
        let a = r + i * WIDTH;
        let aa = product(a, a);
        for (var j = 0u; j < i; j += 1u) {
            let b = r + j * WIDTH;
            let bb = product(b, b);
            if (min(sqrt(aa), sqrt(bb)) < SHORTEST) {
                continue;
            }
            let lengths = sqrt(aa) * sqrt(bb);
            let c = product(a, b) / lengths;
            let value = select(select(c * c, abs(c), FORM == 1u), c, FORM == 0u);
            let slope = WEIGHT * mean_weight() * select(select(2.0 * c, sign(c), FORM == 1u), 1.0, FORM == 0u);
            sum += value;
            for (var k = 0u; k < WIDTH; k += 1u) {
                let x = load(a + k);
                let y = load(b + k);
                store(d + i * WIDTH + k, load(d + i * WIDTH + k) + slope * (y / lengths - c * x / aa));
                store(d + j * WIDTH + k, load(d + j * WIDTH + k) + slope * (x / lengths - c * y / bb));
            }
        }
    }
    return sum;
}
