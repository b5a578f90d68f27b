// Copies a batch's logits to where its predictions belong. One invocation per sample.
#import uniforms
#import pieces
#import memory
const LOGITS: u32 = 0u;
const STRIDE: u32 = 4u;

@group(0) @binding(3) var<storage, read_write> results: array<f32>;

fn piece(row: u32) {
    if (row < uniforms.rows) {
        results[uniforms.first_result + row] = load(LOGITS + row * STRIDE);
    }
}
