//! `duel`, where cargo hands the tests of this package its path.

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::duel(std::env::args_os())
}
