//! Threads that add up, speak, fail and leave.

use super::ranks;
use crate::{Engine, Group, Kind, Lost, Numbers, Place};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn place(operation: &str) -> Arc<Place> {
    Arc::new(Place { program: "step".to_string(), operation: operation.to_string() })
}

/// Runs a body on each rank, and gives back what each returned.
fn each<R: Send>(
    world: usize,
    deadline: Duration,
    body: impl Fn(&dyn Group, &mut dyn Engine) -> R + Sync,
) -> Vec<R> {
    let body = &body;
    thread::scope(|scope| {
        let started: Vec<_> = ranks(world, deadline)
            .into_iter()
            .map(|(group, mut engine)| scope.spawn(move || body(&*group, &mut *engine)))
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn sum(engine: &mut dyn Engine, numbers: &mut [f32], at: &str) -> Result<(), Lost> {
    let handed = Numbers::F32(numbers.as_mut_ptr(), numbers.len());
    // SAFETY: they are borrowed until the sum has ended; where it fails, the test ends without them.
    let ticket = unsafe { engine.begin(handed, &place(at)) }?;
    engine.finish(ticket)
}

/// Numbers whose sum depends on the order: rank r's i-th.
fn number(rank: usize, i: usize) -> f32 {
    let x = ((rank * 7919 + i * 104_729) % 10_007) as f32;
    x.powi(3) * if (rank + i).is_multiple_of(2) { 1.0 } else { -0.001 }
}

#[test]
fn sums_are_taken_in_the_order_of_ranks() {
    // More than two parts, and no multiple of a line.
    let n = 70_001;
    for world in [1, 2, 3, 8] {
        let expected: Vec<f32> = (0..n)
            .map(|i| (1..world).fold(number(0, i), |sum, rank| sum + number(rank, i)))
            .collect();
        for _ in 0..3 {
            let all = each(world, LONG, |group, engine| {
                let mut x: Vec<f32> = (0..n).map(|i| number(group.rank(), i)).collect();
                sum(engine, &mut x, "gradients").unwrap();
                group.part().unwrap();
                x
            });
            for x in all {
                assert!(x.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }
}

#[test]
fn sums_may_overlap_and_be_taken_in_any_order() {
    each(4, LONG, |group, engine| {
        let rank = group.rank() as f64;
        let (mut a, mut b) = (vec![rank; 10], vec![10.0 * rank; 50_000]);
        // SAFETY: both stay until both sums have ended.
        let [first, second] = [&mut a, &mut b].map(|x| unsafe {
            engine.begin(Numbers::F64(x.as_mut_ptr(), x.len()), &place("sum")).unwrap()
        });
        let order = if group.rank() % 2 == 0 { [second, first] } else { [first, second] };
        for ticket in order {
            engine.poll().unwrap();
            engine.finish(ticket).unwrap();
        }
        assert_eq!((a, b), (vec![6.0; 10], vec![60.0; 50_000]));
        group.part().unwrap();
    });
}

#[test]
fn words_come_in_the_order_of_ranks() {
    let heard = each(3, LONG, |group, _| {
        let first = group.all_gather("names", &[group.rank() as u8]).unwrap();
        let second = group.all_gather("more", &vec![7; group.rank()]).unwrap();
        group.part().unwrap();
        (first, second)
    });
    for (first, second) in heard {
        assert_eq!(first, [[0], [1], [2]]);
        assert_eq!(second, [vec![], vec![7], vec![7, 7]]);
    }
}

#[test]
fn who_fails_ends_all() {
    let ends = each(3, LONG, |group, engine| {
        if group.rank() == 1 {
            group.fail("the disk is full");
            return group.check().unwrap_err();
        }
        sum(engine, &mut [1.0], "gradients").unwrap_err()
    });
    let lost = Lost::new(Kind::Failed, "rank 1 of 3: the disk is full");
    assert_eq!(ends, vec![lost; 3]);
}

#[test]
fn who_leaves_early_is_named() {
    let ends = each(2, LONG, |group, engine| {
        if group.rank() == 0 {
            group.step(12);
            return None;
        }
        Some(sum(engine, &mut [1.0], "gradients").unwrap_err())
    });
    let lost = Lost::new(Kind::Peer, "rank 0 of 2 left early, in step 12");
    assert_eq!(ends, [None, Some(lost)]);
}

#[test]
fn who_does_not_come_is_named() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    let ends = each(2, Duration::from_millis(300), |group, engine| {
        group.step(3 + group.rank() as u64);
        if group.rank() == 1 {
            // Away until the other one has given up.
            receiver.lock().unwrap().recv_timeout(LONG).unwrap();
            return group.check().unwrap_err();
        }
        let end = sum(engine, &mut [1.0], "gradients").unwrap_err();
        sender.clone().send(()).unwrap();
        end
    });
    let expected = "rank 0 of 2 waited 0 s in step 3 at `gradients` of program `step` for rank 1, last \
                    seen in step 4";
    assert_eq!(ends, vec![Lost::new(Kind::Peer, expected); 2]);
}

#[test]
fn different_lengths_are_refused() {
    let ends = each(2, LONG, |group, engine| {
        sum(engine, &mut vec![1.0; 5 + group.rank()], &format!("batch {}", group.rank()))
    });
    for end in ends {
        let lost = end.unwrap_err();
        assert_eq!(lost.kind, Kind::Disagree);
        for part in ["5 ", "6 ", "`batch 0`", "`batch 1`"] {
            assert!(lost.message.contains(part), "{lost}");
        }
    }
}
