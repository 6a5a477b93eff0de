//! From a device to a checkpoint and back.

use crate::checkpoint::{Checkpoint, CheckpointError, Header, Saved};
use crate::identity::difference;
use crate::{Experiment, Progress, Recorded, Watch, reals};
use tape::{Device, DeviceError};

/// Gives the device a state that leaves another rank's as it is when the two are added up: −0, since
/// `x + −0` has the bits of x, and `−0 + 0` has not.
pub(crate) fn blank(recorded: &Recorded, device: &mut dyn Device) -> Result<(), DeviceError> {
    let tape = &recorded.tape;
    for (_, t) in tape.saved() {
        reals::write(device, t, std::iter::repeat_n(-0.0, tape.shape(t).len()))?;
    }
    Ok(())
}

impl Checkpoint {
    /// Everything that `device` holds of a run, with its counters, what is kept outside
    /// (`[position of the source, lines of the logs]`) and what was seen of it.
    ///
    /// # Errors
    /// The device's.
    pub fn save(
        spec: &Experiment,
        recorded: &Recorded,
        device: &mut dyn Device,
        progress: Progress,
        outside: [u64; 2],
        watch: &Watch,
    ) -> Result<Self, DeviceError> {
        let tape = &recorded.tape;
        let mut tensors = Vec::new();
        for (name, t) in tape.saved() {
            tensors.push(Saved {
                name,
                shape: tape.shape(t).dims().to_vec(),
                bytes: reals::read_bytes(tape, device, t)?,
            });
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let hashes = [spec.hash(), recorded.hash()];
        Ok(Self {
            header: Header::new(progress, outside, watch.clone(), spec.to_json(), hashes),
            real_bytes: device.real_bytes(),
            tensors,
            origin: None,
        })
    }

    /// Gives the device the state of the run, once all of it is known to fit.
    ///
    /// # Errors
    /// Those of [`Checkpoint::check`], and the device's.
    pub fn restore(
        &self,
        spec: &Experiment,
        recorded: &Recorded,
        device: &mut dyn Device,
    ) -> Result<(), CheckpointError> {
        self.check(spec, recorded, device.real_bytes())?;
        for (name, t) in recorded.tape.saved() {
            let saved = self.tensors.iter().find(|saved| saved.name == name);
            device.write(t, &saved.expect("the check has found it").bytes)?;
        }
        Ok(())
    }

    /// Refuses an experiment that cannot go on from here, with numbers of `real_bytes`. Nothing is
    /// touched, so this can be asked before a log is cut back.
    ///
    /// # Errors
    /// Another experiment, another program, tensors that are missing, too many or of other extents.
    pub fn check(
        &self,
        spec: &Experiment,
        recorded: &Recorded,
        real_bytes: usize,
    ) -> Result<(), CheckpointError> {
        let path = || match &self.origin {
            Some(path) => path.display().to_string(),
            None => "the checkpoint".to_string(),
        };
        let configuration = difference(&self.header.configuration, &spec.to_json());
        if let Some([key, saved, wanted]) = configuration {
            return Err(CheckpointError::Configuration { path: path(), key, saved, wanted });
        }
        let program = format!("{:016x}", recorded.hash());
        if self.header.program != program {
            return Err(CheckpointError::Program {
                path: path(),
                saved_by: self.header.version.clone(),
                saved: self.header.program.clone(),
                version: env!("CARGO_PKG_VERSION").to_string(),
                wanted: program,
            });
        }
        let tape = &recorded.tape;
        let told = |real: usize, shape: &[usize]| format!("f{} {shape:?}", 8 * real);
        let wanted = tape.saved();
        for (name, t) in &wanted {
            let expected = told(real_bytes, tape.shape(*t).dims());
            let saved = self.tensors.iter().find(|saved| saved.name == *name);
            let found = saved.map(|saved| told(self.real_bytes, &saved.shape));
            if found.as_ref() != Some(&expected) {
                let found = found.unwrap_or_else(|| "nothing".to_string());
                let tensor = name.clone();
                return Err(CheckpointError::Tensor { path: path(), tensor, found, expected });
            }
        }
        let known = |saved: &&Saved| wanted.iter().any(|(name, _)| *name == saved.name);
        if let Some(extra) = self.tensors.iter().find(|saved| !known(saved)) {
            return Err(CheckpointError::Tensor {
                path: path(),
                tensor: extra.name.clone(),
                found: told(self.real_bytes, &extra.shape),
                expected: "nothing of this name".to_string(),
            });
        }
        Ok(())
    }

    /// The experiment that wrote it.
    ///
    /// # Errors
    /// A configuration that this version does not know.
    pub fn experiment(&self) -> Result<Experiment, serde_json::Error> {
        serde_json::from_value(self.header.configuration.clone())
    }
}
