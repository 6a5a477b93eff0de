//! Ranks that are counted, timed and predicted: `duel scaling` from its words to its rows. Nothing here is about
//! how fast this machine is.

use serde_json::Value;
use tests::duel::Place;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// The rows of a kind.
fn rows<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|row| row["kind"] == kind).collect()
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("no `{key}` in {row}"))
}

/// Runs `duel scaling`, and gives what it prints with its rows.
fn scaled(place: &Place, words: &str) -> (String, Vec<Value>) {
    let fixed = "--steps 2 --json rows.json --out picture.png";
    let text = place.duel(&format!("scaling {words} {fixed}")).fine();
    (text, serde_json::from_str(&place.text("rows.json")).expect("a list in JSON"))
}

#[test]
fn threads_are_ranks() {
    let place = Place::furnished(DUEL);
    let (text, all) = scaled(&place, "dcgan.yaml --ranks 2,1 --threads 1");
    assert_eq!(text.lines().last(), Some("picture.png"));
    let measured = rows(&all, "measured");
    let told: Vec<_> = measured
        .iter()
        .map(|row| {
            (row["scaling"].as_str().expect("a word"), row["ranks"].as_u64(), row["batch"].as_u64())
        })
        .collect();
    let expected = [("strong", 1, 16), ("strong", 2, 16), ("weak", 2, 32)];
    assert_eq!(told, expected.map(|(scaling, ranks, batch)| (scaling, Some(ranks), Some(batch))));
    for row in &measured {
        for key in ["seconds", "images_per_second", "efficiency", "predicted_seconds"] {
            assert!(number(row, key) > 0.0, "{key}: {row}");
        }
        let error = number(row, "predicted_seconds") / number(row, "seconds") - 1.0;
        assert!((number(row, "error") - error).abs() < 1e-9, "{row}");
    }
    assert_eq!(number(measured[0], "efficiency"), 1.0);

    // Every gradient is added up once in an iteration, and every norm's sums each time that it is passed. G:
    // 8 → 8·4·4, γ and β; 8 → 4, γ and β; 4 → 1. D: 1 → 4; 4 → 8, γ and β; 8·4·4 → 1. In f32.
    let g = (8 * 128 + 2 * 8) + (8 * 4 * 16 + 2 * 4) + 4 * 16;
    let d = 4 * 16 + (4 * 8 * 16 + 2 * 8) + 128;
    for row in &measured[1..] {
        assert_eq!(number(&row["gradients"], "bytes"), f64::from(4 * (g + d)), "{row}");
        // D's step: G's two norms forward, and D's one twice both ways. G's step: all three, both ways.
        assert_eq!(number(&row["norms"], "messages"), f64::from(2 + 2 * 2 + 2 * 3), "{row}");
        let hidden = number(row, "hidden");
        assert!((0.0..=1.0).contains(&hidden), "{row}");
        assert!(number(row, "hidden_bytes") <= number(&row["gradients"], "bytes"), "{row}");
    }
    let [engine] = rows(&all, "engine")[..] else { panic!("{all:?}") };
    assert_eq!(
        (&engine["engine"], engine["ranks"].as_u64()),
        (&"2 ranks in one process".into(), Some(2))
    );
    assert_eq!(engine["probed"]["sums"].as_array().map(Vec::len), Some(7));
    assert!(text.contains("2 ranks in one process, 2 ranks, idle: "), "{text}");

    // The batch of 16 is shared by 16 ranks at most.
    let predicted = rows(&all, "predicted");
    let most = |scaling: &str, link: &str| {
        let of = predicted.iter().filter(|row| row["scaling"] == scaling && row["link"] == link);
        of.map(|row| row["ranks"].as_u64().expect("a number")).max()
    };
    assert_eq!(most("strong", "1 Gbit/s Ethernet"), Some(16));
    assert_eq!(most("weak", "1 Gbit/s Ethernet"), Some(1024));
    assert_eq!(most("weak", "NVLink 4, NVSwitch"), Some(8));

    let picture = image::open(place.path("picture.png")).expect("a PNG").to_rgb8();
    for colour in [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167]] {
        let near = |p: &&image::Rgb<u8>| p.0.iter().zip(colour).all(|(&a, b)| a.abs_diff(b) < 12);
        let pixels = picture.pixels().filter(near).count();
        assert!(pixels > 20, "{pixels} of {colour:?}");
    }
}

/// A step that is given, a link of one's own, tables for a page; statistics of each rank, which need no messages
/// but those of the running ones.
#[test]
fn predictions_start_from_what_is_given() {
    let place = Place::furnished(DUEL);
    let words = "dcgan.yaml --ranks 2 --threads 1 --step-ms 2 --link 0,1000000 --link 1000,0.001 --markdown";
    let (text, all) = scaled(&place, &format!("{words} --set norm_statistics=rank"));
    assert!(text.starts_with("| scaling | ranks |"), "{text}");
    assert!(text.contains("2.000 ms that were given with --step-ms"), "{text}");
    let predicted = rows(&all, "predicted");
    let at = |link: &str, ranks: u64| {
        let is = |row: &&&Value| {
            row["link"] == link && row["ranks"] == ranks && row["scaling"] == "weak"
        };
        *predicted.iter().find(is).unwrap_or_else(|| panic!("{link}, {ranks}: {all:?}"))
    };
    // Over a link that takes no time, ranks do not wait for each other.
    for ranks in [1, 2, 1024] {
        let row = at("0 µs, 1000000 GB/s", ranks);
        let ms = 1e3 * number(row, "seconds");
        assert!((ms - 2.0).abs() < 0.01 && (number(row, "efficiency") - 1.0).abs() < 0.01, "{row}");
    }
    // 1 ms for each round and 1 MB a second: more than a step for any sum.
    let slow = at("1000 µs, 0.001 GB/s", 2);
    assert!(number(slow, "seconds") > 0.005 && number(slow, "efficiency") < 0.2, "{slow}");
    let norms = number(&rows(&all, "measured")[1]["norms"], "messages");
    assert!(norms > 0.0 && norms < 12.0, "{norms}");
}

#[test]
fn what_cannot_be_scaled() {
    let place = Place::furnished(DUEL);
    let before = place.everything();
    for (words, expected) in [
        ("--out x.jpg", "--out x.jpg: expected a name that ends in .png"),
        ("--out x.png --json x.png", "--json x.png: the picture goes there (`--out`)"),
        ("--device cuda:0", "--device cuda:0: what is timed is sums between cores; leave it out"),
    ] {
        assert_eq!(place.duel(&format!("scaling dcgan.yaml {words}")).refused(), expected);
    }
    let message = place.duel("scaling dcgan.yaml --ranks 1,3").refused();
    assert!(
        message.contains("batch") && message.contains("16") && message.contains('3'),
        "{message}"
    );
    for words in ["--ranks 0", "--ranks two", "--steps 0", "--link 5", "--link 5,0", "--step-ms 0"]
    {
        let said = place.duel(&format!("scaling dcgan.yaml {words}"));
        assert_eq!(said.code, Some(2), "{words}: {}", said.err);
        let option = words.split(' ').next().expect("a word");
        assert!(said.err.contains(option), "{words}: {}", said.err);
    }
    assert!(place.everything() == before);
}
