//! Pictures of several moments in one place, chosen with a slider.

use maud::{Markup, html};

/// One moment.
pub(super) struct Frame {
    /// Which, such as `30,016 images`.
    pub at: String,
    pub picture: Markup,
}

/// All moments, the last one shown. Without a script the page shows them all.
pub(super) fn frames(name: &str, all: &[Frame]) -> Markup {
    let last = all.len().saturating_sub(1);
    html! {
        div.frames {
            @if all.len() > 1 {
                div.controls hidden {
                    button.play type="button" aria-label={ "Play: " (name) } { "▶" }
                    input type="range" min="0" max=(last) value=(last) aria-label={ (name) ", by images shown" };
                    output { (all[last].at) }
                }
            }
            @for frame in all {
                div.frame data-at=(frame.at) {
                    p.moment { (frame.at) }
                    (frame.picture)
                }
            }
        }
    }
}
