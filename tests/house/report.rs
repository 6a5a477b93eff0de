//! Pages of runs and ablations: whole, alone, the same each time, and honest about what is missing.

use serde_json::json;
use std::fs;
use tests::duel::{GAUSSIAN, Place};

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Nothing of a page lies outside of it.
fn stands_alone(page: &str) {
    for outside in ["http:", "https:", "src=\"/", "src=\".", "url(", "@import", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let sources: Vec<&str> = page.split("src=\"").skip(1).collect();
    assert!(sources.iter().all(|s| s.starts_with("data:image/png;base64,")));
    let links = page.split("href=\"").skip(1);
    assert!(links.into_iter().all(|l| l.starts_with("data:,") || l.starts_with("./")));
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert_eq!(page.matches("<img ").count(), page.matches(" alt=\"").count());
}

fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no `{part}`");
    }
}

#[test]
fn a_run_leaves_its_page() {
    let place = Place::furnished(DUEL);
    place.duel("train dcgan.yaml --out runs/dcgan/seed0 --threads 1").fine();
    let page = place.text("runs/dcgan/seed0/report.html");
    stands_alone(&page);
    has(
        &page,
        &[
            "<title>dcgan/seed0 · Duel</title>",
            ">finished</b>",
            "None rang.",
            "Samples of the same noise after 320 images",
            "one leg a row",
            "−log 4",
            "D(G(z)) from ",
            "Histograms: D(x) in the mean ",
            "set: tiny",
            "discriminator_step</th>",
            "Every operation",
            "instructions",
            "prefers-color-scheme: dark",
        ],
    );
    // Grids at 0, 320, 640 and 960 images, histograms at four checkpoints, and one walk.
    assert_eq!(page.matches("data-at=").count(), 4 + 4);
    assert_eq!(page.matches("<img ").count(), 4 + 1);

    // The same run gives the same page, with any number of threads and by whatever path.
    assert_eq!(
        place.duel("report ./runs/../runs/dcgan/seed0 --threads 2").fine(),
        "./runs/../runs/dcgan/seed0/report.html\n"
    );
    assert!(place.text("runs/dcgan/seed0/report.html") == page);

    // A stray line without its end, as a run at work may show it, is left out.
    let log = place.text("runs/dcgan/seed0/metrics.jsonl") + "{\"step\": 1, \"ima";
    place.write("runs/dcgan/seed0/metrics.jsonl", log);
    place.duel("report runs/dcgan/seed0").fine();
    assert!(place.text("runs/dcgan/seed0/report.html") == page);
}

#[test]
fn what_is_missing_leaves_a_note() {
    let place = Place::furnished(DUEL);
    place.duel("train goodfellow.yaml --out run").fine();
    let whole = place.text("run/report.html");
    has(&whole, &["one leg a row", "D(x) in the mean"]);

    // Another place that has neither the data nor a recipe of it.
    fs::rename(place.path("datasets"), place.path("elsewhere")).expect("it is ours");
    place.duel("report run").fine();
    let page = place.text("run/report.html");
    stands_alone(&page);
    has(&page, &["No walk through the latent space: no recipe `tiny`", "D could not be asked: "]);
    assert!(!page.contains("one leg a row"));
    fs::rename(place.path("elsewhere"), place.path("datasets")).expect("it is ours");

    // With its recipe the networks can be asked, about fakes alone.
    fs::rename(place.path("datasets"), place.path("elsewhere")).expect("it is ours");
    place.write(
        "experiments/datasets/tiny.yaml",
        "name: tiny\nlicence: none\ndescription: Noise.\nclasses: []\nimage: [12, 12, 1]\n\
         importer: idx\nsplits: {train: {images: a, labels: b}}\n\
         files: {a: {bytes: 1, sha256: 00}, b: {bytes: 1, sha256: 00}}\n\
         sources: [{https: {at: \"https://localhost/{file}\"}}]\n",
    );
    place.duel("report run").fine();
    let page = place.text("run/report.html");
    has(
        &page,
        &["one leg a row", "Histograms: D(G(z)) in the mean", "No real samples to ask about"],
    );
    assert!(!page.contains("Histograms: D(x)"));
    fs::rename(place.path("elsewhere"), place.path("datasets")).expect("it is ours");

    // No checkpoint, no log, no machine.
    for file in place.files("run/checkpoints").into_keys() {
        fs::remove_file(place.path("run/checkpoints").join(file)).expect("a checkpoint");
    }
    for file in ["metrics.jsonl", "machine.json"] {
        fs::remove_file(place.path("run").join(file)).expect("a file");
    }
    place.duel("report run").fine();
    let page = place.text("run/report.html");
    stands_alone(&page);
    has(
        &page,
        &[
            ">interrupted</b>",
            "No walk through the latent space: there is no checkpoint yet",
            "Nothing was reported yet",
            "did not say what machine",
            "Samples of the same noise after 320 images",
        ],
    );
}

