//! Digests of texts.

use sha2::{Digest, Sha256};

/// SHA-256 of a text's bytes, in lower-case hexadecimal, as `sha256sum` prints it.
pub fn sha256_hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
