// The sum of the products of every two of a sample's vectors. One invocation per sample.
#import pieces
#import vectors

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    var total = 0.0;
    for (var d = 0u; d < WIDTH; d += 4u) {
        let sum = sums(row, d);
        total += dot(sum, sum);
        for (var vector = 0u; vector < VECTORS; vector += 1u) {
            let value = values(row, vector, d);
            total -= dot(value, value);
        }
    }
    store4(Y + 4u * row, vec4<f32>(0.5 * total, 0.0, 0.0, 0.0));
}
