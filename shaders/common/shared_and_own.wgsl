// A matrix that all scenarios share, ROWS × COLS, and the matrices of each scenario's own, one after another; whether the
// two are added, or multiplied.
#import grid
const SHARED: u32 = 0u;
const SHARED_STRIDE: u32 = 4u;
const ROWS: u32 = 1u;
const COLS: u32 = 1u;
const OWN: u32 = 0u;
const OWN_STRIDE: u32 = 4u;
const OWN_ROWS: u32 = 1u;
const OWN_COLS: u32 = 1u;
const SUM: bool = false;
