//! Images and copies in other types.
