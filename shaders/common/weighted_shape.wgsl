// The shape of a weighted layer, known when the shader is built; S is stored by row groups of the outputs, or by column groups
// of the inputs.
@group(0) @binding(3) var<storage, read> parameters: array<vec4<f32>>;

const OUTPUTS: u32 = 1u;
const ROW_GROUPS: u32 = 1u;
const COL_GROUPS: u32 = 1u;
const ROW_MEMBERS: u32 = 1u;
const COL_MEMBERS: u32 = 1u;
const S_ROW_STEP: u32 = 1u;
const S_COL_STEP: u32 = 1u;
// Factor of S.
const SCALE: f32 = 1.0;
const WEIGHT: u32 = 0u;
const WEIGHT_STRIDE: u32 = 4u;
