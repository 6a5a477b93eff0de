//! The binary `duel`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::duel(std::env::args_os())
}
