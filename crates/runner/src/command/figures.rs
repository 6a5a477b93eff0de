//! What commands that measure leave: a picture, and rows of JSON where they are asked for.

use super::{Failure, print};
use crate::aside::Aside;
use crate::picture::png;
use image::RgbImage;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where they go.
pub(super) struct Places<'a> {
    picture: PathBuf,
    json: Option<&'a Path>,
}

impl<'a> Places<'a> {
    /// As `--out` and `--json` say; the picture is `runs/<experiment>/<name>` by default.
    ///
    /// # Errors
    /// A picture that is no PNG; one file for both.
    pub fn of(
        experiment: &Path,
        name: &str,
        out: Option<&Path>,
        json: Option<&'a Path>,
    ) -> Result<Self, Failure> {
        let beside_runs = || {
            let stem = experiment.file_stem().unwrap_or(experiment.as_os_str());
            Path::new("runs").join(stem).join(name)
        };
        let picture = out.map_or_else(beside_runs, Path::to_path_buf);
        let told = picture.display();
        if picture.extension().is_none_or(|e| e != "png") {
            return Err(format!("--out {told}: expected a name that ends in .png").into());
        }
        if json == Some(&picture) {
            return Err(format!("--json {told}: the picture goes there (`--out`)").into());
        }
        Ok(Self { picture, json })
    }

    /// Makes the files: what cannot be written is told before anything is measured.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(self) -> Result<Figures, Failure> {
        let picture = Aside::create(&self.picture)?;
        let json = self.json.map(Aside::create).transpose()?;
        Ok(Figures { place: self.picture, picture, json })
    }
}

/// The files, not yet under their names.
pub(super) struct Figures {
    place: PathBuf,
    picture: Aside,
    json: Option<Aside>,
}

impl Figures {
    /// Fills the files, and prints where the picture is.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep(mut self, picture: &RgbImage, rows: &[Value]) -> Result<(), Failure> {
        self.picture.write_all(&png(picture)?)?;
        self.picture.commit()?;
        if let Some(mut json) = self.json {
            writeln!(json, "{}", serde_json::to_string_pretty(rows)?)?;
            json.commit()?;
        }
        print(self.place.display());
        Ok(())
    }
}
