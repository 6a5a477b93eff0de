//! Runs of several ranks on GPUs: threads with a device each, and processes that meet.

use std::process::{Child, Stdio};
use tests::duel::{Place, Said};
use tests::stand_in;
use train::Checkpoint;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Four iterations of a small DCGAN with batch norms in both networks.
const SHORT: &str = "train dcgan.yaml --set images=64 --set every.report=32 --set every.samples=64 \
                     --set every.checkpoint=64 --set device=cuda --set precision=f32";

/// `duel` with these words and so many GPUs; none where there are no such.
fn duel(place: &Place, words: &str, gpus: usize) -> Option<Said> {
    let mut command = place.command(words);
    command.env("DUEL_STAND_IN_DEVICES", gpus.to_string()).env("DUEL_DEADLINE", "60");
    // A machine's own GPUs are as many as they are.
    let there = stand_in::show(&mut command) && !(stand_in::is_real() && gpus > 1);
    there.then(|| Said::of(command.output().expect("the binary starts")))
}

/// The largest difference of any number of two checkpoints in f32.
fn apart(place: &Place, one: &str, other: &str) -> f64 {
    let [one, other] = [one, other].map(|run| {
        let file = place.path(&format!("{run}/checkpoints/000000000064.safetensors"));
        Checkpoint::read(&file).expect("readable").tensors
    });
    let reals = |bytes: &[u8]| -> Vec<f64> {
        let each =
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")));
        each.map(f64::from).collect()
    };
    one.iter().zip(&other).fold(0.0, |most, (a, b)| {
        assert_eq!(a.name, b.name);
        let pairs = reals(&a.bytes).into_iter().zip(reals(&b.bytes));
        // Moments and sums are far from 1: relative to what is large.
        pairs.fold(most, |most: f64, (x, y)| most.max((x - y).abs() / x.abs().max(1.0)))
    })
}

#[test]
fn two_gpus_compute_what_one_computes() {
    let place = Place::furnished(DUEL);
    let Some(one) = duel(&place, &format!("{SHORT} --out one"), 2) else { return };
    one.fine();
    let two = duel(&place, &format!("{SHORT} --out two --ranks 2"), 2).expect("as before");
    assert_eq!(two.fine(), "two\n");
    // Adam's first steps divide by moments of four gradients: rounding of 1e-7 in a gradient near 0 moves
    // a parameter by a part of its step of 2e-4.
    let apart = apart(&place, "one", "two");
    assert!(apart < 1e-4, "{apart:e}");
    let machine = place.text("two/machine.json");
    assert!(machine.contains("\"ranks\": ["), "{machine}");
}

#[test]
fn a_gpu_is_one_ranks_alone() {
    let place = Place::furnished(DUEL);
    let Some(said) = duel(&place, &format!("{SHORT} --out run --ranks 2"), 1) else { return };
    let message = said.refused();
    for part in
        ["the same GPU, cuda:0", "rank 0", "rank 1", "as many ranks on a host as it has GPUs"]
    {
        assert!(message.contains(part), "no `{part}` in {message}");
    }
    let said = duel(&place, &format!("{SHORT} --out run --ranks 4"), 2).expect("as before");
    let message = said.refused();
    assert!(message.contains("would use cuda:2, which host"), "{message}");
}

/// Two processes, each with a device of its own, as a launcher starts them.
#[test]
fn processes_meet_and_add_up_with_nccl() {
    let place = Place::furnished(DUEL);
    let Some(one) = duel(&place, &format!("{SHORT} --out one --ranks 2"), 2) else { return };
    one.fine();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        free.local_addr().expect("it is bound").port().to_string()
    };
    let start = |rank: &str| -> Child {
        let mut command = place.command(&format!("{SHORT} --out two"));
        command.envs([("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2")]);
        command.envs([("MASTER_ADDR", "127.0.0.1"), ("DUEL_PORT", &port), ("DUEL_DEADLINE", "60")]);
        command.env("DUEL_STAND_IN_DEVICES", "2");
        assert!(stand_in::show(&mut command), "as before");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    };
    let [first, second] = ["0", "1"].map(start);
    let [first, second] =
        [first, second].map(|child| Said::of(child.wait_with_output().expect("it ends")));
    assert_eq!((first.fine(), second.fine()), ("two\n".to_string(), String::new()));
    // Threads and processes add up in the same order.
    assert_eq!(apart(&place, "one", "two"), 0.0);
}
