//! Reads of an object what is asked for, some megabytes at a time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::Shared;
use crate::archive::store::{StoreError, StoredFile};

/// Read with the first request: the footer, of most files.
const TAIL_BYTES: u64 = 128 << 10;

/// Read with one request: a column of a row group is about that much.
const BLOCK_BYTES: u64 = 1 << 20;

/// Blocks held. A reader goes through one column after the other, or through two.
const HELD_BLOCKS: usize = 4;

/// An object that is being read.
#[derive(Debug)]
pub(super) struct Object {
    shared: Arc<Shared>,
    path: String,
    key: Key,
    size: u64,
    tail: Bytes,
    /// Newest last.
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Object {
    /// Asks for its size and its end.
    pub fn open(shared: &Arc<Shared>, path: &str) -> Result<Object, StoreError> {
        let key = shared.key(path)?;
        let options = GetOptions { range: Some(GetRange::Suffix(TAIL_BYTES)), ..GetOptions::default() };
        let asked = async {
            let answer = shared.client.get_opts(&key, options).await?;
            let size = answer.meta.size;
            Ok((size, answer.bytes().await?))
        };
        let (size, tail) = shared.ask(path, asked)?;
        let (shared, path) = (Arc::clone(shared), path.to_owned());
        Ok(Object { shared, path, key, size, tail, blocks: Mutex::default() })
    }

    fn block(&self, number: u64) -> Result<Bytes, StoreError> {
        let held = |blocks: &VecDeque<(u64, Bytes)>| {
            blocks.iter().find(|(held, _)| *held == number).map(|(_, bytes)| bytes.clone())
        };
        let lock = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = held(&lock()) {
            return Ok(bytes);
        }
        let start = number * BLOCK_BYTES;
        let end = self.size.min(start + BLOCK_BYTES);
        let bytes = self.shared.ask(&self.path, self.shared.client.get_range(&self.key, start..end))?;
        let mut blocks = lock();
        if blocks.len() == HELD_BLOCKS {
            blocks.pop_front();
        }
        blocks.push_back((number, bytes.clone()));
        Ok(bytes)
    }
}

impl StoredFile for Object {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if position >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let tail_start = self.size - self.tail.len() as u64;
        let (bytes, start) = if position >= tail_start {
            (self.tail.clone(), position - tail_start)
        } else {
            let block = self.block(position / BLOCK_BYTES).map_err(io::Error::other)?;
            (block, position % BLOCK_BYTES)
        };
        let from = bytes.get(start as usize..).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

/// Paths of all objects below the prefix.
pub(super) async fn list(
    client: &impl ObjectStore,
    prefix: Option<&Key>,
) -> object_store::Result<Vec<String>> {
    let objects = client.list(prefix);
    let within = prefix.map_or(0, |prefix| prefix.as_ref().len() + 1);
    objects.map_ok(|object| object.location.as_ref()[within..].to_owned()).try_collect().await
}
