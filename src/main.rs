//! polyscene
fn main(){}
