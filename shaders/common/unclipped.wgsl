// The factor of all gradients where they are not clipped by their norm. Where they are, clipped.wgsl stands in this file's place.
fn clip_factor() -> f32 {
    return 1.0;
}
