//! What a run needs before there is a device to run it on.

use crate::arms::{self, Segment};
use crate::builder::{Builder, Card};
use crate::error::CudaError;
use crate::launch::Launch;
use crate::place::Places;
use crate::precision::Precision;
use crate::program::Recorded;
use crate::weights::Copies;
use std::collections::BTreeMap;
use tape::{Compiled, Op, T};

/// Bytes of device memory that a compiled tape takes: its plan, copies of weights, landing places of
/// inputs, and what kernels work with. What the driver takes for itself is left out. `collective` tells
/// whether there is a communicator; several ranks will have one.
///
/// # Errors
/// A tape that cannot be run.
pub fn bytes(
    compiled: &Compiled,
    precision: Precision,
    card: Card,
    collective: bool,
) -> Result<usize, CudaError> {
    let mut nodes = compiled.programs.iter().flat_map(|program| &program.nodes);
    let collective =
        collective || nodes.any(|node| matches!(node.op, Op::AllReduce { world: 2.. }));
    let copies = Copies::new(compiled, precision.math());
    let places = Places::new(0, compiled, &copies);
    let copies = copies.at(places.copies);
    let fresh = casts(compiled, &places, &copies);
    let settings = (card, precision.math(), 1, collective);
    let mut b = Builder::new(compiled, &places, &copies, settings);
    for listing in &compiled.programs {
        Recorded::new(&mut b, listing, &copies, |root| fresh[&root].clone())?;
    }
    Ok((places.workspace + b.workspace) as usize)
}

/// For each buffer with copies, the launch that makes them anew.
pub(crate) fn casts(compiled: &Compiled, places: &Places, copies: &Copies) -> BTreeMap<T, Launch> {
    let roots = copies.tables.keys();
    let cast = |(&root, (table, segments)): (&T, (u64, Vec<Segment>))| {
        (root, arms::cast(places.tensor(compiled, root), copies.all(), table, &segments))
    };
    roots.zip(tables(places, copies)).map(cast).collect()
}

/// The tables of [`Copies::tables`], in their order, with their addresses.
pub(crate) fn tables(places: &Places, copies: &Copies) -> Vec<(u64, Vec<Segment>)> {
    let mut at = places.tables;
    let mut tables = Vec::new();
    for segments in copies.tables.values() {
        tables.push((at, segments.clone()));
        at += size_of_val(&segments[..]) as u64;
    }
    tables
}
