//! One file per operation: shape rule, gradient rule, CPU code, shader and bindings.
