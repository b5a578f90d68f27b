// Which elements of an OUTPUTS × INPUTS weight share a value of S [ROW_GROUPS, COL_GROUPS]. Member i of a row group is
// output group · ROW_BASE + i · ROW_STEP, and so for columns: that is both ways of repeating S.
const OUTPUTS: u32 = 1u;
const INPUTS: u32 = 1u;
const ROW_GROUPS: u32 = 1u;
const COL_GROUPS: u32 = 1u;
const ROW_BASE: u32 = 1u;
const ROW_STEP: u32 = 1u;
const COL_BASE: u32 = 1u;
const COL_STEP: u32 = 1u;
// S is stored by row groups of the outputs, or by column groups of the inputs.
const S_ROW_STEP: u32 = 1u;
const S_COL_STEP: u32 = 1u;
// Members of a group that one invocation holds in registers.
const ROW_TILE: u32 = 1u;
const COL_TILE: u32 = 1u;
// Factor of S.
const SCALE: f32 = 1.0;

const ROW_MEMBERS: u32 = OUTPUTS / ROW_GROUPS;
const COL_MEMBERS: u32 = INPUTS / COL_GROUPS;
const ROW_TILES: u32 = (ROW_MEMBERS + ROW_TILE - 1u) / ROW_TILE;
const COL_TILES: u32 = (COL_MEMBERS + COL_TILE - 1u) / COL_TILE;

// A tile's last members may lie beyond the group: they repeat the group's last and are not stored.
fn row_member(group: u32, i: u32) -> u32 {
    return group * ROW_BASE + min(i, ROW_MEMBERS - 1u) * ROW_STEP;
}

fn col_member(group: u32, j: u32) -> u32 {
    return group * COL_BASE + min(j, COL_MEMBERS - 1u) * COL_STEP;
}
