//! The room from outside: one binary of modules.

mod importing;
mod loading;
mod reading;
mod sets;
