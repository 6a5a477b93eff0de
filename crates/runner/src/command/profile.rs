//! `duel profile`: where the time of an iteration goes.

use super::{Ended, Failure, print};
use crate::aside::Aside;
use crate::bar::Bar;
use crate::cli::{Globals, Profile as Asked};
use crate::layers;
use crate::picture::png;
use crate::profile::{Profile, measure};
use crate::session::{Need, Session};
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
    let session = Session::open(&layered, globals, Need::Extents)?;
    // What cannot be written is told before anything is measured.
    let mut picture = Aside::create(&out)?;
    let json = asked.json.as_deref().map(Aside::create).transpose()?;

    let real = session.real_bytes();
    let pool = cpu::pool(globals.threads)?;
    let before = cpu::speed(&pool, real);
    let times = session.on_device(globals, |device| {
        let mut bar = Bar::new("iterations");
        let told = |done, of| bar.update("profile", done, of);
        let times = measure(&session.spec, &session.record(), device, asked.steps, told)?;
        bar.finish();
        Ok(times)
    })?;
    let ceiling = before.max(cpu::speed(&pool, real));
    let profile = Profile::new(&times, ceiling, real);

    print(&profile);
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
    let plural = if globals.cores() == 1 { "" } else { "s" };
    let title = format!("{name}: {} thread{plural}", globals.cores());
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

/// `runs/<experiment>/roofline.png`
fn beside_runs(file: &Path) -> PathBuf {
    let name = file.file_stem().unwrap_or(file.as_os_str());
    Path::new("runs").join(name).join("roofline.png")
}
