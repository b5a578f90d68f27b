// The ceiling of memory: copies vectors of four. An invocation copies PER of them, LENGTH / PER apart, so that
// neighbours touch neighbours; invocations beyond the end begin anew, to read what caches hold.
#import grid
const LENGTH: u32 = 1u;
const PER: u32 = 1u;

@group(0) @binding(0) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> copies: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    for (var i = 0u; i < PER; i += 1u) {
        let place = (at + i * (LENGTH / PER)) % LENGTH;
        copies[place] = values[place];
    }
}
