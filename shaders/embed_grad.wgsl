// The gradient of every distinct row the batch read: the sum over its lookups in order of position. One invocation per
// value of a row.
#import clock
#import grid
#import lookup
const COUNT: u32 = 0u;
const STARTS: u32 = 0u;
const POSITIONS: u32 = 0u;
const ORDER: u32 = 0u;

@group(0) @binding(0) var<storage, read> dx: array<f32>;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> schedule: array<u32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let unique = at / WIDTH;
    if (unique >= schedule[clock.base + COUNT]) {
        return;
    }
    let end = schedule[clock.base + STARTS + unique + 1u];
    var sum = 0.0;
    for (var i = schedule[clock.base + STARTS + unique]; i < end; i += 1u) {
        let position = schedule[clock.base + POSITIONS + i];
        var d = dx[position * WIDTH + at % WIDTH];
        let field = position % FIELDS;
        if (is_numeric(field)) {
            let source = schedule[clock.base + ORDER + position / FIELDS];
            d *= values[source * VALUE_STRIDE + value_column(field)];
        }
        sum += d;
    }
    gradient[at] = sum;
}
