//! Cores have no bf16: a tape that was compiled for it is refused before anything runs.

use tape::{DeviceError, Init, Options, Tape};

#[test]
fn activations_in_bf16_are_refused() {
    let tape = Tape::new(1);
    let n = tape.network("n");
    let w = tape.parameter(n, "w", [6, 6], Init::normal(0.1));
    tape.record("step", |t| {
        t.output("y", t.tanh(t.matmul(w, w)));
    });
    for real in [4, 8] {
        let mut device = cpu::device(cpu::pool(1).expect("a thread"), real);
        let narrow = Options { narrow: true, ..Options::default() };
        let error = device.load(&tape, &narrow).expect_err("a matrix product would be narrow");
        let DeviceError::Misuse(what) = error else { panic!("{error}") };
        assert!(what.contains("bf16") && what.contains("`narrow: false`"), "{what}");
        device.load(&tape, &Options::default()).expect("it loads in reals");
    }
}
