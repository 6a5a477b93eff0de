//! A GPU that is not there, too old or too small: one message that says what to do, nothing written.

use tests::duel::{Place, Said};
use tests::stand_in;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// `duel` on a stand-in with these properties; none where there is no stand-in to have them.
fn duel(place: &Place, words: &str, environment: &[(&str, &str)]) -> Option<Said> {
    if stand_in::is_real() {
        return None;
    }
    let mut command = place.command(words);
    if !stand_in::show(&mut command) {
        return None;
    }
    command.envs(environment.iter().copied());
    Some(Said::of(command.output().expect("the binary starts")))
}

/// Every command that would run networks says the same, before it writes or reads anything.
#[track_caller]
fn refused(sets: &str, environment: &[(&str, &str)], parts: &[&str]) {
    let place = Place::furnished(DUEL);
    // Whoever touches the data says that it is damaged.
    place.write("datasets/tiny/train/manifest.json", "{");
    let before = place.everything();
    for command in ["train", "train --dry-run", "show", "profile"] {
        let words = format!("{command} dcgan.yaml {sets}");
        let Some(said) = duel(&place, &words, environment) else { return };
        let message = said.refused();
        for part in parts {
            assert!(message.contains(part), "{command}: no `{part}` in: {message}");
        }
    }
    assert!(place.everything() == before, "`{sets}` has written something");
}

/// A device that was asked for cannot be used; where nobody asked, cores do it, and `devices` says why.
#[track_caller]
fn unusable(environment: &[(&str, &str)], parts: &[&str]) {
    refused(
        "--set device=cuda",
        environment,
        &[parts, &["--set device=cuda: `device`: "]].concat(),
    );
    refused("--device cuda", environment, &[parts, &["--device cuda:0: "]].concat());
    refused(
        "--set precision=bf16",
        environment,
        &[parts, &["expected f32 or f64, since no GPU can be used"]].concat(),
    );
    let place = Place::furnished(DUEL);
    let words = "--log info train dcgan.yaml --out run --set images=16";
    let Some(said) = duel(&place, words, environment) else { return };
    for part in parts.iter().chain(&["computing on cores: "]) {
        assert!(said.err.contains(part), "no `{part}` in: {}", said.err);
    }
    said.fine();
    let resolved = place.text("run/resolved.yaml");
    assert!(resolved.contains("\ndevice: cpu\nprecision: f32\n"), "{resolved}");
    let text = duel(&place, "devices", environment).expect("as before").fine();
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

/// Without the stand-in there is no driver, unless the machine has one.
#[test]
fn no_driver() {
    let nowhere = [("LD_LIBRARY_PATH", "/nowhere")];
    let place = Place::new(DUEL);
    let Some(said) = duel(&place, "devices", &nowhere) else { return };
    if said.fine().starts_with("no GPU can be used: no NVIDIA driver: ") {
        unusable(&nowhere, &["no NVIDIA driver: libcuda.so.1 was not found", "`device: cpu`"]);
    }
}

#[test]
fn a_driver_without_a_device() {
    unusable(&[("DUEL_STAND_IN_DEVICES", "0")], &["there is an NVIDIA driver but no device"]);
}

#[test]
fn devices_that_are_hidden() {
    unusable(&[("CUDA_VISIBLE_DEVICES", "")], &["CUDA_VISIBLE_DEVICES is set and empty. Unset it"]);
    unusable(&[("CUDA_VISIBLE_DEVICES", "7")], &["CUDA_VISIBLE_DEVICES is `7`"]);
}

#[test]
fn a_driver_that_is_too_old() {
    unusable(
        &[("DUEL_STAND_IN_DRIVER", "11040")],
        &["the NVIDIA driver is too old: it supports CUDA 11.4, and 12.0 or newer is needed"],
    );
}

#[test]
fn a_card_that_is_too_old() {
    unusable(
        &[("DUEL_STAND_IN_CC", "7.5")],
        &["compute capability 7.5, and the kernels need 8.0 (Ampere) or newer"],
    );
}

#[test]
fn a_device_that_does_not_exist() {
    let two = [("DUEL_STAND_IN_DEVICES", "2")];
    let expected =
        "there is no device cuda:7: found 2, cuda:0 to cuda:1. `duel devices` lists them";
    refused("--set device=cuda:7", &two, &["`device`: ", expected]);
    refused("--device cuda:7", &two, &["--device cuda:7: ", expected]);
}

#[test]
fn precisions_that_a_device_does_not_have() {
    let f64 = "`precision`: found f64, expected f32, tf32 or bf16, since it is computed on a GPU; set `precision: \
               f32`, or `device: cpu`";
    refused("--set precision=f64 --set device=cuda", &[], &[f64]);
    refused("--set precision=f64 --device cuda", &[], &["--set precision=f64: ", f64]);
    for precision in ["bf16", "tf32"] {
        let cores = "expected f32 or f64, since it is computed on cores; set `precision: f32`";
        let found = format!("`precision`: found {precision}, {cores}");
        refused(&format!("--set precision={precision} --set device=cpu"), &[], &[&found]);
        refused(&format!("--set precision={precision} --device cpu"), &[], &[&found]);
    }
    // f64 that asks for no device is computed on cores.
    let place = Place::furnished(DUEL);
    let words = "train dcgan.yaml --set precision=f64 --dry-run";
    let Some(said) = duel(&place, words, &[]) else { return };
    assert!(said.fine().contains("\ndevice: cpu\nprecision: f64\n"));
}

#[test]
fn names_that_are_no_device() {
    let place = Place::new(DUEL);
    let Some(said) = duel(&place, "--device gpu show x.yaml", &[]) else { return };
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("found `gpu`") && said.err.contains("did you mean `cuda`?"),
        "{}",
        said.err
    );
}

