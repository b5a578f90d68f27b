// A uniform number in [0, 1) that depends only on its arguments; the same in src/ops/affine/epilogue.rs.
// The mixing steps are PCG-RXS-M-XS (O'Neill 2014; Jarzynski and Olano 2020).
fn pcg(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

fn uniform_number(seed: u32, step: u32, salt: u32, index: u32) -> f32 {
    let bits = pcg(index ^ pcg(salt ^ pcg(step ^ pcg(seed))));
    return f32(bits >> 8u) * (1.0 / 16777216.0);
}
