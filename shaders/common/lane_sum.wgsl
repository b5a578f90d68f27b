// The loss log has LANES sums for each column: one workgroup's each, added up in the order of its invocations.
#import grid

var<workgroup> parts: array<vec2<f32>, WORKGROUP>;

fn lane_sum(part: vec2<f32>, local: u32) -> vec2<f32> {
    parts[local] = part;
    workgroupBarrier();
    var total = vec2<f32>();
    if (local < 2u) {
        for (var i = 0u; i < WORKGROUP; i += 1u) {
            total += parts[i];
        }
    }
    return total;
}
