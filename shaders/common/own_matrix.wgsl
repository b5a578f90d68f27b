// A vector x of SIZE values and a square matrix M of each sample, row by row.
#import uniforms
#import grid
#import memory
const X: u32 = 0u;
const X_STRIDE: u32 = 4u;
const M: u32 = 0u;
const M_STRIDE: u32 = 4u;
const Y: u32 = 0u;
const SIZE: u32 = 1u;
