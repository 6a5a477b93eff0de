//! Ablations that ask for what is not there.

use super::DUEL;
use crate::ablations::{ABLATION, SMALL};
use tests::duel::Place;

fn place() -> Place {
    let place = Place::furnished(DUEL);
    place.write("small.yaml", SMALL);
    place.write("three.yaml", ABLATION);
    place
}

/// Refused before anything is made, whether it should run, be told or prepared.
#[track_caller]
fn refused(place: &Place, text: &str, expected: &str) {
    place.write("x.yaml", text);
    let before = place.everything();
    for command in ["ablate x.yaml", "ablate x.yaml --dry-run", "data prepare x.yaml"] {
        assert_eq!(place.duel(command).refused(), format!("x.yaml: {expected}"), "{command}");
    }
    assert!(place.everything() == before, "something was written");
}

#[test]
fn variants_that_cannot_be_trained() {
    let place = place();
    let with = |variant: &str| ABLATION.replace("  slow", &format!("  {variant}\n  slow"));
    refused(
        &place,
        &with("typo: {model.goodfellow.generator.latnt: 2}"),
        "variant `typo`\n  unknown key `model.goodfellow.generator.latnt`; did you mean `latent`?",
    );
    refused(
        &place,
        &with("wrong: {k: many}"),
        "variant `wrong`\n  `k`: found the text \"many\", expected a whole number, 0 or more",
    );
    refused(
        &place,
        &with("never: {k: 0}"),
        "variant `never`\n  `k`: found 0, expected 1 to 1000 steps of D; `k: 1` alternates the two",
    );
    // The fault lies between two layers, and the variant is named as well as the other.
    refused(
        &place,
        &ABLATION
            .replace("{images: 960}", "{images: 960, k: 2}")
            .replace("  slow", "  shared: {schedule: shared_fakes}\n  slow"),
        "variant `shared`\n  x.yaml: `set`\n  `k`: found 2, expected 1, since with `schedule: shared_fakes` \
         one batch of fakes serves one step of each; set `k: 1` or `schedule: algorithm1`",
    );
    refused(
        &place,
        &with("seeded: {seed: 4}"),
        "variant `seeded`\n  `seed`: each run has one of `seeds`; leave it out here",
    );
    refused(
        &place,
        &with("a/b: {}"),
        "variant `a/b`: a folder is named after it; use letters, digits, `_` and `-`",
    );
    refused(&place, &with("zeta: {k: 2}"), "line 8, column 3: variants: duplicate key `zeta`");
    refused(&place, &with("flat: 3"), "`variants.flat`: found 3, expected a map");
}

#[test]
fn lists_that_say_nothing() {
    let place = place();
    let seeds = |text: &str| ABLATION.replace("[3, 1, 2]", text);
    let expected = "expected one or more, such as [0, 1, 2]";
    refused(&place, &seeds("[]"), &format!("`seeds`: found none, {expected}"));
    refused(
        &place,
        &seeds("[1, 2, 1]"),
        "`seeds`: found 1 twice, expected each seed once: equal seeds give equal runs",
    );
    refused(&place, &seeds("3"), "`seeds`: found 3, expected a list");
    refused(&place, &seeds("[-1]"), "`seeds.0`: found -1, expected a whole number, 0 or more");
    let (head, tail) = ABLATION.split_once("variants:").unwrap();
    let compare = tail.split_once("compare").unwrap().1;
    refused(
        &place,
        &format!("{head}variants: {{}}\ncompare{compare}"),
        "`variants`: found none, expected one or more, such as `reference: {}`",
    );
    let figures = |text: &str| ABLATION.replace("[value, d_real, loss_g]", text);
    refused(
        &place,
        &figures("[value, d_reel]"),
        "`compare`: unknown figure `d_reel`; did you mean `d_real`?",
    );
    refused(
        &place,
        &figures("[value, value]"),
        "`compare`: found `value` twice, expected each figure once",
    );
    let message = {
        place.write("x.yaml", figures("[]"));
        place.duel("ablate x.yaml").refused()
    };
    assert!(
        message.starts_with("x.yaml: `compare`: found none, expected one or more of `loss_d`, ")
    );
}

