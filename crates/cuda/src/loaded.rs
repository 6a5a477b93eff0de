//! A tape on a device: memory, kernels, and a graph for each program.

use crate::arrive::Arrivals;
use crate::builder::Builder;
use crate::error::{CudaError, Doing};
use crate::executor::Settings;
use crate::gpu::{Block, Gpu};
use crate::kernels::Kernels;
use crate::launch::Launch;
use crate::place::{ALIGN, LANDINGS, Places, inputs, landing_bytes};
use crate::program::{Issue, Recorded, Step};
use crate::ring::Ring;
use crate::tensor::Tensor;
use crate::weights::Copies;
use crate::{arms, plan};
use cudarc::driver::{CudaEvent, CudaGraph, result};
use std::collections::{BTreeMap, BTreeSet};
use tape::{Compiled, Fusion, Listing, Node, Options, T, Tape};

/// A tape, ready to run.
pub(crate) struct Loaded {
    pub graphs: Vec<Option<CudaGraph>>,
    pub kernels: Kernels,
    pub programs: Vec<Recorded>,
    pub events: Vec<Vec<CudaEvent>>,
    pub arrivals: BTreeMap<T, Arrivals>,
    pub ring: Ring,
    /// Makes a buffer's copies anew.
    pub fresh: BTreeMap<T, Launch>,
    /// Buffers whose copies are old.
    pub stale: BTreeSet<T>,
    /// By program, step and result: looks whether the result is finite.
    pub finite: Vec<Vec<Vec<Launch>>>,
    pub compiled: Compiled,
    pub places: Places,
    pub world: u32,
    // Last: everything above may still be in use until the streams are waited for.
    _block: Block,
}

impl Loaded {
    /// Plans, allocates, hands PTX to the driver, and captures every program.
    pub fn new(
        gpu: &Gpu,
        settings: &Settings,
        tape: &Tape,
        options: &Options,
    ) -> Result<Self, CudaError> {
        let Settings { precision, capture, collective, .. } = settings;
        if options.fusion == Fusion::All || options.narrow != precision.options().narrow {
            let found = format!("a tape compiled by {options:?} on a device in {precision:?}");
            return Err(CudaError::Misuse(found));
        }
        if let Some(ranks) = collective.as_ref().filter(|ranks| ranks.world() != tape.world()) {
            let found = format!("a tape for {} ranks among {}", tape.world(), ranks.world());
            return Err(CudaError::Misuse(found));
        }
        let compiled = tape.compile(options);
        let card = gpu.card();
        let needed = plan::bytes(&compiled, *precision, card, collective.is_some())?;
        let block = Block::zeroed(gpu, needed)?;
        let world = tape.world() as u32;

        let copies = Copies::new(&compiled, precision.math());
        let places = Places::new(block.at, &compiled, &copies);
        let copies = copies.at(places.copies);
        let fresh = plan::casts(&compiled, &places, &copies);
        for (table, rows) in plan::tables(&places, &copies) {
            // SAFETY: the region of tables holds these rows.
            unsafe { result::memcpy_htod_sync(table, &rows) }.doing("writing tables")?;
        }
        let settings = (card, precision.math(), world, collective.is_some());
        let mut b = Builder::new(&compiled, &places, &copies, settings);
        let mut programs = Vec::with_capacity(compiled.programs.len());
        for listing in &compiled.programs {
            programs.push(Recorded::new(&mut b, listing, &copies, |root| fresh[&root].clone())?);
        }
        let look = |&t: &T| arms::finite(b.tensor(t), Tensor::f32(places.flag, 1));
        let of_step =
            |nodes: &[Node], step: &Step| nodes[step.node].outs.iter().map(look).collect();
        let of_program = |(listing, recorded): (&Listing, &Recorded)| {
            recorded.steps.iter().map(|step| of_step(&listing.nodes, step)).collect()
        };
        let finite: Vec<Vec<Vec<Launch>>> =
            compiled.programs.iter().zip(&programs).map(of_program).collect();
        let launches = programs.iter().flat_map(Recorded::launches);
        let launches = launches.chain(fresh.values()).chain(finite.iter().flatten().flatten());
        let kernels = Kernels::load(launches)?;

        let mut events = Vec::new();
        let mut graphs = Vec::new();
        for (recorded, listing) in programs.iter().zip(&compiled.programs) {
            let own = (0..Issue::events_of(recorded)).map(|_| gpu.event());
            let own = own.collect::<Result<Vec<_>, _>>()?;
            let issue =
                Issue { gpu, kernels: &kernels, collective: collective.as_deref(), events: &own };
            let empty = recorded.steps.is_empty();
            graphs.push(match capture {
                true if !empty => Some(issue.capture(recorded, &listing.name)?),
                _ => None,
            });
            events.push(own);
        }
        let arrivals = arrivals(gpu, &compiled, &places)?;
        let stale = copies.tables.keys().copied().collect();
        let ring = Ring::new(gpu)?;
        tracing::debug!(device = gpu.found.name, bytes = needed, "loaded");
        Ok(Self {
            graphs,
            kernels,
            programs,
            events,
            arrivals,
            ring,
            fresh,
            stale,
            finite,
            compiled,
            places,
            world,
            _block: block,
        })
    }
}

/// The way of each input.
fn arrivals(
    gpu: &Gpu,
    compiled: &Compiled,
    places: &Places,
) -> Result<BTreeMap<T, Arrivals>, CudaError> {
    const { assert!(LANDINGS == 2, "two ways") };
    let mut landing = places.landings;
    let mut arrivals = BTreeMap::new();
    for (t, bytes) in inputs(compiled) {
        let ways = [landing, landing + landing_bytes(compiled)];
        let to = places.tensor(compiled, t).at;
        arrivals.insert(t, Arrivals::new(gpu, ways, to, bytes as usize)?);
        landing += bytes.next_multiple_of(ALIGN);
    }
    Ok(arrivals)
}
