//! The room from outside: one binary of modules.

mod importing;
mod loading;
mod pictures;
mod reading;
mod sets;