#[test]
fn keys_that_are_missing_or_too_many() {
    let place = place();
    refused(&place, &ABLATION.replace("base: small\n", ""), "missing key `base`");
    refused(&place, &ABLATION.replace("seeds: [3, 1, 2]\n", ""), "missing key `seeds`");
    refused(&place, &ABLATION.replace("set:", "sets:"), "unknown key `sets`; did you mean `set`?");
    refused(
        &place,
        &(ABLATION.to_owned() + "reference: zta\n"),
        "`reference`: no variant `zta`; did you mean `zeta`?",
    );
    refused(
        &place,
        &ABLATION.replace("{images: 960}", "{imags: 960}"),
        "`set`\n  unknown key `imags`; did you mean `images`?",
    );
    place.write("x.yaml", ABLATION.replace("base: small", "base: smal"));
    let message = place.duel("ablate x.yaml").refused();
    assert!(message.starts_with("x.yaml: no base at smal.yaml"), "{message}");
    assert!(message.contains("did you mean") && message.contains("small.yaml"), "{message}");
    place.write("x.yaml", ABLATION.replace("base: small", "base: three"));
    let message = place.duel("ablate x.yaml").refused();
    assert!(message.contains("three.yaml (base of x.yaml): this is an ablation"), "{message}");
}

/// Before the hours that it would have spared.
#[test]
fn a_smoke_size_that_cannot_be_is_told_without_it() {
    let place = place();
    place.write("x.yaml", format!("{ABLATION}\nsmoke: {{imags: 16}}\n"));
    let message = place.duel("ablate x.yaml --dry-run").refused();
    let expected = "`smoke`\n  unknown key `imags`; did you mean `images`?";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn words_that_do_not_fit_the_file() {
    let place = place();
    let before = place.everything();
    let wrong = [
        (
            "ablate three.yaml --only slwo",
            "--only slwo: no such variant in three.yaml; did you mean `slow`?",
        ),
        (
            "ablate three.yaml --smoke",
            "three.yaml: no `smoke`; write what makes it small there, such as `smoke: { images: 6k }`",
        ),
        (
            "ablate three.yaml --set btach=3",
            "--set btach=3: unknown key `btach`; did you mean `batch`?",
        ),
        (
            "ablate three.yaml --set seed=3",
            "--set seed=3: `seed`: each run has one of `seeds`; leave it out here",
        ),
        (
            "ablate small.yaml",
            "small.yaml: found no `variants`, expected an ablation: keys `base`, `seeds`, `variants` and \
             `compare`; one experiment is trained with `duel train small.yaml`",
        ),
        ("ablate thre.yaml", "thre.yaml: no such file; did you mean `./three.yaml`?"),
    ];
    for (words, expected) in wrong {
        assert_eq!(place.duel(words).refused(), expected, "{words}");
    }
    for command in ["train", "train --dry-run", "show"] {
        assert_eq!(
            place.duel(&format!("{command} three.yaml")).refused(),
            "three.yaml: this is an ablation (it has `variants`): `duel ablate three.yaml` runs it, and \
             with `--dry-run` tells what it costs",
            "{command}"
        );
    }
    assert_eq!(place.duel("ablate three.yaml --jobs 0").code, Some(2));
    assert!(place.everything() == before);
}

#[test]
fn directories_that_hold_something_else() {
    let place = place();
    place.duel("ablate three.yaml --only zeta").fine();
    place.write("three.yaml", ABLATION.replace("images: 960", "images: 320"));
    let before = place.everything();
    let message = place.duel("ablate three.yaml --only zeta").refused();
    let run = "runs/three/zeta/seed3";
    assert_eq!(
        message,
        format!(
            "{run}: a run of another configuration is here: `images` was 960, and three.yaml asks for \
             320 now; `--out DIR` puts this ablation elsewhere, `rm -r {run}` lets this run begin anew"
        )
    );
    place.write("three.yaml", ABLATION.replace("  slow: {", "  slow: {k: 2, "));
    // Other variants do not matter to those that are there.
    place.duel("ablate three.yaml --only zeta --dry-run").fine();
    place.write("three.yaml", ABLATION.replace("images: 960", "images: 320"));
    assert!(place.everything() == before);

    place.write("three.yaml", ABLATION);
    place.write("mine/thesis.tex", "all of it");
    let before = place.everything();
    let message = place.duel("ablate three.yaml --out mine").refused();
    let expected = "mine: found files but no `ablation.json`, expected an ablation or nothing";
    assert!(message.starts_with(expected), "{message}");
    assert!(place.everything() == before);
    place.write("runs/three/alpha/seed3/thesis.tex", "all of it");
    let message = place.duel("ablate three.yaml").refused();
    let expected = "runs/three/alpha/seed3: found files but no `resolved.yaml`";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(place.text("runs/three/alpha/seed3/thesis.tex"), "all of it");
}
