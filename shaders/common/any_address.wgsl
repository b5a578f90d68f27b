// What reads and writes at addresses that need not be multiples of 4, over `load`, `load4` and `store`.

// Four values from any address on; `aligned` says whether it is a multiple of 4.
fn load_any4(address: u32, aligned: bool) -> vec4<f32> {
    var found: vec4<f32>;
    if (aligned) {
        found = load4(address);
    } else {
        found = vec4<f32>(load(address), load(address + 1u), load(address + 2u), load(address + 3u));
    }
    return found;
}

// The same where only `count` values, at least one, are this row's: beyond them comes the last again, since what lies
// there may be another invocation's.
fn load_some4(address: u32, count: u32, aligned: bool) -> vec4<f32> {
    var found: vec4<f32>;
    if (aligned) {
        found = load4(address);
    } else {
        let last = count - 1u;
        found = vec4<f32>(
            load(address), load(address + min(1u, last)), load(address + min(2u, last)), load(address + min(3u, last)));
    }
    return found;
}

// The first `count` of four values, at any address; what follows in the same four belongs to this invocation.
fn store_some(address: u32, count: u32, value: vec4<f32>) {
    var rest = value;
    for (var i = 0u; i < min(count, 4u); i += 1u) {
        store(address + i, rest.x);
        rest = rest.yzww;
    }
}
