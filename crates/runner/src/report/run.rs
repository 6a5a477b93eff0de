//! The page of one run.

use super::charts::{Chart, Line, charts};
use super::figures::{grouped, significant};
use super::frames::{Frame, frames};
use super::grids::grids;
use super::histogram::{Answers, ends};
use super::metrics::{Alarm, Metrics};
use super::networks::{ASKED, LEGS, STEPS, Said, Walk, ask};
use super::page::{self, Png, heading, picture, section};
use crate::cli::Globals;
use crate::command::Failure;
use crate::layers;
use crate::picture::grid::{grid, scale_for};
use crate::progress::span;
use crate::run_dir::{at, require};
use crate::session::experiment;
use crate::state::{State, shown, state};
use maud::{Markup, html};
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use train::{Data, Experiment};

/// Writes `report.html` of a run, over an older one; returns its path.
///
/// # Errors
/// A directory that is no run, files of it that cannot be read, a page that cannot be written. What
/// is merely missing (a checkpoint, the data set) leaves a note in the page.
pub(crate) fn run_page(globals: &Globals, run: &Path) -> Result<PathBuf, Failure> {
    require(run)?;
    let layered = layers::load(&run.join("resolved.yaml"), &[])?;
    let spec = experiment(&layered)?;
    let metrics = Metrics::read(run)?;
    let names = page::title(run)?;
    let alarms = metrics.alarms();
    let said = ask(globals, &spec, run);
    let body = html! {
        header {
            (heading(&names))
            p.about { (about(&spec)) }
            (standing(&state(run)?))
            (key_figures(&spec, &metrics, shown(run)?))
        }
        (alarm_list(&metrics, &alarms))
        (section("samples", "Samples", &samples(run, &spec, &said)?))
        (section("curves", "Training", &curves(&spec, &metrics, &alarms)))
        (section("answers", "D's answers", &answers(&said)))
        (section("yaml", "Experiment", &listing(run, "resolved.yaml")?))
        (section("cost", "Cost", &cost(run)?))
        (section("machine", "Machine", &machine(run)?))
    };
    page::write(run, &names.join("/"), &body)
}

/// An experiment in a line.
fn about(spec: &Experiment) -> String {
    let all = serde_json::to_value(spec).unwrap_or_default();
    // A choice is a word, or one key with its settings.
    let choice = |key: &str| match &all[key] {
        Value::Object(one) => one.keys().next().cloned().unwrap_or_default(),
        other => other.as_str().unwrap_or_default().to_string(),
    };
    let data = match &spec.data {
        Data::Images { set, .. } => set.clone(),
        Data::Gaussian { mean, std } => format!("a normal law of mean {mean}, deviation {std}"),
    };
    let Experiment { k, batch, seed, .. } = spec;
    let parts = [
        format!("{} on {data}", choice("model")),
        format!("{} objective", choice("objective").replace('_', " ")),
        choice("schedule").replace('_', " "),
        format!("k {k}"),
        format!("batch {batch}"),
        format!("seed {seed}"),
    ];
    parts.join(" · ")
}

fn standing(state: &State) -> Markup {
    let (class, told, more) = match state {
        State::Finished => ("good", "finished", None),
        State::Running => ("busy", "running", None),
        State::Interrupted { .. } => ("", "interrupted", Some("duel resume goes on with it")),
        State::Failed { reason } => ("bad", "failed", Some(reason.as_str())),
        State::Fresh => ("", "not begun", None),
    };
    html! { p.state { b.{ (class) } { (told) } @if let Some(more) = more { " " (more) } } }
}

