//! `duel scaling`: how an experiment's speed grows with the number of ranks.

use super::figures::Places;
use super::{Ended, Failure, print};
use crate::cli::{Globals, Scaling as Asked};
use crate::ranks::{self, Rank};
use crate::scaling::{Alone, Grows, Measured, Runs, Scaling, Together, links};
use crate::session::{self, refuse};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use train::{DeviceName, Peers};

/// Threads that are tried where nobody says otherwise.
const RANKS: [usize; 3] = [1, 2, 4];

pub(crate) fn run(globals: &Globals, asked: &Asked) -> Result<Ended, Failure> {
    let file = &asked.experiment.file;
    let places = Places::of(file, "scaling.png", asked.out.as_deref(), asked.json.as_deref())?;
    if let Some(device @ DeviceName::Cuda(_)) = globals.device {
        let error = format!("--device {device}: what is timed is sums between cores; leave it out");
        return Err(error.into());
    }
    let globals = &on_cores(globals);
    let layered = crate::layers::load(file, &asked.experiment.sets)?;
    let spec = session::experiment(&layered)?;
    let launch = ranks::launch()?;
    let worlds = worlds(asked, launch.world)?;
    for world in &worlds {
        spec.check(*world).map_err(|problem| refuse(&layered, &problem))?;
    }
    let sets = &asked.experiment.sets;
    let runs = Runs { globals, file, sets, steps: asked.steps, batch: spec.batch };
    let figures = match launch.rank {
        0 => Some(places.create()?),
        _ => None,
    };

    let found = Mutex::new(None);
    let keep = |scaling| *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(scaling);
    if launch.world > 1 {
        ranks::start(1, |rank| {
            let threads = rank.threads(globals.threads);
            let alone = on_first(rank, || before(&runs, threads, &[(rank.world(), threads)]))?;
            let single = alone.as_ref().map_or(&[][..], |(_, alone)| alone);
            let together = runs.together(rank, single)?;
            if let Some((one, alone)) = alone {
                keep(whole(asked, &runs, one, &alone, vec![together])?);
            }
            Ok(Ended::Done)
        })?;
    } else {
        let cores = globals.cores();
        let of = |world: &usize| {
            (*world, if globals.threads == 0 { (cores / world).max(1) } else { cores })
        };
        let several: Vec<_> = worlds.iter().filter(|world| **world > 1).map(of).collect();
        let (one, alone) = before(&runs, cores, &several)?;
        let mut all = Vec::new();
        for (world, _) in several {
            let first = Mutex::new(None);
            ranks::start(world, |rank| {
                let together = runs.together(rank, &alone)?;
                if rank.is_first() {
                    *first.lock().unwrap_or_else(PoisonError::into_inner) = Some(together);
                }
                Ok(Ended::Done)
            })?;
            all.extend(first.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        keep(whole(asked, &runs, one, &alone, all)?);
    }
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (Some(scaling), Some(figures)) = (found, figures) else { return Ok(Ended::Done) };
    print(scaling.print(asked.markdown));
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
    figures.keep(&scaling.picture(&format!("{name}: efficiency over ranks"))?, &scaling.rows())?;
    Ok(Ended::Done)
}

/// Numbers of ranks that are run.
fn worlds(asked: &Asked, launched: usize) -> Result<Vec<usize>, Failure> {
    match (&asked.ranks[..], launched) {
        ([], 1) => Ok(RANKS.to_vec()),
        (some, 1) => {
            let worlds: BTreeSet<usize> = some.iter().map(|n| usize::from(*n)).collect();
            Ok(worlds.into_iter().collect())
        }
        ([], launched) => Ok(vec![launched]),
        (_, launched) => Err(format!(
            "--ranks: {launched} ranks were started, and those are what is run; leave it out"
        )
        .into()),
    }
}

/// What one rank does alone: whole steps on `threads`, and operations for each of the numbers of ranks, with the
/// threads that each has then.
fn before(
    runs: &Runs,
    threads: usize,
    several: &[(usize, usize)],
) -> Result<(Measured, Vec<Alone>), Failure> {
    let one = runs.one(threads)?;
    let batch = runs.batch;
    let mut wanted = vec![(batch, threads)];
    for &(world, threads) in several {
        for scaling in Grows::ALL {
            wanted.push((scaling.batch(batch, world) / world, threads));
        }
    }
    // What predictions start from: as many threads as one rank has, and half of the rows.
    wanted.push(((batch / 2).max(1), threads));
    let mut alone: Vec<Alone> = Vec::new();
    for (rows, threads) in wanted {
        if !alone.iter().any(|a| (a.rows, a.threads) == (rows, threads)) {
            alone.push(runs.alone(rows, threads)?);
        }
    }
    Ok((one, alone))
}

/// Lets the first rank do something alone, while the others wait.
fn on_first<R>(
    rank: &Arc<Rank>,
    body: impl FnOnce() -> Result<R, Failure>,
) -> Result<Option<R>, Failure> {
    let done = if rank.is_first() { Some(body()?) } else { None };
    rank.all_gather("what the first rank does alone", &[])?;
    Ok(done)
}

/// Everything that was found, compared with one rank.
fn whole(
    asked: &Asked,
    runs: &Runs,
    mut one: Measured,
    alone: &[Alone],
    together: Vec<Together>,
) -> Result<Scaling, Failure> {
    let at = |rows: usize, threads: usize| {
        let found = alone.iter().find(|a| (a.rows, a.threads) == (rows, threads));
        found.map(|a| (a.rows, a.work.clone())).ok_or("one rank was not timed")
    };
    let (batch, half) = (runs.batch, (runs.batch / 2).max(1));
    let work = [at(batch, one.threads)?, at(half, one.threads)?];
    (one.predicted_seconds, one.predicted_hidden) = (work[0].1.work(), 0.0);
    let each = one.images_per_second / one.busy();
    let images = (one.images_per_second * one.seconds).round() as usize;
    let mut measured = vec![one];
    let mut engines = Vec::new();
    for of in together {
        engines.push((of.engine, of.ranks, of.probed));
        measured.extend(of.measured);
    }
    for row in &mut measured {
        row.efficiency = row.images_per_second / row.busy() / each;
    }
    // Both ways of growing begin with one rank, which stands first.
    measured[1..].sort_by_key(|row| (row.scaling == Grows::Weak, row.ranks));
    let links = if asked.links.is_empty() { links() } else { asked.links.clone() };
    let step = asked.step_ms.map(|ms| 1e-3 * ms);
    Ok(Scaling { batch: [batch, images], measured, engines, work, step, links })
}

/// The same, on cores whatever a file says.
fn on_cores(globals: &Globals) -> Globals {
    Globals {
        data: globals.data.clone(),
        threads: globals.threads,
        device: Some(DeviceName::Cpu),
        log: globals.log.clone(),
        leash: globals.leash,
    }
}
