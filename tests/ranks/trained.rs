//! Whole runs: reports, alarms, stops, and going on with another number of ranks.

use crate::apart::apart;
use crate::games::{dcgan, gan, numbers};
use crate::reals::Pictures;
use crate::room::{alone, ranks};
use crate::runs::Run;
use crate::same::BOUND;
use serde_json::{Value, json};
use train::{Alarm, Alone, Checkpoint, Experiment, Gaussian, Outcome, TrainError};

/// Tells of everything, and in the middle of things.
fn often() -> Value {
    json!({"report": 5 * 16, "samples": 11 * 16, "checkpoint": 20 * 16})
}

/// A run on `world` ranks, of which one may want to stop in a step. The first has the checkpoint that it
/// goes on from, and the samples that follow it.
fn run(
    spec: &Experiment,
    pictures: &Pictures,
    world: usize,
    stop: Option<(usize, u64)>,
    from: Option<&Checkpoint>,
) -> Vec<Run> {
    ranks(world, 8, |rank| {
        let number = rank.group.rank();
        let from = from.filter(|_| number == 0);
        let start = from.map_or(0, |checkpoint| checkpoint.header.position);
        let mut reals = pictures.of(spec, [number, world], start);
        let stops_at = stop.and_then(|(who, step)| (who == number).then_some(step));
        Run::on(spec, rank, &mut reals, stops_at, from)
    })
}

/// All ranks have been told the same, but pictures and checkpoints are the first one's.
fn agreed(runs: &[Run]) {
    let first = &runs[0];
    for (rank, run) in runs.iter().enumerate().skip(1) {
        assert_eq!(format!("{:?}", run.end), format!("{:?}", first.end), "rank {rank}");
        assert_eq!(run.diary.reports, first.diary.reports, "rank {rank}");
        assert_eq!(run.diary.alarms, first.diary.alarms, "rank {rank}");
        assert!(run.state == first.state, "rank {rank} has another state");
        assert!(run.diary.samples.is_empty() && run.diary.checkpoints.is_empty(), "rank {rank}");
    }
    assert!(first.diary.reports.iter().all(|report| report.diversity.is_some()));
}

/// Two ranks, of which the second wants to stop; then four, of which the last does; then one. The end is
/// that of one rank that nobody has stopped.
fn goes_on_with_others(name: &str, spec: &Experiment) {
    let pictures = Pictures::new();
    let whole = alone(8, |mut device| {
        let mut reals = pictures.of(spec, [0, 1], 0);
        Run::of(spec, &Alone, &mut *device, &mut reals, None, None)
    });
    let Ok(Outcome::Finished(end)) = whole.end else { panic!("{:?}", whole.end) };
    let two = run(spec, &pictures, 2, Some((1, 17)), None);
    agreed(&two);
    assert_eq!(two[0].stopped().step, 18, "a wish travels with the next step");
    let four = run(spec, &pictures, 4, Some((3, 31)), Some(two[0].last()));
    agreed(&four);
    assert_eq!(four[0].stopped().step, 32);
    let one = run(spec, &pictures, 1, None, Some(four[0].last()));
    assert!(matches!(one[0].end, Ok(Outcome::Finished(progress)) if progress == end));

    let (last, expected) = (one[0].last(), whole.last());
    let apart = apart(&last.tensors, &expected.tensors);
    println!("{name}, 2, 4 and 1 ranks: {:.1e} in {}", apart.by, apart.tensor);
    assert!(apart.by <= BOUND, "{name}: {apart:?}");
    assert_eq!(last.header.progress, expected.header.progress);
    assert_eq!(last.header.position, expected.header.position);
    let parts = [&two[0], &four[0], &one[0]].map(|run| &run.diary);
    let told = parts.iter().flat_map(|diary| &diary.reports).map(|report| report.step);
    assert!(told.eq(whole.diary.reports.iter().map(|report| report.step)), "{name}: reports");
    let drawn = parts.iter().flat_map(|diary| &diary.samples);
    assert!(drawn.eq(&whole.diary.samples), "{name}: samples");
}

