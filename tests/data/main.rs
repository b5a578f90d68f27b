//! Data in larger amounts, which tests of the library, not optimised, would take long to make.

mod synthetic;
