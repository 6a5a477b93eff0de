//! `duel profile`: where the time of an iteration goes.

use super::{Ended, Failure, print};
use crate::aside::Aside;
use crate::bar::Bar;
use crate::cli::{Globals, Profile as Asked};
use crate::layers;
use crate::picture::png;
use crate::profile::{Profile, ceiling, measure};
use crate::session::{Need, Session};
use crate::target::Purpose;
use cpu::Speed;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) fn run(globals: &Globals, asked: &Asked) -> Result<Ended, Failure> {
    let file = &asked.experiment.file;
    let out = asked.out.clone().unwrap_or_else(|| beside_runs(file));
    if out.extension().is_none_or(|e| e != "png") {
        return Err(format!("--out {}: expected a name that ends in .png", out.display()).into());
    }
    if asked.json.as_ref() == Some(&out) {
        return Err(format!("--json {}: the picture goes there (`--out`)", out.display()).into());
    }
    let layered = layers::load(file, &asked.experiment.sets)?;
    let session = Session::open(&layered, globals, Need::Extents, Purpose::Begin)?;
    let recorded = session.record();
    session.check_memory(&session.compile(&recorded))?;
    // What cannot be written is told before anything is measured.
    let mut picture = Aside::create(&out)?;
    let json = asked.json.as_deref().map(Aside::create).transpose()?;

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
    picture.write_all(&png(&profile.picture(&title)?)?)?;
    picture.commit()?;
    if let Some(mut json) = json {
        let rows = serde_json::to_string_pretty(&profile.rows())?;
        writeln!(json, "{rows}")?;
        json.commit()?;
    }
    print(out.display());
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

/// `runs/<experiment>/roofline.png`
fn beside_runs(file: &Path) -> PathBuf {
    let name = file.file_stem().unwrap_or(file.as_os_str());
    Path::new("runs").join(name).join("roofline.png")
}
