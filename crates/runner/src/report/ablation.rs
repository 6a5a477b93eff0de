//! The page of an ablation: its table, the variants' curves in one plane, their samples side by side.

use super::charts::{COLOURS, Chart, Line, charts};
use super::figures::significant;
use super::metrics::Metrics;
use super::page::{self, Png, heading, picture, section};
use crate::ablation::table::{self, Cell, RECORD, Row, Table};
use crate::command::Failure;
use crate::run_dir::{at, pictures};
use maud::{Markup, html};
use std::fs;
use std::path::{Path, PathBuf};

/// Figures that are drawn besides those that are compared.
const ALSO: [&str; 6] = ["value", "d_real", "d_fake", "diversity", "loss_d", "loss_g"];

/// Bytes of all pictures; beyond them only the first seeds are shown.
const BYTES: usize = 8_000_000;

/// Writes `report.html` of an ablation, over an older one; returns its path.
///
/// # Errors
/// A folder that is no ablation's, files of it that cannot be read, a page that cannot be written.
pub(crate) fn ablation_page(folder: &Path) -> Result<PathBuf, Failure> {
    let table = table::read(folder)?;
    let names = page::title(folder)?;
    let runs: usize = table.rows.iter().map(|row| row.runs.len()).sum();
    let failed: usize = table.rows.iter().map(|row| row.failures.len()).sum();
    let body = html! {
        header {
            (heading(&names))
            p.state {
                b { (table.name) } " "
                (table.rows.len()) " variants, " (runs) " runs"
                @if failed > 0 { ", " b.bad { (failed) " failed" } }
            }
        }
        (section("result-table", "Result", &result(&table)))
        @if failed > 0 { (section("failures", "Failures", &failures(&table))) }
        (section("curves", "Training", &curves(&table)?))
        (section("last-samples", "Samples at the end", &samples(folder, &table)?))
        (section("yaml", "What was asked", &asked(folder)?))
    };
    page::write(folder, &names.join("/"), &body)
}

/// A figure of the log in words.
fn called(key: &str) -> String {
    match key {
        "value" => "V(D, G)".to_string(),
        "d_real" => "D(x)".to_string(),
        "d_fake" => "D(G(z))".to_string(),
        "loss_d" => "D's loss".to_string(),
        "loss_g" => "G's loss".to_string(),
        "logit_fake" => "logit of fakes".to_string(),
        other => other.replace('_', " "),
    }
}

