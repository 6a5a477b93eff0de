//! Tables for people: without lines, as wide as the terminal, in its colours unless `NO_COLOR` is set.
//! Where no terminal looks on, nothing is wrapped and nothing is coloured.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// An empty table; its `width` is that of the terminal, if there is one.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    let width = table.width().filter(|width| *width > 0);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    fit(&mut table, width);
    table
}

/// Makes a table without lines, `width` columns wide or as wide as it comes.
pub(crate) fn fit(table: &mut Table, width: Option<u16>) {
    table.load_style(NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
}
