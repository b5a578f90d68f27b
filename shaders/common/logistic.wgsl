// Exponentials of non-positive numbers only: nothing here can overflow.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

fn sigmoid4(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return select(e, vec4<f32>(1.0), x >= vec4<f32>()) / (1.0 + e);
}

// log(1 + eˣ). For small e, log(1 + e) would round e away; its series keeps it.
fn log1p_exp(x: f32) -> f32 {
    let e = exp(-abs(x));
    let tail = select(log(1.0 + e), e * (1.0 - e * (0.5 - e * (1.0 / 3.0))), e < 0.01);
    return max(x, 0.0) + tail;
}
