//! When alarms are raised, and when they are not.

use super::*;

/// Images of a look.
const IMAGES: u64 = 6400;

/// Figures of a game that is well: no two looks are alike.
fn healthy(number: u64) -> Look {
    let wobble = 1e-3 * (number as f64 * 1.7).sin();
    Look {
        step: number * LOOK,
        images: number * IMAGES,
        loss_d: 1.38 + wobble,
        loss_g: 0.69 - wobble,
        logit_fake: Some(-0.1 + wobble),
        diversity: Some(0.9 + wobble),
    }
}

/// Shows these looks, numbered from 1, to a watch over a run that begins with diversity 0.5: what is
/// raised at which.
fn raised(looks: u64, figures: impl Fn(u64) -> Look) -> Vec<(u64, Raised)> {
    let mut watch = Watch::new(Some(0.5));
    (1..=looks).flat_map(|n| watch.look(figures(n)).into_iter().map(move |r| (n, r))).collect()
}

/// The same by names alone.
fn names(looks: u64, figures: impl Fn(u64) -> Look) -> Vec<(u64, &'static str)> {
    raised(looks, figures).into_iter().map(|(n, raised)| (n, raised.alarm.name())).collect()
}

#[test]
fn a_healthy_game_is_left_alone() {
    assert_eq!(names(1000, healthy), []);
}

/// From look 21 on; the fifteenth look of it is number 35.
#[test]
fn d_wins_after_a_long_time_below_minus_five() {
    let sure = |n| Look { logit_fake: Some(if n > 20 { -5.1 } else { -4.9 }), ..healthy(n) };
    let told = raised(100, sure);
    assert_eq!(told.len(), 1, "{told:?}");
    let (at, raised) = &told[0];
    assert_eq!((*at, raised.alarm, raised.since), (35, Alarm::DWins, 20 * IMAGES));
    assert_eq!(
        raised.to_string(),
        "d_wins after 224000 images (step 3500): D's mean logit on fakes is -5.10, below -5; it has been \
         so since 128000 images"
    );
    let once = |n| Look { logit_fake: Some(if n % 15 == 0 { -4.9 } else { -9.0 }), ..healthy(n) };
    assert_eq!(names(100, once), [], "fourteen looks in a row are not enough");
    let critic = |n| Look { logit_fake: None, ..healthy(n) };
    assert_eq!(names(100, critic), []);
}

/// -4.5 is neither: the alarm stays in force through it, and can be raised again after -3.9.
#[test]
fn an_alarm_is_raised_again_only_after_it_was_clearly_gone() {
    let between = |gap: f64| {
        move |n| Look { logit_fake: Some(if n == 50 { gap } else { -6.0 }), ..healthy(n) }
    };
    assert_eq!(names(100, between(-4.5)), [(15, "d_wins")]);
    assert_eq!(names(100, between(-3.9)), [(15, "d_wins"), (65, "d_wins")]);
    let mut watch = Watch::default();
    let mut in_force = Vec::new();
    for n in 1..=55 {
        watch.look(between(-3.9)(n));
        in_force.push(watch.alarms().len());
    }
    assert_eq!(in_force, [vec![0; 14], vec![1; 35], vec![0; 6]].concat());
}

#[test]
fn g_collapses_where_it_falls_below_the_data_and_its_own_past() {
    let falls = |to: f64| {
        move |n| {
            let well = healthy(n);
            let diversity =
                Some(if n > 20 { to + 1e-3 * (n as f64).sin() } else { 0.9 + to / n as f64 });
            Look { diversity, ..well }
        }
    };
    assert_eq!(names(60, falls(0.25)), []);
    let told = raised(60, falls(0.1));
    assert_eq!(told.len(), 1, "{told:?}");
    let (at, raised) = &told[0];
    assert_eq!((*at, raised.alarm, raised.since), (35, Alarm::GCollapses, 20 * IMAGES));
    let told = raised.to_string();
    assert!(told.contains("G is 10.0 % as diverse as the data, below 20 %"), "{told}");
}

/// G begins as all but one picture and takes 17,000 iterations to be a fifth as diverse as the data.
#[test]
fn a_slow_beginning_is_no_collapse() {
    let mut watch = Watch::new(Some(1e-4));
    for n in 1..=200 {
        let diversity = Some(0.03 + 0.001 * n as f64);
        assert_eq!(watch.look(Look { diversity, ..healthy(n) }), []);
    }
    // But one that goes nowhere is.
    let mut watch = Watch::new(Some(1e-4));
    let told: Vec<_> = (1..=30)
        .filter(|&n| {
            let diversity = Some(1e-4 * (1.0 + 0.1 * (n as f64).sin()));
            !watch.look(Look { diversity, ..healthy(n) }).is_empty()
        })
        .collect();
    assert_eq!(told, [15]);
}

#[test]
fn nothing_moves_if_losses_or_samples_stand_still() {
    let losses = |n| Look { loss_d: 4f64.ln(), loss_g: 2f64.ln(), ..healthy(n) };
    // The first look has nothing to be compared with.
    assert_eq!(names(40, losses), [(16, "loss_stuck")]);
    let one = |n| Look { loss_d: 4f64.ln(), ..healthy(n) };
    assert_eq!(names(40, one), [], "G's loss still moves");
    let samples = |n| Look { diversity: Some(0.5), ..healthy(n) };
    assert_eq!(names(40, samples), [(16, "loss_stuck")]);
    let unknown = |n| Look { diversity: None, ..healthy(n) };
    assert_eq!(names(40, unknown), []);
}

/// A resumed run is handed this.
#[test]
fn a_watch_that_was_written_and_read_is_the_same() {
    let third = 1.0 / 3.0;
    let figures = |n| Look { logit_fake: Some(-5.0 - third * n as f64), ..healthy(n) };
    let mut straight = Watch::new(Some(third));
    for n in 1..=14 {
        straight.look(figures(n));
    }
    let text = serde_json::to_string(&straight).unwrap();
    let mut resumed: Watch = serde_json::from_str(&text).unwrap();
    assert_eq!(resumed, straight);
    assert_eq!(straight.look(figures(15)).len(), 1);
    assert_eq!(resumed.look(figures(15)).len(), 1);
}