#[test]
fn dropout_momentum_and_two_steps_of_d() {
    goes_on_with_others("gan, k = 2", &gan(&json!({"k": 2, "every": often()})));
}

#[test]
fn batch_norm_adam_and_an_average() {
    let settings = json!({"schedule": "simultaneous", "every": often()});
    goes_on_with_others("dcgan, simultaneous", &dcgan(&json!({}), &settings));
}

#[test]
fn pairs_and_alternating_batches() {
    let game = json!({"relativistic": {"penalty": 0.1}});
    let settings = json!({"schedule": "alternate_batches", "objective": game, "every": often()});
    goes_on_with_others("gan, alternating batches", &gan(&settings));
}

/// What is not the same for another number of ranks goes on with the same number, bit for bit.
#[test]
fn statistics_of_each_rank_go_on() {
    let settings = json!({"norm_statistics": "rank", "every": often()});
    let spec = dcgan(&json!({}), &settings);
    let pictures = Pictures::new();
    let whole = run(&spec, &pictures, 2, None, None);
    let half = run(&spec, &pictures, 2, Some((1, 23)), None);
    let rest = run(&spec, &pictures, 2, None, Some(half[0].last()));
    for runs in [&whole, &half, &rest] {
        agreed(runs);
    }
    assert_eq!(half[1].stopped().step, 24);
    assert!(rest[0].last() == whole[0].last());
}

/// Bit for bit, −0 as well: state reaches the other ranks by a sum, and −0 + 0 is 0.
#[test]
fn a_checkpoint_arrives_as_it_is() {
    let spec = gan(&json!({"images": 16}));
    let pictures = Pictures::new();
    let mut checkpoint = run(&spec, &pictures, 1, None, None)[0].last().clone();
    for saved in &mut checkpoint.tensors {
        saved.bytes[..8].copy_from_slice(&(-0.0_f64).to_le_bytes());
    }
    // Nothing is left to be done with it.
    let four = run(&spec, &pictures, 4, None, Some(&checkpoint));
    agreed(&four);
    assert!(matches!(four[0].end, Ok(Outcome::Finished(_))), "{:?}", four[0].end);
    assert!(four.iter().all(|run| run.state.as_ref() == Some(&checkpoint.tensors)));
}

/// Nobody moves, which becomes an alarm. The run goes back three times, and ends at the fourth: the first rank
/// has the checkpoints, and knows how diverse G is; all do the same.
#[test]
fn an_alarm_sends_all_ranks_back() {
    let still = json!({"adam": {"rate": 1e-10}});
    let settings = json!({
        "optimizer": {"generator": still, "discriminator": still},
        "on_alarm": "rollback",
        "images": "1M",
        "every": {"report": 100 * 16, "samples": "1M", "checkpoint": 50 * 16},
    });
    let spec = numbers(&settings);
    let on = |world| {
        ranks(world, 8, |rank| {
            let place = [rank.group.rank(), world];
            let mut source = Gaussian::new(4.0, 1.0, spec.seed, place, 0);
            Run::on(&spec, rank, &mut source, None, None)
        })
    };
    let (two, one) = (on(2), on(1));
    agreed(&two);
    for run in two.iter().chain(&one) {
        let Err(TrainError::Alarm { raised, .. }) = &run.end else { panic!("{:?}", run.end) };
        assert_eq!((raised.alarm, raised.at.step), (Alarm::LossStuck, 1600));
        let told: Vec<&str> = run.diary.alarms.iter().map(|(_, answer)| answer.as_str()).collect();
        let back = |part| format!("the run goes back to 1600 images, with {part} of its rates");
        assert_eq!(told, [back("0.5"), back("0.25"), back("0.125")]);
        assert_eq!(run.diary.reports.last().expect("reports").rollbacks, 3);
    }
    let apart = apart(&two[0].last().tensors, &one[0].last().tensors);
    println!("rolled back, 2 ranks: {:.1e} in {}", apart.by, apart.tensor);
    assert!(apart.by <= BOUND, "{apart:?}");
    assert_eq!(two[0].last().header.progress, one[0].last().header.progress);
}
