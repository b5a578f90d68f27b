// Rows of WIDTH columns, which padding follows.
const WIDTH: u32 = 1u;

// `values`, of columns `col` on, up to the last column; 0 beyond.
fn within(col: u32, values: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), values, col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(WIDTH));
}
