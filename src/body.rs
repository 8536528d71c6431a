//! Reads the body of a peer's answer within limits: on its bytes, on the number of values in the document, and on the
//! memory of all answers together. It does not interpret the bytes.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body that grows chunk by chunk.
#[derive(Debug)]
pub struct Intake {
    bytes: Vec<u8>,
    weight: usize,
    held: Option<OwnedSemaphorePermit>,
    limits: Limits,
    memory: Arc<Semaphore>,
}

/// What one body may have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Its length.
    pub bytes: usize,
    /// The memory that it may take once it is read as JSON, estimated by its structure; `None` for what is not read.
    pub weight: Option<usize>,
}

/// A share of the memory that all bodies together may take. It is given back when the last copy is dropped.
#[derive(Debug, Clone, Default)]
#[allow(dead_code, reason = "it is held, not used")]
pub struct Share(Option<Arc<OwnedSemaphorePermit>>);

/// Why a body is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// It has more bytes than an honest one.
    #[error("the answer is longer than {0} bytes")]
    Long(usize),
    /// It would become more values than an honest one.
    #[error("the answer holds more values than any that is documented")]
    Dense,
    /// Other answers take all the memory that there is for them.
    #[error("too many large answers at the same time: the memory for them is used up")]
    Memory,
}

impl Limits {
    /// An answer of a peer that has accepted our login, or that requires no login.
    pub const USUAL: Self = Self {
        bytes: 8 << 20,
        weight: Some(24 << 20),
    };
    /// An answer before the login.
    pub const STRANGER: Self = Self {
        bytes: 256 << 10,
        weight: Some(4 << 20),
    };
}

impl Intake {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            bytes: Vec::new(),
            weight: 0,
            held: None,
            limits,
            memory: Arc::clone(&MEMORY),
        }
    }

    /// Takes in `chunk`, or nothing of it.
    pub fn take(&mut self, chunk: &[u8]) -> Result<(), Excess> {
        if self.bytes.len() + chunk.len() > self.limits.bytes {
            return Err(Excess::Long(self.limits.bytes));
        }
        self.weight += match self.limits.weight {
            Some(_) => weight(chunk),
            None => chunk.len(),
        };
        if self.limits.weight.is_some_and(|most| self.weight > most) {
            return Err(Excess::Dense);
        }
        self.reserve()?;
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The whole body.
    pub fn finish(self) -> (Vec<u8>, Share) {
        (self.bytes, Share(self.held.map(Arc::new)))
    }

    fn reserve(&mut self) -> Result<(), Excess> {
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let counted = self.weight.saturating_sub(FREE).div_ceil(UNIT);
        let missing = counted.saturating_sub(held);
        let missing = u32::try_from(missing).map_err(|_| Excess::Memory)?;
        if missing == 0 {
            return Ok(());
        }
        let more = Arc::clone(&self.memory).try_acquire_many_owned(missing);
        let more = more.map_err(|_| Excess::Memory)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

/// The memory that JSON of these bytes takes at most, roughly. Quotes are not followed: where a string begins depends on
/// which lines before the document a lenient reader skips.
pub fn weight(bytes: &[u8]) -> usize {
    let of = |byte: &u8| match byte {
        // A node of a map, which has room for eleven members.
        b'{' => 704,
        // The first elements of a list.
        b'[' => 160,
        // An element of a list that doubles its room when it is full; a line of a text.
        b',' | b'\n' => 96,
        // The allocation of a key.
        b':' => 64,
        // Half of that of a text.
        b'"' => 17,
        _ => 1,
    };
    bytes.iter().map(of).sum()
}

/// The memory for all bodies, and for what is read from them.
static MEMORY: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(ALL_BYTES / UNIT)));
const ALL_BYTES: usize = 48 << 20;
/// Smaller bodies are not counted, so peers with large answers cannot starve the others.
const FREE: usize = 128 << 10;
/// Bytes of a permit.
const UNIT: usize = 1 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn intake(limits: Limits, memory: &Arc<Semaphore>) -> Intake {
        Intake {
            memory: Arc::clone(memory),
            ..Intake::new(limits)
        }
    }

    #[test]
    fn a_body_is_refused_as_soon_as_it_is_too_long_and_the_chunk_is_not_kept() {
        let memory = Arc::new(Semaphore::new(1 << 20));
        let limits = Limits {
            bytes: 10,
            weight: None,
        };
        let mut body = intake(limits, &memory);
        body.take(b"12345").unwrap();
        assert_eq!(body.take(b"678901"), Err(Excess::Long(10)));
        assert_eq!(body.finish().0, b"12345");
    }

    #[test]
    fn a_document_of_countless_small_values_is_refused_before_it_is_read() {
        for unit in [
            "a\n",
            "{\"\":0},",
            "[],",
            "0,",
            "\"\",",
            "{},",
            "\"a\":{",
            "[[",
            "{\"a\":",
        ] {
            let mut body = Intake::new(Limits::STRANGER);
            let chunk = unit.repeat(1024);
            let taken =
                std::iter::repeat_with(|| body.take(chunk.as_bytes())).find_map(Result::err);
            assert!(
                matches!(taken, Some(Excess::Dense | Excess::Long(_))),
                "{unit}"
            );
        }
        // As many members as a firewall with a thousand certificates lists.
        let row = r#"{"certificate":"fw-hq-2026-11-30-ab12cd","type":"Local certificate","validated":"yes","expire":"Nov 30 10:00:00 2027 GMT"},"#;
        let mut body = Intake::new(Limits::USUAL);
        body.take(row.repeat(1000).as_bytes()).unwrap();
    }

    #[test]
    fn all_bodies_together_take_no_more_than_there_is_and_give_it_back() {
        let memory = Arc::new(Semaphore::new(10));
        let limits = Limits {
            bytes: 1 << 20,
            weight: None,
        };
        let mut first = intake(limits, &memory);
        first.take(&vec![b'x'; FREE + (6 << 10)]).unwrap();
        let (_, share) = first.finish();
        let copy = share.clone();
        let mut second = intake(limits, &memory);
        second.take(&vec![b'x'; FREE + (4 << 10)]).unwrap();
        assert_eq!(second.take(b"x"), Err(Excess::Memory));
        drop(share);
        assert_eq!(second.take(b"x"), Err(Excess::Memory));
        let mut small = intake(limits, &memory);
        small.take(&vec![b'x'; FREE]).unwrap();
        drop(copy);
        second.take(b"x").unwrap();
    }
}
