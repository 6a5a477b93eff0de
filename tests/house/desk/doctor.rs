//! `duel doctor`: what it looks at, with nothing there.

use super::DUEL;
use serde_json::Value;
use tests::duel::Place;

#[test]
fn tells_everything_and_what_to_do() {
    let place = Place::furnished(DUEL);
    place.write("datasets/torn/train/manifest.json", "{");
    let mut command = place.command("doctor --json --threads 1");
    let output = command.env("PATH", "").output().expect("the binary starts");
    let text = tests::duel::Said::of(output).fine();
    let found: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(found["threads"], 1);
    let speeds = found["speed"].as_array().expect("a list");
    assert_eq!(speeds.len(), 1);
    for speed in speeds {
        for key in ["gflops", "memory_gigabytes"] {
            // Anything that runs this at all does a hundred million operations a second.
            assert!(speed[key].as_f64().is_some_and(|x| x > 0.1), "{key} in {speed}");
        }
    }
    for tool in found["tools"].as_array().expect("three of them") {
        assert!(tool["path"].is_null(), "{tool}");
    }
    let sets = &found["data_sets"];
    assert_eq!(sets[0]["split"], "datasets/tiny/train");
    assert_eq!(sets[0]["images"], tests::duel::IMAGES);
    assert_eq!(sets[1]["split"], "datasets/torn/train");
    assert!(sets[1]["problem"].is_string(), "{sets}");
    let advice: Vec<&str> =
        found["advice"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for part in ["install it", "the next is tried", "import it again"] {
        assert!(advice.iter().any(|line| line.contains(part)), "no `{part}` in {advice:?}");
    }
}

#[test]
fn says_it_in_lines() {
    let place = Place::new(DUEL);
    let text = place.duel("doctor").fine();
    for about in
        ["processor", "instructions", "cores", "memory", "speed", "disk", "curl", "NVIDIA", "duel"]
    {
        let told = text.lines().any(|line| line.starts_with(&format!("{about} ")));
        assert!(told, "no line on {about}:\n{text}");
    }
    assert!(text.contains("→ `duel data prepare EXPERIMENT.yaml`"), "{text}");
    assert!(place.everything().is_empty());
}
