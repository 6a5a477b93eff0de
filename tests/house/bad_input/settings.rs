//! Experiments that contradict themselves.

use super::DUEL;
use tests::duel::{DCGAN, Place};

/// Refused by every command that reads an experiment, in the same words.
#[track_caller]
fn refused(place: &Place, words: &str, expected: &str) {
    let before = place.everything();
    for command in ["train", "train --dry-run", "show", "profile", "data prepare"] {
        let message = place.duel(&format!("{command} {words}")).refused();
        assert_eq!(message, expected, "{command}");
    }
    assert!(place.everything() == before, "`{words}` has written something");
}

/// `--set` of one key, and what follows the argument in the message.
#[track_caller]
fn set(place: &Place, argument: &str, expected: &str) {
    refused(
        place,
        &format!("dcgan.yaml --set {argument}"),
        &format!("--set {argument}: {expected}"),
    );
}

#[test]
fn keys_that_do_not_exist() {
    let place = Place::furnished(DUEL);
    place.write("x.yaml", DCGAN.replace("latent: 8", "latent: 8, slop: 0.1"));
    let slop = "unknown key `model.dcgan.slop`; did you mean `slope`?";
    refused(&place, "x.yaml", &format!("x.yaml: {slop}"));
    set(&place, "model.dcgan.slop=0.1", slop);
    set(&place, "btach=8", "unknown key `btach`; did you mean `batch`?");
    set(
        &place,
        "zebra=8",
        "unknown key `zebra`; allowed: `batch`, `capture`, `data`, `device`, `ema`, `every`, \
         `images`, `k`, `model`, `norm_statistics`, `objective`, `on_alarm`, `optimizer`, `precision`, `ranks`, \
         `sampling_statistics`, `schedule`, `seed`",
    );
    set(
        &place,
        "optimizer.generator.sgd.rate=0.1",
        "unknown key `optimizer.generator.sgd`: `optimizer.generator` is `adam`; a choice is replaced \
         as a whole, `--set optimizer.generator='{sgd: …}'`",
    );
    set(&place, "batch", "expected `key=value`, such as `--set k=2`");
    set(&place, "batch=", "`batch` has no value; write `batch=null` to empty it");
}

#[test]
fn values_of_another_kind() {
    let place = Place::furnished(DUEL);
    set(
        &place,
        "batch=many",
        "`batch`: found the text \"many\", expected a whole number, 0 or more",
    );
    set(&place, "batch=-1", "`batch`: found -1, expected a whole number, 0 or more");
    set(
        &place,
        "images=12q",
        "`images`: found `12q`, expected a count such as 60000, 100k or 1.5M",
    );
    set(&place, "every=3", "`every`: found 3, expected a map of keys");
    set(&place, "precision=f23", "`precision`: unknown choice `f23`; did you mean `f32`?");
    set(
        &place,
        "device=gpu",
        "`device`: found `gpu`, expected `auto`, `cpu`, `cuda` or `cuda:N`, where N is the number of a GPU; \
         did you mean `cuda`?",
    );
    set(&place, "device=cup", "`device`: unknown choice `cup`; did you mean `cpu`?");
    set(
        &place,
        "device=tpu:0",
        "`device`: unknown choice `tpu:0`; allowed: `auto`, `cpu`, `cuda`, `cuda:0`",
    );
    set(
        &place,
        "device=1",
        "`device`: found 1, expected `auto`, `cpu`, `cuda` or `cuda:N`, where N is the number of a GPU",
    );
    set(&place, "capture=1", "`capture`: found 1, expected true or false");
    set(
        &place,
        r#"model={"vae":{}}"#,
        "`model`: unknown choice `vae`; allowed: `goodfellow`, `dcgan`",
    );
    set(
        &place,
        "model.dcgan.noise=1",
        "`model.dcgan.noise`: found 1, expected one choice, written `name` or `{name: …}`",
    );
}

#[test]
fn yaml_that_is_none() {
    let place = Place::furnished(DUEL);
    place.write("x.yaml", "batch: 16\nmodel: {dcgan: {image: 16\ndata: 3\n");
    refused(
        &place,
        "x.yaml",
        "x.yaml: line 3, column 5: did not find expected ',' or '}', while parsing a flow mapping at line 2 column 16",
    );
    place.write("x.yaml", "batch: 16\nk: 1\nbatch: 32\n");
    refused(&place, "x.yaml", "x.yaml: line 3, column 1: duplicate key `batch`");
    place.write("x.yaml", "batch: 16\n\tk: 1\n");
    refused(
        &place,
        "x.yaml",
        "x.yaml: line 2, column 1: found a tab character that violates indentation, while scanning a plain scalar at line 1 column 8",
    );
    place.write("x.yaml", "- batch\n");
    refused(&place, "x.yaml", "x.yaml: expected keys (`name: value`), found [\"batch\"]");
    place.write("x.yaml", "");
    refused(&place, "x.yaml", "x.yaml: missing key `model`");
}

