//! What each node takes alone, on a device that does nothing else.

use super::Cuda;
use crate::error::Doing;
use crate::program::Issue;
use cudarc::driver::sys;
use std::time::Duration;
use tape::{DeviceError, Program};

impl Cuda {
    /// Times each node of a program by itself: a graph of `repeats` runs of it, one behind the other, is
    /// replayed twice, and the second time counts. One duration for each of [`tape::Listing::nodes`], none
    /// for views. Between kernels of a graph the device waits for nothing but them, so a replayed
    /// program takes the sum of these and what is lost between different kernels.
    ///
    /// What the nodes read is what the last program left; what they leave behind is no state to go on
    /// from: load again.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn time_nodes(
        &mut self,
        program: Program,
        clock: &tape::Clock,
        repeats: usize,
    ) -> Result<Vec<Duration>, DeviceError> {
        self.begin(program, clock)?;
        let Self { loaded, settings, gpu } = self;
        let loaded = loaded.as_ref().expect("`begin` looked");
        let collective = settings.collective.as_deref();
        let issue = Issue { gpu, kernels: &loaded.kernels, collective, events: &[] };
        let nodes = &loaded.compiled.program(program).nodes;
        let mut times = vec![Duration::ZERO; nodes.len()];
        for step in &loaded.programs[program.0].steps {
            let again = || (0..repeats).try_for_each(|_| issue.step(step));
            let graph = issue.captured(nodes[step.node].op.name(), again)?;
            graph.launch().doing("timing")?;
            let timed = || {
                use sys::CUevent_flags::CU_EVENT_DEFAULT;
                gpu.main.record_event(Some(CU_EVENT_DEFAULT)).doing("timing")
            };
            let begun = timed()?;
            graph.launch().doing("timing")?;
            let ms = begun.elapsed_ms(&timed()?).doing("timing")?;
            times[step.node] = Duration::from_secs_f64(f64::from(ms) / 1000.0 / repeats as f64);
        }
        Ok(times)
    }

    /// Waits for everything that was started.
    ///
    /// # Errors
    /// What went wrong in it.
    pub fn synchronize(&self) -> Result<(), DeviceError> {
        self.gpu.bind()?;
        Ok(self.gpu.wait()?)
    }
}
