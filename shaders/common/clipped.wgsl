// The factor of all gradients, by which they are clipped: what clip_factor.wgsl left.
#import memory
const CLIP_FACTOR: u32 = 0u;

fn clip_factor() -> f32 {
    return load(CLIP_FACTOR);
}