#[test]
fn files_and_bases_that_are_not_there() {
    let place = Place::furnished(DUEL);
    refused(&place, "dcgam.yaml", "dcgam.yaml: no such file; did you mean `./dcgan.yaml`?");
    refused(&place, "no/x.yaml", "no/x.yaml: no such file; there is no folder no either");
    place.write("x.yaml", "base: dcgam\nk: 1\n");
    let message = place.duel("show x.yaml").refused();
    assert!(message.starts_with("x.yaml: no base at dcgam.yaml"), "{message}");
    assert!(message.contains("did you mean") && message.contains("dcgan.yaml"), "{message}");
    assert!(message.ends_with("(chain: x.yaml → dcgam.yaml)"), "{message}");
    place.write("x.yaml", "base: y\n");
    place.write("y.yaml", "base: x\n");
    refused(&place, "x.yaml", "y.yaml: the bases form a circle: x.yaml → y.yaml → x.yaml");
    place.write("x.yaml", "base: [dcgan]\n");
    refused(
        &place,
        "x.yaml",
        "x.yaml: `base` is the name of another experiment, found [\"dcgan\"]",
    );
}

/// The room that knows why says why.
#[test]
fn networks_that_cannot_be_built() {
    let place = Place::furnished(DUEL);
    set(
        &place,
        "model.dcgan.image=48",
        "`model.dcgan.image`: found 48, expected 16, 32, 64, 128 or 256, since every layer halves the \
         side down to 4; resize or pad the images",
    );
    set(
        &place,
        "model.dcgan.kernel=3",
        "`model.dcgan.kernel`: found 3, expected 4 or 5, the kernels that halve a side exactly; use 5 \
         for the paper's networks, 4 for the PyTorch example's",
    );
    set(
        &place,
        "model.dcgan.width=0",
        "`model.dcgan.width`: found 0, expected 1 to 4096; change it",
    );
    set(
        &place,
        "model.dcgan.slope=1",
        "`model.dcgan.slope`: found 1, expected 0 or more, below 1; the paper has 0.2",
    );
    let keep = "model.goodfellow.discriminator.keep_hidden";
    let argument = format!("{keep}=0");
    refused(
        &place,
        &format!("goodfellow.yaml --set {argument}"),
        &format!(
            "--set {argument}: `{keep}`: found 0, expected a probability above 0, at most 1; use 1 for \
             no dropout"
        ),
    );
}

/// Only the data tells that these do not fit, so `data prepare` has nothing against them.
#[test]
fn networks_that_do_not_fit_the_data() {
    let place = Place::furnished(DUEL);
    let before = place.everything();
    for (argument, expected) in [
        (
            "model.dcgan.image=32",
            "found 32, expected 16, since the samples are 16×16; set it to the side of the samples, or \
             pad them (`data.images.pad`)",
        ),
        (
            "data.images.pad=3",
            "found 16, expected 18, since the samples are 18×18; set it to the side of the samples, or \
             pad them (`data.images.pad`)",
        ),
        (
            "model.dcgan.channels=3",
            "found 3, expected 1, since the samples have 1 channels; change it",
        ),
    ] {
        for command in ["train", "show", "profile"] {
            let message = place.duel(&format!("{command} dcgan.yaml --set {argument}")).refused();
            assert!(message.ends_with(expected), "{message}");
        }
    }
    assert!(place.everything() == before);
}

#[test]
fn games_that_cannot_be_played() {
    let place = Place::furnished(DUEL);
    set(&place, "k=0", "`k`: found 0, expected 1 to 1000 steps of D; `k: 1` alternates the two");
    refused(
        &place,
        "dcgan.yaml --set schedule=shared_fakes --set k=2",
        "--set k=2: `k`: found 2, expected 1, since with `schedule: shared_fakes` one batch of fakes \
         serves one step of each; set `k: 1` or `schedule: algorithm1`",
    );
    refused(
        &place,
        "dcgan.yaml --set schedule=simultaneous --set k=2",
        "--set k=2: `k`: found 2, expected 1, since with `schedule: simultaneous` one batch of fakes \
         serves one step of each; set `k: 1` or `schedule: algorithm1`",
    );
    refused(
        &place,
        r#"dcgan.yaml --set objective={"relativistic":{"penalty":1}}"#,
        "dcgan.yaml: `model.dcgan.norm_d`: found batch, expected none, since a gradient penalty asks \
         for the slope of D at each sample by itself, and batch norm mixes samples; set `norm_d: none` \
         or `objective.relativistic.penalty: 0`",
    );
    set(
        &place,
        r#"objective={"relativistic":{"penalty":-1}}"#,
        "`objective.relativistic.penalty`: found -1, expected 0 or more; Huang et al. 2024 use 0.05 \
         for CIFAR-10 and more for larger images",
    );
    refused(
        &place,
        r#"dcgan.yaml --set objective={"wasserstein":{"penalty":10}}"#,
        "dcgan.yaml: `model.dcgan.norm_d`: found batch, expected none, since a gradient penalty asks \
         for the slope of D at each sample by itself, and batch norm mixes samples; set `norm_d: none` \
         or `objective.wasserstein.penalty: 0`",
    );
    set(&place, "batch=0", "`batch`: found 0, expected 1 to 16777216; change it");
    set(
        &place,
        "images=0",
        "`images`: found 0, expected 1 or more; it is the length of the run in real images shown",
    );
    set(
        &place,
        "ema=1",
        "`ema`: found 1, expected above 0, below 1; 0.999 averages over about a thousand updates; \
         leave it out for no average",
    );
    set(
        &place,
        "optimizer.generator.adam.rate=-1",
        "`optimizer.generator.adam.rate`: found -1, expected a number above 0; change it",
    );
    set(
        &place,
        "optimizer.discriminator.adam.beta1=1",
        "`optimizer.discriminator.adam.beta1`: found 1, expected 0 or more, below 1; change it",
    );
}