#[test]
fn names_are_text_and_alarms_are_told() {
    let place = Place::furnished(DUEL);
    let name = "<script>alert(1)</script>";
    fs::create_dir_all(place.path("runs").join("<script>alert(1)<")).expect("a folder");
    place.duel(&format!("train dcgan.yaml --set images=480 --out runs/{name}")).fine();
    let run = format!("runs/{name}");
    let mut lines = Vec::new();
    for (i, mut line) in place.metrics(&run).into_iter().enumerate() {
        line["images_per_second"] = json!(100.0);
        line["logit_fake"] = json!(-5.0 - i as f64);
        line["alarms"] = json!(if i > 0 { vec!["d_wins", "<b>odd"] } else { vec![] });
        lines.push(line.to_string() + "\n");
    }
    place.write(&format!("{run}/metrics.jsonl"), lines.concat());
    place.write(&format!("{run}/machine.json"), json!({"cpu": "</dd><script>"}).to_string());
    place.write(&format!("{run}/failure.txt"), "no </p><script> today\n");
    place.duel(&format!("report {run}")).fine();
    let page = place.text(&format!("{run}/report.html"));
    stands_alone(&page);
    has(
        &page,
        &[
            "&lt;script&gt;alert(1)&lt;",
            "no &lt;/p&gt;&lt;script&gt; today",
            ">failed</b>",
            "&lt;/dd&gt;&lt;script&gt;",
            "&lt;b&gt;odd",
            "D wins: fakes no longer have a chance",
            "224 to 480 images, 4 reports",
            "Logit of fakes",
            "<rect class=\"alarm\"",
        ],
    );
    // The page's own, and no other.
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn the_demonstration_shows_figure_1() {
    let place = Place::new(DUEL);
    place.write("g.yaml", GAUSSIAN);
    place.duel("train g.yaml --out run").fine();
    let page = place.text("run/report.html");
    stands_alone(&page);
    has(&page, &["Figure 1 of Goodfellow", "Densities after 640 images", "Histograms: D(x)"]);
    assert!(!page.contains("one leg a row"));
    // The strip and three panels.
    assert_eq!(page.matches("<img ").count(), 4);
}

#[test]
fn an_ablation_has_a_page_of_its_own() {
    let place = Place::furnished(DUEL);
    let variants = ["reference", "no <norm>"];
    for (variant, set) in variants.iter().zip(["", "--set model.dcgan.norm_g=none"]) {
        for seed in 0..2 {
            let words = format!("train dcgan.yaml --set images=480 --set seed={seed} {set}");
            place.duel(&format!("{words} --out runs/abl/x/seed{seed}")).fine();
        }
        fs::rename(place.path("runs/abl/x"), place.path("runs/abl").join(variant)).expect("ours");
    }
    fs::remove_file(place.path("runs/abl/reference/seed1/report.html")).expect("a page");
    place.write("runs/abl/no <norm>/seed1/failure.txt", "step 7: <not> finite\n");
    let asked = json!({"name": "abl", "reference": "reference", "variants": variants,
        "seeds": [0, 1], "compare": ["value", "d_fake"]});
    place.write("runs/abl/ablation.json", asked.to_string());
    place.duel("train goodfellow.yaml --set images=240 --out run").fine();
    let out = place.duel("report runs/abl run").fine();
    assert_eq!(out, "runs/abl/report.html\nrun/report.html\n");
    let page = place.text("runs/abl/report.html");
    stands_alone(&page);
    has(
        &page,
        &[
            "<title>abl · Duel</title>",
            "V(D, G)",
            "no &lt;norm&gt;",
            "seed 1: step 7: &lt;not&gt; finite",
            "href=\"./no%20%3Cnorm%3E/seed0/report.html\"",
            "href=\"./reference/seed0/report.html\"",
            " ± ",
        ],
    );
    assert!(!page.contains("reference/seed1/report.html"), "a link to nothing");
    assert_eq!(page.matches("<img ").count(), 4);
    place.duel("report runs/abl").fine();
    assert!(place.text("runs/abl/report.html") == page);
}

#[test]
fn what_is_neither_is_refused() {
    let place = Place::furnished(DUEL);
    let message = place.duel("report datasets").refused();
    let expected = "datasets: found neither `resolved.yaml` nor `ablation.json`, expected ";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(place.duel("report nowhere").refused(), "nowhere: no such run directory");
    assert_eq!(place.duel("report").code, Some(2));

    // The others are made all the same.
    place.duel("train goodfellow.yaml --set images=240 --out run").fine();
    fs::remove_file(place.path("run/report.html")).expect("the page");
    let said = place.duel("report datasets run nowhere");
    assert_eq!((said.code, said.out.as_str()), (Some(1), "run/report.html\n"), "{}", said.err);
    assert!(said.err.contains(expected) && said.err.contains("nowhere: no such"), "{}", said.err);

    place.write("run/samples/000000000240.png", "half");
    let message = place.duel("report run").refused();
    assert!(message.starts_with("run/samples/000000000240.png: found no picture"), "{message}");
    place.write("run/metrics.jsonl", "nonsense\n");
    let message = place.duel("report run").refused();
    assert!(message.starts_with("run/metrics.jsonl:1: "), "{message}");
}

/// The run is there; only its page is not.
#[test]
fn a_page_that_cannot_be_written_loses_no_run() {
    let place = Place::furnished(DUEL);
    place.duel("train goodfellow.yaml --out whole").fine();
    place.duel("train goodfellow.yaml --set images=480 --out run").fine();
    fs::remove_file(place.path("run/report.html")).expect("the page");
    fs::create_dir(place.path("run/report.html")).expect("a folder in its place");
    let resolved = place.text("run/resolved.yaml").replace("images: 480\n", "images: 960\n");
    place.write("run/resolved.yaml", resolved);
    let said = place.duel("resume run");
    assert_eq!((said.code, said.out.as_str()), (Some(1), "run\n"), "{}", said.err);
    assert!(said.err.contains("error: run/report.html: "), "{}", said.err);
    assert!(said.err.contains("`duel report run` makes it"), "{}", said.err);
    assert_eq!(place.metrics("run"), place.metrics("whole"));
    assert!(!place.path("run/failure.txt").exists());
}
