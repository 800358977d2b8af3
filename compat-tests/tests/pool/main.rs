//! Connections to applications that are used again, where that could starve somebody: the
//! bounds are wide enough for a busy machine, and far below what starving would take.

mod deadline;
mod order;
mod php;
mod starving;
mod traffic;
