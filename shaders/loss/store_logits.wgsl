// Copies a batch's logits to where its predictions belong, WIDTH of a sample side by side. One invocation per sample.
#import uniforms
#import pieces
#import memory
const LOGITS: u32 = 0u;
const STRIDE: u32 = 4u;
const WIDTH: u32 = 1u;

@group(0) @binding(3) var<storage, read_write> results: array<f32>;

fn piece(row: u32) {
    if (row < uniforms.rows) {
        for (var i = 0u; i < WIDTH; i += 1u) {
            results[(uniforms.first_result + row) * WIDTH + i] = load(LOGITS + row * STRIDE + i);
        }
    }
}
