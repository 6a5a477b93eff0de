//! `duel train`: a new run.

use super::{Ended, Failure, print};
use crate::cli::{Globals, Train};
use crate::follow::Follower;
use crate::layers::{self, Layered};
use crate::machine::Machine;
use crate::observe::Observed;
use crate::ranks::{self, Rank, is_told_by_others};
use crate::report::run_page;
use crate::run_dir::{FAILURE, RunDir};
use crate::session::{self, Need, Session, resolved};
use crate::signals::Signals;
use crate::target::{Purpose, Target};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tape::{Compiled, Program};
use train::{Checkpoint, Job, Observer, Outcome, Recorded, Source};

pub(crate) fn run(globals: &Globals, train: &Train) -> Result<Ended, Failure> {
    let layered = layers::load(&train.experiment.file, &train.experiment.sets)?;
    let wanted = session::ranks(&layered, train.ranks.map(usize::from))?;
    ranks::start(wanted, |rank| as_rank(globals, train, &layered, rank))
}

fn as_rank(
    globals: &Globals,
    train: &Train,
    layered: &Layered,
    rank: &Arc<Rank>,
) -> Result<Ended, Failure> {
    let need = if train.dry_run { Need::Extents } else { Need::Samples };
    let session = Session::open_as(rank, layered, globals, need, Purpose::Begin)?;
    let recorded = session.record();
    let compiled = session.compile(&recorded);
    session.check_memory(&compiled)?;
    rank.agree(&session, &recorded)?;
    if train.dry_run {
        if rank.is_first() {
            let cost = cost(&compiled, &session.target, globals.cores())?;
            print(resolved(&session.spec));
            print(cost);
        }
        return Ok(Ended::Done);
    }
    let mut run = None;
    if rank.is_first() {
        let directory = match &train.out {
            Some(out) => out.clone(),
            None => default_directory(&train.experiment.file, session.spec.seed),
        };
        run = Some(begin(globals, &session, &compiled, &directory)?);
    }
    play(globals, &session, recorded, run, None)
}

/// Makes the directory of a run that says what it is. From here on `duel resume` takes it.
pub(crate) fn begin(
    globals: &Globals,
    session: &Session,
    compiled: &Compiled,
    directory: &Path,
) -> Result<RunDir, Failure> {
    let listing = listing(compiled, &session.target, globals.cores())?;
    let run = RunDir::create(directory)?;
    run.write("program.txt", listing.as_bytes())?;
    // Last, since it makes the directory a run.
    run.write("resolved.yaml", resolved(&session.spec).as_bytes())?;
    Ok(run)
}

/// Trains in a run directory, from the start or from a checkpoint. The error of a run that has begun
/// is kept there as well, for those who come later, and however it ends it leaves its page, unless another rank
/// was lost. The first rank has the directory and the checkpoint, and others have none.
pub(super) fn play(
    globals: &Globals,
    session: &Session,
    recorded: Recorded,
    run: Option<RunDir>,
    from: Option<&Checkpoint>,
) -> Result<Ended, Failure> {
    let rank = &session.rank;
    let signals = match rank.has_signals() {
        true => Some(Signals::listen(rank.is_launched())?),
        false => None,
    };
    let Some(run) = run else { return follow(session, recorded, signals) };
    let signals = signals.expect("the first rank has them");
    if globals.leash {
        signals.on_leash();
    }
    let position = from.map_or(0, |checkpoint| checkpoint.header.position);
    let mut source = session.source(position)?;
    let mut observed = Observed::new(&session.spec, run.clone(), signals, from)?;
    // What is refused up to here leaves the directory as it was.
    run.forget_failure()?;
    let machine = Machine::here().with(session.target.gpu()).of_ranks(rank.group().members());
    let machine = serde_json::to_string_pretty(&machine)?;
    run.write("machine.json", format!("{machine}\n").as_bytes())?;
    let outcome = computed(session, recorded, &mut *source, &mut observed, from);
    let outcome = observed.finish(&outcome).and(outcome);
    if let Err(error) = &outcome {
        // Where even this cannot be written, the error itself is what counts.
        run.write(FAILURE, format!("{error}\n").as_bytes()).ok();
    }
    if outcome.as_ref().is_err_and(is_told_by_others) {
        // The others have ended, and whoever started us ends this one soon.
        return outcome.map(|_| Ended::Done);
    }
    let path = run.path().to_path_buf();
    // The page says what became of the run, so nobody may be at work in it.
    drop((observed, run));
    paged(globals, &path, outcome)
}

/// Trains as a rank that is not the first.
fn follow(
    session: &Session,
    recorded: Recorded,
    signals: Option<Signals>,
) -> Result<Ended, Failure> {
    let mut source = session.source(0)?;
    Ok(match computed(session, recorded, &mut *source, &mut Follower::new(signals), None)? {
        Outcome::Finished(_) => Ended::Done,
        Outcome::Stopped(_) => Ended::Stopped,
    })
}

/// Trains on the session's device. Ranks part later, when the first has left its page: launchers may kill all
/// others as soon as one has ended, so none does before.
fn computed(
    session: &Session,
    recorded: Recorded,
    source: &mut (dyn Source + Send),
    observer: &mut (dyn Observer + Send),
    from: Option<&Checkpoint>,
) -> Result<Outcome, Failure> {
    let (spec, peers, options) = (&session.spec, &*session.rank, session.target.options());
    session.on_device(move |device| {
        let job = Job { spec, recorded: &recorded, peers, options };
        Ok(train::train(&job, device, source, observer, from)?)
    })
}

/// Prints the directory of a run that ended well, and leaves the page of any.
fn paged(
    globals: &Globals,
    run: &Path,
    outcome: Result<Outcome, Failure>,
) -> Result<Ended, Failure> {
    if outcome.is_ok() {
        print(run.display());
    }
    let page = run_page(globals, run).map_err(|error| {
        let run = run.display();
        format!("{error}\n  {run} lacks its page for that alone; `duel report {run}` makes it")
    });
    match (outcome, page) {
        (Ok(Outcome::Finished(_)), Err(error)) => Err(error.into()),
        (outcome, page) => {
            if let Err(error) = page {
                // How the run ended says more.
                eprintln!("{error}");
            }
            Ok(match outcome? {
                Outcome::Finished(_) => Ended::Done,
                Outcome::Stopped(_) => Ended::Stopped,
            })
        }
    }
}

/// `runs/<experiment>/seed<N>`
fn default_directory(file: &Path, seed: u64) -> PathBuf {
    let name = file.file_stem().unwrap_or(file.as_os_str());
    Path::new("runs").join(name).join(format!("seed{seed}"))
}

/// What the programs cost, a line each, and what lies in memory.
pub(super) fn cost(
    compiled: &Compiled,
    target: &Target,
    threads: usize,
) -> Result<String, Failure> {
    let real = target.real_bytes();
    let mut lines: Vec<String> =
        (0..compiled.programs.len()).map(|i| compiled.print_cost(Program(i), real)).collect();
    lines.push(compiled.print_memory(real, target.working_bytes(compiled, threads)?));
    Ok(lines.join("\n"))
}

/// Every program, and what they cost.
pub(super) fn listing(
    compiled: &Compiled,
    target: &Target,
    threads: usize,
) -> Result<String, Failure> {
    let mut text = String::new();
    for i in 0..compiled.programs.len() {
        text += &format!("{}\n{}\n", compiled.programs[i].name, compiled.print(Program(i)));
    }
    Ok(text + &cost(compiled, target, threads)? + "\n")
}
