//! From a graph to a fixed list of dispatches, and the executors that replay it.