fn key_figures(spec: &Experiment, metrics: &Metrics, kept: u64) -> Markup {
    let images = metrics.last("images").map_or(kept, |images| images as u64);
    let pace: Vec<f64> = metrics.column("images_per_second").iter().map(|p| p.1).collect();
    let mut sorted = pace.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).map(|pace| grouped(pace.round() as u64));
    let time =
        Some(metrics.seconds()).filter(|s| *s > 0.0).map(|s| span(Duration::from_secs_f64(s)));
    let last = |key: &str| metrics.last(key).map(significant);
    let won = spec.objective.optimum().zip(spec.objective.optimum_in_words());
    let won = won.map_or(String::new(), |(v, words)| match significant(v) {
        figure if figure == words => format!("{words} where G has won"),
        figure => format!("{words} is {figure}"),
    });
    let all = [
        ("images shown", Some(grouped(images)), format!("of {}", grouped(spec.images.0))),
        ("V(D, G)", last("value"), won),
        ("D(x)", last("d_real"), String::new()),
        ("D(G(z))", last("d_fake"), String::new()),
        ("diversity", last("diversity"), "1 is the data's".to_string()),
        ("images a second", median, "median".to_string()),
        ("training time", time, String::new()),
    ];
    html! {
        dl.figures {
            @for (name, figure, more) in &all {
                @if let Some(figure) = figure {
                    div { dt { (name) } dd { (figure) @if !more.is_empty() { " " small { (more) } } } }
                }
            }
        }
    }
}

fn alarm_list(metrics: &Metrics, alarms: &[Alarm]) -> Markup {
    let reported = metrics.last("images").is_some();
    let back = metrics.last("rollbacks").unwrap_or(0.0);
    let told = |alarm: &Alarm| match alarm.reports {
        1 => format!("at {} images", grouped(alarm.from)),
        n => format!("{} to {} images, {n} reports", grouped(alarm.from), grouped(alarm.to)),
    };
    html! {
        section.alarms.rang[!alarms.is_empty() || back > 0.0] {
            h2 { "Alarms" }
            @if alarms.is_empty() {
                p { @if reported { "None rang." } @else { "Nothing was reported yet." } }
            } @else {
                ul { @for alarm in alarms { li { b { (meaning(&alarm.name)) } " " (told(alarm)) } } }
            }
            @if back > 0.0 {
                p.note {
                    "An alarm sent the run back to an earlier checkpoint " (back)
                    @if back == 1.0 { " time." } @else { " times." }
                }
            }
        }
    }
}

fn meaning(name: &str) -> String {
    match name {
        "d_wins" => "D wins: fakes no longer have a chance".to_string(),
        "g_collapses" => "G collapses: its samples grow alike".to_string(),
        "loss_stuck" => "The losses are stuck".to_string(),
        other => other.replace('_', " "),
    }
}

fn samples(run: &Path, spec: &Experiment, said: &Result<Said, Failure>) -> Result<Markup, Failure> {
    let images = matches!(spec.data, Data::Images { .. });
    let walk = match said {
        Err(error) => html! { p.note { "No walk through the latent space: " (error) "." } },
        Ok(Said { walk: Some(walk), .. }) => walked(walk)?,
        Ok(_) => html! {},
    };
    let strip = run.join("figure1.png");
    Ok(html! {
        @if !images && strip.is_file() {
            figure.strip tabindex="0" {
                (picture(&Png::read(&strip)?, "Figure 1 of Goodfellow et al. 2014, as training goes"))
                figcaption { "Figure 1 of Goodfellow et al. 2014, as training goes: D dashed, p_data dotted, p_g solid, and below where G sends z." }
            }
        }
        div.pair {
            div {
                h3 { "As training goes" }
                (grids(run, if images { "Samples of the same noise" } else { "Densities" })?)
            }
            @if images { div { h3 { "Between nine points" } (walk) } }
        }
    })
}

fn walked(Walk { pixels, sample: [h, w, c] }: &Walk) -> Result<Markup, Failure> {
    let picture = grid(pixels, LEGS * STEPS, *h, *w, *c, STEPS, scale_for(*h, *w));
    let alt = "G of straight lines between nine points of noise, one leg a row";
    Ok(html! {
        figure.walk {
            (page::picture(&Png::of(&picture)?, alt))
            figcaption { "A straight walk between nine random z: each row ends where the next one begins (DCGAN, figure 4)." }
        }
    })
}

