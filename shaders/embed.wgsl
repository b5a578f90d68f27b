// The embeddings of all fields side by side, as far as this shard holds them. One invocation per value.
#import clock
#import grid
#import lookup
#import shard
const ORDER: u32 = 0u;

@group(0) @binding(0) var<storage, read> embeddings: array<f32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read> schedule: array<u32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let sample = at / (FIELDS * WIDTH);
    if (sample >= clock.rows) {
        return;
    }
    let field = at / WIDTH % FIELDS;
    let source = schedule[clock.base + ORDER + sample];
    let row = ids[source * ID_STRIDE + FIRST_COLUMN + field];
    if (!in_shard(row)) {
        return;
    }
    var value = embeddings[(row - FIRST_ROW) * WIDTH + at % WIDTH];
    if (is_numeric(field)) {
        value *= values[source * VALUE_STRIDE + value_column(field)];
    }
    x[at] = value;
}
