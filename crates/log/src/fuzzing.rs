//! What only fuzzers call: ways in to what is private.

/// Reads a chunk whose checksum was found right and whose content may be anything.
pub fn decode_chunk(content: &[u8]) {
    let Ok(data) = zstd::bulk::compress(content, 1) else { return };
    if let Ok(decoded) = crate::chunk::decode(&data, content.len() as u64) {
        for span in &decoded.spans {
            let end = span.start as usize + span.key_len as usize + span.payload_len as usize;
            assert!(end <= decoded.data.len() && (span.header_set as usize) < decoded.header_sets.len());
        }
    }
    // And bytes that were never compressed.
    let _ = crate::chunk::decode(content, 1 << 16);
}
