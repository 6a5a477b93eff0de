//! The columns of a shard, for its writer and its reader alike.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `image` | fixed-size list of uint8, extension `arrow.fixed_shape_tensor` | height × width × channels |
//! | `label` | int32 | the class |
//! | `key` | utf8 | where the image was in the original |

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use serde::{Deserialize, Serialize};

/// The canonical extension type of `image`: Arrow columnar format, "Canonical extension types".
const TENSOR: &str = "arrow.fixed_shape_tensor";
const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";

/// The metadata of the extension type. Without a permutation the layout is row-major in `shape`.
#[derive(Serialize, Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    dim_names: Option<Vec<String>>,
}

/// The element of the list in column `image`.
pub(crate) fn item() -> FieldRef {
    Arc::new(Field::new("item", DataType::UInt8, false))
}

/// The schema of a shard of images of `shape` (height, width, channels); none if an image is larger than
/// a list can be.
pub(crate) fn schema(shape: [usize; 3]) -> Option<Schema> {
    let bytes = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    let list = DataType::FixedSizeList(item(), i32::try_from(bytes).ok()?);
    let tensor = Tensor {
        shape: shape.to_vec(),
        dim_names: Some(["H", "W", "C"].map(String::from).to_vec()),
    };
    let metadata = HashMap::from([
        (EXTENSION_NAME.to_string(), TENSOR.to_string()),
        (EXTENSION_METADATA.to_string(), serde_json::to_string(&tensor).ok()?),
    ]);
    Some(Schema::new(vec![
        Field::new("image", list, false).with_metadata(metadata),
        Field::new("label", DataType::Int32, false),
        Field::new("key", DataType::Utf8, false),
    ]))
}

/// The image shape that a shard's own schema states, if it states one.
pub(crate) fn stated_shape(schema: &Schema) -> Option<Vec<usize>> {
    let metadata = schema.field_with_name("image").ok()?.metadata();
    metadata.get(EXTENSION_NAME).filter(|name| *name == TENSOR)?;
    let tensor: Tensor = serde_json::from_str(metadata.get(EXTENSION_METADATA)?).ok()?;
    Some(tensor.shape)
}

/// `name: type` of each column: what must agree, and what messages say.
pub(crate) fn columns(schema: &Schema) -> String {
    let column = |f: &FieldRef| {
        format!("{}: {}{}", f.name(), f.data_type(), if f.is_nullable() { "?" } else { "" })
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}
