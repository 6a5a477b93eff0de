//! The loop against a device that only keeps books.

use super::*;
use crate::fake::{Counting, Diary, FakeDevice, experiment, recorded};
use crate::{Alone, Count};
use serde_json::json;

struct Run {
    device: FakeDevice,
    diary: Diary,
    result: Result<Outcome, TrainError>,
}

fn run(spec: &Experiment, diary: Diary, fails_at: Option<u64>, from: Option<&Checkpoint>) -> Run {
    let recorded = recorded(spec);
    let mut run = Run {
        device: FakeDevice::default(),
        diary,
        result: Ok(Outcome::Finished(Progress::default())),
    };
    run.device.fails_at = fails_at;
    let position = from.map_or(0, |checkpoint| checkpoint.header.position);
    let mut data = Counting { position, sample: [2, 2, 1] };
    let job = Job { spec, recorded: &recorded, peers: &Alone, options: Options::default() };
    run.result = train(&job, &mut run.device, &mut data, &mut run.diary, from);
    run
}

#[test]
fn d_moves_k_times_for_each_step_of_g() {
    let spec = experiment(json!({"k": 3, "images": 24}));
    let run = run(&spec, Diary::default(), None, None);
    let names: Vec<&str> = run.device.steps.iter().map(|(name, _)| &name[..1]).collect();
    assert_eq!(names.concat(), "dddgdddg");
    let ticks: Vec<u64> = run.device.steps.iter().map(|(_, clock)| clock.tick).collect();
    assert_eq!(ticks, [1, 2, 3, 4, 5, 6, 7, 8]);
    let Ok(Outcome::Finished(progress)) = run.result else { panic!("{:?}", run.result) };
    assert_eq!((progress.step, progress.images), (2, 24));
    assert_eq!((progress.discriminator, progress.generator), (6, 2));
    assert_eq!(run.device.reals, [0, 4, 8, 8, 12, 16, 20, 20], "G's step meets D's last batch");
}

/// The 2015 code: n_updates % (k + 1) == 0 is G's turn, and every turn takes a batch of its own.
#[test]
fn batches_alternate_between_the_players() {
    let spec = experiment(json!({"schedule": "alternate_batches", "k": 2, "images": 20}));
    let run = run(&spec, Diary::default(), None, None);
    let names: Vec<&str> = run.device.steps.iter().map(|(name, _)| &name[..1]).collect();
    assert_eq!(names.concat(), "gddgdd");
    assert_eq!(run.device.reals, [0, 4, 8, 12, 16, 20]);
    let Ok(Outcome::Finished(progress)) = run.result else { panic!("{:?}", run.result) };
    assert_eq!((progress.step, progress.images), (2, 24));
    assert_eq!((progress.discriminator, progress.generator), (4, 2));
    assert_eq!(spec.images_per_iteration(), 12);
}

/// Momentum and reports follow the images drawn before a step, whoever took them.
#[test]
fn a_ramp_counts_every_batch_drawn() {
    let ramp = json!({"sgd": {"momentum": {"from": 0.0, "to": 0.8, "over": 16}}});
    let momenta = |schedule: &str| {
        let optimizer = json!({"generator": ramp, "discriminator": ramp});
        let spec = json!({"schedule": schedule, "optimizer": optimizer, "images": 16});
        let run = run(&experiment(spec), Diary::default(), None, None);
        // Rate and momentum of D come first: its step was recorded first.
        let of = |(name, clock): &(String, tape::Clock)| {
            clock.scalars[if name.starts_with('g') { 3 } else { 1 }]
        };
        run.device.steps.iter().map(of).map(|m| (m * 10.0).round()).collect::<Vec<f64>>()
    };
    assert_eq!(momenta("algorithm1"), [0.0, 2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 8.0]);
    assert_eq!(momenta("alternate_batches"), [0.0, 2.0, 4.0, 6.0]);
    assert_eq!(momenta("simultaneous"), [0.0, 2.0, 4.0, 6.0]);
}

/// 100 images in batches of 4: a report at 20, 40, …; checkpoints at 40, 80 and at the end.
#[test]
fn what_is_due_is_told() {
    let run = run(&experiment(json!({})), Diary::default(), None, None);
    let reports: Vec<u64> = run.diary.reports.iter().map(|r| r.images).collect();
    assert_eq!(reports, [20, 40, 60, 80, 100]);
    assert_eq!(run.diary.samples, [0, 50, 100].map(|n: u64| n.next_multiple_of(4)));
    let kept: Vec<u64> = run.diary.checkpoints.iter().map(|c| c.header.progress.images).collect();
    assert_eq!(kept, [40, 80, 100]);
}

/// Stopping after any number of steps and going on gives the bytes of a run that never stopped.
#[test]
fn resume_is_exact() {
    for schedule in ["algorithm1", "shared_fakes", "simultaneous", "alternate_batches"] {
        let optimizer = json!({
            "generator": {"sgd": {"rate": 0.1, "decay": 1.01, "momentum": {"from": 0.5, "to": 0.7, "over": 60}}},
            "discriminator": {"adam": {}},
        });
        let settings = json!({"schedule": schedule, "optimizer": optimizer, "ema": 0.9});
        let spec = experiment(settings);
        let straight = run(&spec, Diary::default(), None, None);
        let expected = straight.diary.checkpoints.last().unwrap().to_bytes();
        let stops = spec.images.0.div_ceil(spec.images_per_iteration()) - 1;
        for stop in [1, 7, 10, stops] {
            let diary = Diary { stop_at: Some(stop), ..Diary::default() };
            let first = run(&spec, diary, None, None);
            assert!(matches!(first.result, Ok(Outcome::Stopped(p)) if p.step == stop));
            let half = first.diary.checkpoints.last().unwrap();
            let diary = Diary { lines: half.header.lines, ..Diary::default() };
            let second = run(&spec, diary, None, Some(half));
            let last = second.diary.checkpoints.last().unwrap();
            assert!(last.to_bytes() == expected, "{schedule}, stopped at step {stop}");
        }
    }
}

