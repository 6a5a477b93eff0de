//! `duel profile`: where the time of an iteration goes.

use super::figures::Places;
use super::{Ended, Failure, print};
use crate::bar::Bar;
use crate::cli::{Globals, Profile as Asked};
use crate::layers;
use crate::profile::{Profile, ceiling, measure};
use crate::session::{Need, Session};
use crate::target::Purpose;
use cpu::Speed;

pub(crate) fn run(globals: &Globals, asked: &Asked) -> Result<Ended, Failure> {
    let file = &asked.experiment.file;
    let places = Places::of(file, "roofline.png", asked.out.as_deref(), asked.json.as_deref())?;
    let layered = layers::load(file, &asked.experiment.sets)?;
    let session = Session::open(&layered, globals, Need::Extents, Purpose::Begin)?;
    let recorded = session.record();
    session.check_memory(&session.compile(&recorded))?;
    let figures = places.create()?;

    let (spec, target, options) = (&session.spec, &session.target, session.target.options());
    let before = best(&session, globals)?;
    let times = session.on_device(move |device| {
        let mut bar = Bar::new("iterations");
        let told = |done, of| bar.update("profile", done, of);
        let times = measure(spec, &recorded, device, &options, asked.steps, told)?;
        bar.finish();
        Ok(times)
    })?;
    let ceiling = before.max(best(&session, globals)?);
    let profile = Profile::new(&times, ceiling, target.real_bytes());

    print(&profile);
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
    let title = format!("{name}: {}", target.told(globals));
    figures.keep(&profile.picture(&title)?, &profile.rows())?;
    Ok(Ended::Done)
}

/// What the device reaches at best, in the type of the run.
fn best(session: &Session, globals: &Globals) -> Result<Speed, Failure> {
    let target = &session.target;
    if target.gpu().is_none() {
        return Ok(cpu::speed(&*cpu::pool(globals.threads)?, target.real_bytes()));
    }
    let options = target.options();
    session.on_device(|device| Ok(ceiling(device, &options)?))
}
