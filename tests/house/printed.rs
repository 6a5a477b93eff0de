//! The programs as they are printed: a change of fusion, of the memory plan or of what is computed is
//! a difference of a text. To accept one: `INSTA_UPDATE=always cargo test -p tests printed`.

use serde_json::{Value, json};
use std::fmt::Write;
use tape::{Dtype, Fusion, Options};
use tests::experiment;
use train::Recorded;

/// Every program of an experiment, each with what it costs, and the memory of all.
fn printed(settings: Value, sample: [usize; 3], options: &Options) -> String {
    let recorded = Recorded::new(&experiment(settings), sample, Dtype::U8, 1);
    let compiled = recorded.tape.compile(options);
    let mut text = String::new();
    for (i, _) in compiled.programs.iter().enumerate() {
        let program = tape::Program(i);
        let (cost, listing) = (compiled.print_cost(program, 4), compiled.print(program));
        writeln!(text, "{cost}\n\n{listing}").expect("strings take everything");
    }
    text + &compiled.print_memory(4, 0)
}

fn dcgan(schedule: &str, options: &Options) -> String {
    let model = json!({"dcgan": {"image": 16, "width": 4, "kernel": 4}});
    printed(json!({"model": model, "schedule": schedule, "batch": 8}), [16, 16, 3], options)
}

#[test]
fn dcgan_by_algorithm1() {
    insta::assert_snapshot!(dcgan("algorithm1", &Options::default()));
}

#[test]
fn dcgan_with_shared_fakes() {
    insta::assert_snapshot!(dcgan("shared_fakes", &Options::default()));
}

#[test]
fn dcgan_with_simultaneous_steps() {
    insta::assert_snapshot!(dcgan("simultaneous", &Options::default()));
}

/// As a GPU has it: convolutions read memory as it lies, and activations take two bytes.
#[test]
fn dcgan_in_bf16() {
    let options = Options { fusion: Fusion::Results, narrow: true };
    insta::assert_snapshot!(dcgan("algorithm1", &options));
}

#[test]
fn goodfellow() {
    let model = json!({"goodfellow": {
        "generator": {"latent": 10, "hidden": [12, 12]},
        "discriminator": {"maxout": [8, 8], "pieces": 5},
    }});
    let sgd = json!({"sgd": {}});
    insta::assert_snapshot!(printed(
        json!({
            "model": model, "batch": 8, "ema": 0.99,
            "optimizer": {"generator": sgd, "discriminator": sgd},
        }),
        [28, 28, 1],
        &Options::default()
    ));
}
