// For each scenario the shared matrix times its own, or the shared row plus its own. One invocation per four values of the
// result.
#import pieces
#import shared_and_own
const OUT: u32 = 0u;

@group(0) @binding(0) var<storage, read_write> parameters: array<vec4<f32>>;

fn piece(at: u32) {
    const ACROSS = OWN_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= OWN_ROWS) {
        return;
    }
    let own = parameters[OWN / 4u + at];
    let line = SHARED + row % ROWS * SHARED_STRIDE;
    var shared_values: vec4<f32>;
    for (var i = 0u; i < 4u; i += 1u) {
        // The padding's values are 0 and stay so.
        let col = at % ACROSS * 4u + i;
        if (col < OWN_COLS) {
            let place = line + col % COLS;
            shared_values[i] = parameters[place / 4u][place % 4u];
        }
    }
    parameters[OUT / 4u + at] = select(shared_values * own, shared_values + own, SUM);
}
