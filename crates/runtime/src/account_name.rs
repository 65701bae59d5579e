//! Names of files as accounts keep them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as text. One that is UTF-8 stays as it is; of any other the bytes that are not, and `%`,
/// are written `%XX`, so that two names which differ in such bytes only stay two.
pub fn account_name(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    if let Ok(name) = std::str::from_utf8(bytes) {
        return name.to_owned();
    }
    let mut name = String::with_capacity(bytes.len() + 8);
    for piece in bytes.utf8_chunks() {
        name.push_str(&piece.valid().replace('%', "%25"));
        for byte in piece.invalid() {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn names_that_are_not_text_stay_apart() {
        let name = |bytes: &[u8]| account_name(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name("täglich 100%.csv".as_bytes()), "täglich 100%.csv");
        assert_eq!(name(b"caf\xe9.csv"), "caf%E9.csv");
        assert_eq!(name(b"caf\xe8%.csv"), "caf%E8%25.csv");
    }
}
