//! The fields of challenges and credentials: `name=value`, separated by commas.
