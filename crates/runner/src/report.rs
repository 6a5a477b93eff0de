//! `report.html`: a run, or an ablation, as one page that needs no network and no other file.
//!
//! A page is a function of the files of its folder: the same run gives the same bytes.

mod ablation;
mod charts;
mod figures;
mod frames;
mod grids;
mod histogram;
mod metrics;
mod networks;
mod page;
mod plane;
mod run;

pub(crate) use ablation::ablation_page;
pub(crate) use run::run_page;

/// At most `most` of `n` places, evenly spread from the first to the last.
fn evenly(n: usize, most: usize) -> Vec<usize> {
    match most.min(n) {
        0 => Vec::new(),
        1 => vec![n - 1],
        shown => (0..shown).map(|i| i * (n - 1) / (shown - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept() {
        assert_eq!(evenly(3, 40), [0, 1, 2]);
        assert_eq!(evenly(101, 5), [0, 25, 50, 75, 100]);
        assert_eq!((evenly(7, 1), evenly(0, 4)), (vec![6], vec![]));
    }
}
