//! Checksums of rows: each covers the row's key and every value, so that a row that was changed,
//! or that stands in for another, is noticed when it is read.

use crate::{LogGap, LogIdentity};

/// CRC-32 over values that cannot run into each other: texts have their length before them.
struct RowSum(crc32fast::Hasher);

impl RowSum {
    fn of(table: &str) -> RowSum {
        RowSum(crc32fast::Hasher::new()).text(table)
    }

    fn text(mut self, value: &str) -> RowSum {
        self.0.update(&(value.len() as u64).to_le_bytes());
        self.0.update(value.as_bytes());
        self
    }

    fn number(mut self, value: u64) -> RowSum {
        self.0.update(&value.to_le_bytes());
        self
    }

    fn finish(self) -> u32 {
        self.0.finalize()
    }
}

pub(super) fn identity_sum(identity: &LogIdentity, created_at_ms: i64) -> u32 {
    RowSum::of("log_identity").text(&identity.id).number(identity.epoch).number(created_at_ms as u64).finish()
}

pub(super) fn gap_sum(topic: &str, gap: &LogGap) -> u32 {
    RowSum::of("log_gaps")
        .text(topic)
        .number(gap.partition.into())
        .number(gap.from.0)
        .number(gap.to.0)
        .number(gap.epoch)
        .number(gap.at_ms as u64)
        .finish()
}

pub(super) fn partition_sum(topic: &str, partition: u32, first: u64, next: u64) -> u32 {
    RowSum::of("partitions").text(topic).number(partition.into()).number(first).number(next).finish()
}

pub(super) fn source_sum(source: &str, position: u64, updated_at_ms: i64) -> u32 {
    RowSum::of("sources").text(source).number(position).number(updated_at_ms as u64).finish()
}

/// Where a chunk's records belong, in bytes: its CRC covers them after the data.
pub(super) struct ChunkPlace<'a> {
    pub topic: &'a str,
    pub partition: u32,
    pub base_offset: u64,
    pub records: u64,
    pub raw_bytes: u64,
    pub appended_at_ms: i64,
}

impl ChunkPlace<'_> {
    /// Continues from the CRC over the data, which can be computed before the place is known.
    pub fn sum(&self, data_crc32: u32) -> u32 {
        RowSum(crc32fast::Hasher::new_with_initial(data_crc32))
            .text(self.topic)
            .number(self.partition.into())
            .number(self.base_offset)
            .number(self.records)
            .number(self.raw_bytes)
            .number(self.appended_at_ms as u64)
            .finish()
    }
}
