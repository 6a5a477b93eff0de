//! The one typeface of the pictures, carried in the binary.

use plotters::style::{FontStyle, register_font};
use std::sync::Once;

/// The name under which plotters finds it.
pub const FAMILY: &str = "duel";

/// Makes the typeface known to plotters; once is enough, more often is harmless.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let registered =
            register_font(FAMILY, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        // The bytes are part of the binary, so this cannot depend on the machine.
        assert!(registered.is_ok(), "the embedded typeface is a valid font");
    });
}
