//! polyscene
fn main() {}
