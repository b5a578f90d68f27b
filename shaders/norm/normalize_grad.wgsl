// The gradient of x through its normalisation by the batch's moments. One invocation per four values.
#import pieces
#import normal
const DY: u32 = 0u;
const SCALES: u32 = 0u;
const COUNTS: u32 = 0u;
const BY_X: u32 = 0u;
const PLAIN: u32 = 0u;
const DX: u32 = 0u;

@group(0) @binding(5) var<storage, read> gradients: array<vec4<f32>>;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let scenario = scenario_of(row);
    let place = scenario * STRIDE + col;
    let sums = gradients[(PLAIN + place) / 4u] + normal(row, col, place) * gradients[(BY_X + place) / 4u];
    let centred = load4(DY + row * STRIDE + col) - sums / load(COUNTS + 4u * scenario);
    store4(DX + row * STRIDE + col, parameters[(SCALES + place) / 4u] * inverse(place) * centred);
}
