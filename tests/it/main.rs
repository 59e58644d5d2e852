//! The tests of the whole: the real relay over real sockets against the
//! simulators. One binary, one file per promise.

mod demo;
