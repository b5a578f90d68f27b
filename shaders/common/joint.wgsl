// e⁻ᵃ, e⁻ᵇ and e⁻ᵃ⁻ᵇ over the largest of them, and the logarithm of that one.
fn joint_terms(a: f32, b: f32) -> vec4<f32> {
    let exponents = vec3<f32>(-a, -b, -a - b);
    let largest = max(exponents.x, max(exponents.y, exponents.z));
    return vec4<f32>(exp(exponents - largest), largest);
}
