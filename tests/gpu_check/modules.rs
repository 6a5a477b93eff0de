//! Which PTX the driver takes, and how long its compiler works on it.

use crate::arguments::Arguments;
use crate::row::Row;
use crate::stages::Failed;
use serde_json::json;

const STAGE: &str = "modules";

pub fn stage(_: &Arguments) -> Result<(), Failed> {
    let capability = cuda::device(0)?.capability;
    for module in cuda::compile_all(0)? {
        let only = module.name.contains("sm_90a").then_some((9, 0));
        let row = match module.compiled {
            _ if only.is_some_and(|only| only != capability) => {
                Row::skipped(STAGE, module.name, "for cards of capability 9.0 alone")
            }
            Ok(time) => {
                let ms = 1e3 * time.as_secs_f64();
                let figure = format!("{ms:.0} ms, {} kernels", module.kernels);
                Row::pass(STAGE, module.name)
                    .figure(figure)
                    .data(json!({"ms": ms, "kernels": module.kernels}))
            }
            Err(error) => Row::fail(STAGE, module.name, error.to_string()),
        };
        row.say();
    }
    Ok(())
}