fn result(table: &Table) -> Markup {
    html! {
        div.wide tabindex="0" {
            table.result {
                thead { tr { th scope="col" { "variant" } @for key in &table.columns { th scope="col" { (called(key)) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            th scope="row" { (row.variant) @if row.variant == table.reference { br; small { "reference" } } }
                            @for cell in &row.cells { td { (figure(cell)) } }
                        }
                    }
                }
            }
        }
        p.note {
            "Means over seeds ± standard error; below, the paired difference to " b { (table.reference) }
            " over the same seeds, in bold where it is more than two standard errors."
        }
    }
}

fn figure(cell: &Cell) -> Markup {
    let Some(mean) = cell.mean else { return html! { "–" } };
    let error = |error: f64| format!(" ± {}", significant(rounded(error)));
    html! {
        (significant(mean)) @if let Some(e) = cell.error.filter(|e| e.is_finite()) { (error(e)) }
        @if let Some([difference, of]) = cell.difference {
            br;
            small.clear[of.is_finite() && difference.abs() > 2.0 * of] {
                @if difference > 0.0 { "+" } (significant(difference))
                @if of.is_finite() { (error(of)) }
            }
        }
    }
}

/// Two digits are all that a standard error deserves.
fn rounded(error: f64) -> f64 {
    format!("{error:.1e}").parse().unwrap_or(error)
}

fn failures(table: &Table) -> Markup {
    html! {
        ul {
            @for row in &table.rows {
                @for failure in &row.failures { li { b { (row.variant) } ", " (failure) } }
            }
        }
    }
}

fn curves(table: &Table) -> Result<Markup, Failure> {
    let mut logs = Vec::new();
    for row in &table.rows {
        logs.push(row.runs.iter().map(|run| Metrics::read(run)).collect::<Result<Vec<_>, _>>()?);
    }
    let ends = logs.iter().flatten().filter_map(|log| log.last("images"));
    let end = ends.fold(0.0, f64::max);
    if end == 0.0 {
        return Ok(html! { p.note { "Nothing was reported yet." } });
    }
    let mut keys: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    keys.extend(ALSO.iter().filter(|key| !table.columns.iter().any(|c| c == *key)));
    let chart = |key: &&str| {
        let line = |(i, row): (usize, &Row)| {
            let all: Vec<_> = logs[i].iter().map(|log| log.column(key)).collect();
            let shadows = if all.len() > 1 { all.clone() } else { Vec::new() };
            Line { shadows, ..Line::new(&row.variant, i % (2 * COLOURS), mean(&all)) }
        };
        let lines = table.rows.iter().enumerate().map(line).collect();
        Chart { title: called(key), lines, ..Chart::default() }
    };
    let all: Vec<Chart> = keys.iter().map(chart).collect();
    Ok(html! {
        (charts(&all, end, &[]))
        @if logs.iter().any(|logs| logs.len() > 1) {
            p.note { "Means over the seeds of a variant, as far as all of them have come; each seed faintly." }
        }
    })
}

/// The mean over runs, as far as all of them report at the same images.
fn mean(runs: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let begun: Vec<_> = runs.iter().filter(|run| !run.is_empty()).collect();
    let Some(first) = begun.first() else { return Vec::new() };
    let at = |i: usize| {
        let points = begun.iter().map(|run| run.get(i).filter(|p| p.0 == first[i].0));
        let points = points.collect::<Option<Vec<_>>>()?;
        Some((first[i].0, points.iter().map(|p| p.1).sum::<f64>() / begun.len() as f64))
    };
    (0..first.len()).map_while(at).collect()
}

/// The last picture of each run; of a grid its first quarter, so that one can see the samples.
fn samples(folder: &Path, table: &Table) -> Result<Markup, Failure> {
    let mut rows = Vec::new();
    for row in &table.rows {
        let mut seeds = Vec::new();
        for run in &row.runs {
            seeds.push((run, last_picture(run)?));
        }
        rows.push((row, seeds));
    }
    let bytes: usize =
        rows.iter().flat_map(|(_, s)| s).filter_map(|s| s.1.as_ref()).map(Png::len).sum();
    let most = rows.iter().map(|(_, seeds)| seeds.len()).max().unwrap_or(0);
    let shown = if bytes > BYTES { (most * BYTES / bytes).max(1) } else { most };
    Ok(html! {
        div.last style={ "--n:" (shown) } {
            @for (row, seeds) in &rows {
                div {
                    h3 { (row.variant) }
                    div.seeds {
                        @for (run, png) in seeds.iter().take(shown) {
                            figure {
                                @match png {
                                    Some(png) => { (picture(png, &format!("Last samples of {}, {}", row.variant, name(run)))) },
                                    None => { p.note { "no samples" } },
                                }
                                figcaption { (link(folder, run)) }
                            }
                        }
                    }
                }
            }
        }
        @if shown < most { p.note { "The first " (shown) " of " (most) " seeds." } }
    })
}

fn last_picture(run: &Path) -> Result<Option<Png>, Failure> {
    if !run.join("samples").is_dir() {
        return Ok(None);
    }
    let Some((_, path)) = pictures(run)?.pop() else { return Ok(None) };
    let whole = page::open(&path)?;
    // A figure of densities has its numbers beside it; it is shown as it is.
    if path.with_extension("json").is_file() {
        return Ok(Some(Png::of(&whole)?));
    }
    let (width, height) = (whole.width().div_ceil(2), whole.height().div_ceil(2));
    let quarter = image::imageops::crop_imm(&whole, 0, 0, width, height).to_image();
    Ok(Some(Png::of(&quarter)?))
}

fn name(run: &Path) -> String {
    run.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A link to the run's own page, if it has one.
fn link(folder: &Path, run: &Path) -> Markup {
    let page = run.join("report.html");
    match page.strip_prefix(folder) {
        Ok(relative) if page.is_file() => {
            let parts: Vec<String> =
                relative.iter().map(|part| encoded(&part.to_string_lossy())).collect();
            html! { a href={ "./" (parts.join("/")) } { (name(run)) } }
        }
        _ => html! { (name(run)) },
    }
}

/// A name as it stands in a link.
fn encoded(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    name.bytes()
        .map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn asked(folder: &Path) -> Result<Markup, Failure> {
    let mut texts = Vec::new();
    for name in ["ablation.yaml", RECORD] {
        let path = folder.join(name);
        if path.is_file() {
            texts.push((name, fs::read_to_string(&path).map_err(|e| at(&path, &e))?));
        }
    }
    Ok(html! {
        @for (i, (name, text)) in texts.iter().enumerate() {
            @if i == 0 { pre tabindex="0" { (text.trim_end()) } }
            @else { details { summary { (name) } pre tabindex="0" { (text.trim_end()) } } }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_go_as_far_as_all_runs() {
        let runs =
            [vec![(10.0, 1.0), (20.0, 2.0), (30.0, 3.0)], vec![(10.0, 3.0), (20.0, 6.0)], vec![]];
        assert_eq!(mean(&runs), [(10.0, 2.0), (20.0, 4.0)]);
        assert_eq!(mean(&[vec![(10.0, 1.0)], vec![(12.0, 1.0)]]), []);
        assert_eq!(mean(&[]), []);
    }

    #[test]
    fn links_are_encoded() {
        assert_eq!(encoded("no norm"), "no%20norm");
        assert_eq!(encoded("a\"<ü"), "a%22%3C%C3%BC");
        assert_eq!([0.012_345, 3.0].map(rounded), [0.012, 3.0]);
    }
}
