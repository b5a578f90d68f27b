// y = x̂ ⊙ scale + shift, all by the sample's scenario. One invocation per four values.
#import pieces
#import normal
const SCALES: u32 = 0u;
const SHIFTS: u32 = 0u;
const Y: u32 = 0u;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let place = scenario_of(row) * STRIDE + col;
    let y = normal(row, col, place) * parameters[(SCALES + place) / 4u] + parameters[(SHIFTS + place) / 4u];
    store4(Y + row * STRIDE + col, y);
}
