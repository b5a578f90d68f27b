// The gradients of a mixture's scores and of the sample's own scenario's logit; Y is dy. One invocation per sample.
#import pieces
#import mixed_labels
const DT: u32 = 0u;
const DZ: u32 = 0u;
const SCENARIOS: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let own = batches[uniforms.batch_offset + SCENARIOS + row];
    let dy = load(Y + 4u * row);
    let p = mixed(row);
    for (var j = 0u; j < COUNT; j += 1u) {
        // How likely this prediction is to be the one, were the answer yes, and were it no.
        let shares = exp(part(row, j) - p);
        store(DT + row * STRIDE + j, dy * (shares.x - shares.y));
        let z = load(Z + row * STRIDE + j);
        let slope = shares.x * sigmoid(-z) + shares.y * sigmoid(z);
        store(DZ + row * STRIDE + j, select(0.0, dy * slope, j == own));
    }
}