fn curves(spec: &Experiment, metrics: &Metrics, alarms: &[Alarm]) -> Markup {
    let Some(end) = metrics.last("images") else {
        return html! { p.note { "Nothing was reported yet." } };
    };
    let line = |name: &str, colour, key: &str| Line::new(name, colour, metrics.column(key));
    let game = spec.objective;
    let rule = |at: Option<f64>, words: Option<&str>| at.zip(words.map(str::to_string));
    let won = rule(game.optimum(), game.optimum_in_words());
    let half = rule(game.indifference(), Some("1/2"));
    let chart = |title: &str, unit: &str, lines, rules: Option<(f64, String)>| Chart {
        title: title.to_string(),
        unit: unit.to_string(),
        lines,
        rules: rules.into_iter().collect(),
    };
    let losses = vec![line("D", 0, "loss_d"), line("G", 1, "loss_g")];
    let judged = vec![line("D(x)", 0, "d_real"), line("D(G(z))", 1, "d_fake")];
    let even = Some((1.0, "the data's".to_string()));
    charts(
        &[
            chart("Losses", game.unit(), losses, None),
            chart("Value V(D, G)", game.unit(), vec![line("V", 2, "value")], won),
            chart("What D says", "in the mean", judged, half),
            chart("Logit of fakes", "in the mean", vec![line("logit", 1, "logit_fake")], None),
            chart("Diversity", "of samples", vec![line("diversity", 3, "diversity")], even),
            chart("Pace", "images a second", vec![line("pace", 4, "images_per_second")], None),
        ],
        end,
        alarms,
    )
}

fn answers(said: &Result<Said, Failure>) -> Markup {
    let Said { answers, without_data, checkpoints, .. } = match said {
        Ok(said) => said,
        Err(error) => return html! { p.note { "D could not be asked: " (error) "." } },
    };
    let ends = ends(answers);
    let frame = |answers: &Answers| Frame {
        at: format!("{} images", grouped(answers.images)),
        picture: answers.draw(ends),
    };
    let shown: Vec<Frame> = answers.iter().map(frame).collect();
    html! {
        (frames("D's answers", &shown))
        p.note {
            "Shares of " (ASKED) " samples of each kind, judged by the finished network: running statistics, no dropout"
            @if shown.len() < *checkpoints { "; " (shown.len()) " of " (checkpoints) " checkpoints" } "."
        }
        @if let Some(why) = without_data { p.note { "No real samples to ask about: " (why) } }
    }
}

/// A text file of the run.
fn text(run: &Path, name: &str) -> Result<Option<String>, Failure> {
    let path = run.join(name);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => Ok(Some(text.map_err(|e| at(&path, &e))?)),
    }
}

fn listing(run: &Path, name: &str) -> Result<Markup, Failure> {
    let text = text(run, name)?.unwrap_or_default();
    Ok(html! { pre tabindex="0" { (text.trim_end()) } })
}

/// The last lines of the printed programs say what each costs.
fn cost(run: &Path) -> Result<Markup, Failure> {
    let Some(whole) = text(run, "program.txt")? else {
        return Ok(html! { p.note { "There is no program.txt." } });
    };
    let (_, costs) = whole.trim_end().rsplit_once("\n\n").unwrap_or(("", &whole));
    let rows = costs.lines().map(|line| line.split_once(": ").unwrap_or((line, "")));
    Ok(html! {
        table.cost {
            @for (name, parts) in rows {
                tr { th scope="row" { (name) } @for part in parts.split(", ") { td { (part) } } }
            }
        }
        details { summary { "Every operation" } pre tabindex="0" { (whole.trim_end()) } }
    })
}

fn machine(run: &Path) -> Result<Markup, Failure> {
    let Some(text) = text(run, "machine.json")? else {
        return Ok(html! { p.note { "This run did not say what machine it ran on." } });
    };
    let facts: Value = serde_json::from_str(&text)
        .map_err(|e| format!("{}: {e}", run.join("machine.json").display()))?;
    let told = |name: &str, fact: &Value| match fact {
        Value::String(text) => text.clone(),
        Value::Number(bytes) if name == "memory" => {
            format!("{}B", tape::amount(bytes.as_u64().unwrap_or(0)))
        }
        other => other.to_string(),
    };
    Ok(html! {
        dl.facts {
            @for (name, fact) in facts.as_object().into_iter().flatten() {
                div { dt { (name.replace('_', " ")) } dd { (told(name, fact)) } }
            }
        }
    })
}