/// The batch that is named fits, and one more does not.
#[test]
fn a_batch_that_does_not_fit() {
    let place = Place::furnished(DUEL);
    let before = place.everything();
    let little = [("DUEL_STAND_IN_MEMORY", "2000000")];
    let words = |command: &str, batch: usize| {
        format!("{command} dcgan.yaml --device cuda --set batch={batch}")
    };
    let Some(said) = duel(&place, &words("train", 4096), &little) else { return };
    let message = said.refused();
    assert!(message.contains("cuda:0 has too little memory: "), "{message}");
    assert!(
        message.contains(" MiB are needed, ") && message.contains(" MiB are free"),
        "{message}"
    );
    let (_, rest) = message.split_once(". A batch of ").expect("advice");
    let batch: usize = rest.split(' ').next().expect("a word").parse().expect("a number");
    assert!((1..4096).contains(&batch), "{message}");
    for command in ["train --dry-run", "profile"] {
        assert_eq!(
            duel(&place, &words(command, 4096), &little).expect("as before").refused(),
            message
        );
    }
    duel(&place, &words("train --dry-run", batch), &little).expect("as before").fine();
    let one_more =
        duel(&place, &words("train --dry-run", batch + 1), &little).expect("as before").refused();
    assert!(one_more.ends_with(&format!("A batch of {batch} would fit")), "{one_more}");
    assert!(place.everything() == before);
    let none = [("DUEL_STAND_IN_MEMORY", "2000")];
    let message = duel(&place, &words("train", 16), &none).expect("as before").refused();
    assert!(message.contains("No batch would fit"), "{message}");
    assert!(place.everything() == before);
}

/// A build without one of its kernels says which, and a run that has begun keeps that.
#[test]
fn a_kernel_that_is_missing() {
    let place = Place::furnished(DUEL);
    let words = "train dcgan.yaml --out run --device cuda";
    let Some(said) = duel(&place, words, &[("DUEL_STAND_IN_MISSING", "adam")]) else { return };
    let message = said.refused();
    assert!(message.contains("the kernel `adam` is missing"), "{message}");
    assert!(message.contains("This build is broken; build it again"), "{message}");
    assert!(place.text("run/failure.txt").contains("the kernel `adam` is missing"));
    assert!(place.files("run/checkpoints").is_empty());
}
