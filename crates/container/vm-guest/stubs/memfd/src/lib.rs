//! Stands in for the real one, which needs an operating system. Nothing calls it.
#![no_std]
