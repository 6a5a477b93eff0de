//! Layers from files and arguments, and what is wrong with them.

use super::*;
use serde_json::json;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// The error of loading `name`, without the folder's changing name.
fn error(dir: &TempDir, name: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|&s| s.to_owned()).collect();
    let error = load(&dir.path().join(name), &sets).unwrap_err().to_string();
    error.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn bases_lie_below_and_sets_on_top() {
    let dir = folder(&[
        ("root.yaml", "a: 1\nb: 1\nc: 1\n"),
        ("middle.yaml", "base: root\nb: 2\nc: 2\n"),
        ("ablations/top.yaml", "base: middle.yaml\nc: 3\nm: {x: 1}\n"),
    ]);
    let top = dir.path().join("ablations/top.yaml");
    let layered = load(&top, &["m.y.z=[1, 2]".into(), "c=4".into()]).unwrap();
    let values: Vec<_> = layered.layers().iter().map(|layer| layer.value.clone()).collect();
    let expected = [
        json!({"a": 1, "b": 1, "c": 1}),
        json!({"b": 2, "c": 2}),
        json!({"c": 3, "m": {"x": 1}}),
        json!({"m": {"y": {"z": [1, 2]}}}),
        json!({"c": 4}),
    ];
    assert_eq!(values, expected);
    let told = |key: &str| layered.origin(key).map(Origin::to_string).unwrap_or_default();
    assert!(told("a").ends_with("ablations/../root.yaml") || told("a").ends_with("/root.yaml"));
    assert!(told("b").ends_with("middle.yaml"), "{}", told("b"));
    assert_eq!(told("m.x"), format!("set in {}", top.display()));
    assert_eq!(told("m.y.z"), "set by --set m.y.z=[1, 2]");
    assert_eq!(told("c"), "set by --set c=4");
    assert_eq!(told("d"), "");
}

#[test]
fn circles_and_missing_bases_tell_the_chain() {
    let dir = folder(&[
        ("a.yaml", "base: b\n"),
        ("b.yaml", "base: c\n"),
        ("c.yaml", "base: a\n"),
        ("dcgan_lsun.yaml", "k: 1\n"),
        ("lost.yaml", "base: dcgan_lsn\n"),
        ("odd.yaml", "base: [a, b]\n"),
    ]);
    assert_eq!(
        error(&dir, "a.yaml", &[]),
        "c.yaml: the bases form a circle: a.yaml → b.yaml → c.yaml → a.yaml"
    );
    let message = error(&dir, "lost.yaml", &[]);
    assert!(message.starts_with("lost.yaml: no base at dcgan_lsn.yaml or "), "{message}");
    assert!(message.contains("; did you mean `dcgan_lsun.yaml`?"), "{message}");
    assert!(message.ends_with("(chain: lost.yaml → dcgan_lsn.yaml)"), "{message}");
    assert!(error(&dir, "odd.yaml", &[]).contains("found [\"a\", \"b\"]"));
    assert_eq!(
        error(&dir, "dcgan_lsum.yaml", &[]),
        "dcgan_lsum.yaml: no such file; did you mean `dcgan_lsun.yaml`?"
    );
}

#[test]
fn mistakes_name_file_line_and_column_or_the_argument() {
    let dir = folder(&[("x.yaml", "k: 1\nk: 2\n"), ("y.yaml", "k: 1\n"), ("z.yaml", "- 1\n")]);
    assert_eq!(error(&dir, "x.yaml", &[]), "x.yaml: line 2, column 1: duplicate key `k`");
    assert_eq!(error(&dir, "z.yaml", &[]), "z.yaml: expected keys (`name: value`), found [1]");
    assert_eq!(error(&dir, "y.yaml", &["k"]), "--set k: expected `key=value`, such as `--set k=2`");
    assert!(error(&dir, "y.yaml", &["k="]).contains("`k` has no value"));
    assert!(error(&dir, "y.yaml", &["a..b=1"]).contains("`a..b` is not a key"));
    let message = error(&dir, "y.yaml", &["k={a: "]);
    assert!(
        message.starts_with("--set k={a: : the value is not YAML: line 2, column 1"),
        "{message}"
    );
}

#[test]
fn parts_lie_between_file_and_sets() {
    let dir =
        folder(&[("root.yaml", "seeds: [9]\nk: 1\n"), ("x.yaml", "base: root\nseeds: [0, 1]\n")]);
    let mut layered = load(&dir.path().join("x.yaml"), &["k=3".into()]).unwrap();
    assert_eq!(layered.take("seeds"), Some(json!([0, 1])));
    assert_eq!(layered.take("seeds"), None);
    let part = layered.with_part("variant `v`", &json!({"m.a": 1, "m.b": 2, "k": 2})).unwrap();
    let values: Vec<_> = part.layers().iter().map(|layer| layer.value.clone()).collect();
    let expected =
        [json!({"k": 1}), json!({}), json!({"m": {"a": 1, "b": 2}, "k": 2}), json!({"k": 3})];
    assert_eq!(values, expected);
    let clash = layered.with_part("variant `v`", &json!({"m": 1, "m.b": 2})).unwrap_err();
    assert!(clash.to_string().contains("variant `v`\n  `m.b` goes through"), "{clash}");
}