/// Nothing would be left to go on with.
#[test]
fn a_stop_at_the_end_is_the_end() {
    let diary = Diary { stop_at: Some(25), ..Diary::default() };
    let run = run(&experiment(json!({})), diary, None, None);
    assert!(matches!(run.result, Ok(Outcome::Finished(p)) if p.images == 100));
}

/// A run that ended can be made longer, and has then never ended.
#[test]
fn a_longer_run_goes_on() {
    let long = experiment(json!({}));
    let mut short = long.clone();
    short.images = Count(52);
    let straight = run(&long, Diary::default(), None, None);
    let first = run(&short, Diary::default(), None, None);
    let half = first.diary.checkpoints.last().unwrap();
    assert_eq!(half.header.progress.images, 52);
    // The report at the end of the short run lies behind its checkpoint.
    assert_eq!((half.header.lines, first.diary.reports.len()), (2, 3));
    // Whoever finds the last checkpoint finds everything else.
    assert!(first.diary.order.ends_with("rc"), "{}", first.diary.order);
    let diary = Diary { lines: half.header.lines, ..Diary::default() };
    let second = run(&long, diary, None, Some(half));
    let [one, other] = [straight, second].map(|r| r.diary.checkpoints.last().unwrap().to_bytes());
    assert!(one == other);
}

#[test]
fn a_step_that_is_not_finite_ends_the_run_and_is_named() {
    // Tick 23 is D's step of iteration 12, at 44 images; a checkpoint was written at 40.
    let spec = experiment(json!({"every": {"report": 1000, "samples": 1000, "checkpoint": 40}}));
    let run = run(&spec, Diary::default(), Some(23), None);
    let error = run.result.unwrap_err().to_string();
    for part in [
        "step 12 (44 images)",
        "program `discriminator_step`: `softplus %7` recorded at objective.rs:61: %8 is not finite",
        "Nothing was updated",
        "There is no checkpoint yet",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(run.diary.checkpoints.len(), 1);
    assert_eq!(run.device.steps.len(), 22, "no step was made after the fault");
}

/// G's step is repeated with the batch that it met, if its loss asks for one.
#[test]
fn a_faulty_step_meets_its_own_batch_again() {
    for (objective, schedule, tick, batch) in [
        (json!({"relativistic": {}}), "algorithm1", 4, 4),
        (json!({"relativistic": {}}), "alternate_batches", 3, 8),
        (json!("hinge"), "simultaneous", 2, 4),
    ] {
        let every = json!({"report": 1000, "samples": 1000, "checkpoint": 1000});
        let spec = json!({"objective": objective, "schedule": schedule, "every": every});
        let run = run(&experiment(spec), Diary::default(), Some(tick), None);
        assert!(matches!(run.result, Err(TrainError::NotFinite { .. })), "{:?}", run.result);
        assert_eq!(run.device.checked, Some(batch), "{objective} {schedule}");
    }
}

/// Images 44 to 60 are faulty and the report at 60 is due before the flag is looked at by itself.
#[test]
fn nothing_is_told_of_a_faulty_state() {
    let run = run(&experiment(json!({})), Diary::default(), Some(23), None);
    assert!(matches!(run.result, Err(TrainError::NotFinite { at, .. }) if at.images == 44));
    let reports: Vec<u64> = run.diary.reports.iter().map(|r| r.images).collect();
    assert_eq!(reports, [20, 40]);
}

/// log(p / (1 − p)) of means 0.75, and of 1e-7 where they are 0.
#[test]
fn the_output_starts_at_the_pixels_means() {
    let model =
        json!({"goodfellow": {"generator": {"latent": 2, "hidden": [4], "marginals": true}}});
    let spec = experiment(json!({"model": model, "ema": 0.9}));
    let recorded = recorded(&spec);
    let mut device = FakeDevice::default();
    let mut data = Counting { position: 0, sample: [2, 2, 1] };
    let job = Job { spec: &spec, recorded: &recorded, peers: &Alone, options: Options::default() };
    device.load(&recorded.tape, &job.options).unwrap();
    let mut diary = Diary::default();
    Game::begin(&job, &mut device, &mut data, &mut diary, None).unwrap();
    let own = recorded.gan.marginals().unwrap();
    let average = recorded.tape.saved();
    let average = average.iter().find(|(name, _)| name == "generator.ema.1.bias").unwrap().1;
    for t in [own, average] {
        let bias = crate::reals::read(&recorded.tape, &mut device, t).unwrap();
        let expected = [-(9_999_999.0_f64).ln(), 3.0_f64.ln()];
        for i in 0..4 {
            assert!((bias[i] - expected[i % 2]).abs() < 1e-6, "{bias:?}"); // f32
        }
    }
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let spec = experiment(json!({}));
    let recorded = recorded(&spec);
    let job = Job { spec: &spec, recorded: &recorded, peers: &Alone, options: Options::default() };
    let mut data = Counting { position: 0, sample: [3, 3, 1] };
    let mut device = FakeDevice::default();
    let error = train(&job, &mut device, &mut data, &mut Diary::default(), None).unwrap_err();
    let expected = "found [3, 3, 1] of type U8, expected [2, 2, 1] of type U8";
    assert!(error.to_string().contains(expected), "{error}");
}
