//! The answers of a name server with any input: the body of a fuzz target. The message itself is read by hickory.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::Name;

use super::Data;
use super::lookup::value;

/// A message: a name in it can be read again and has one spelling, and there is no more text than came.
pub fn dns(data: &[u8]) {
    let Ok(message) = Message::from_vec(data) else {
        return;
    };
    for value in message
        .answers
        .iter()
        .filter_map(|record| value(&record.data))
    {
        match value {
            Data::Txt(text) => assert!(text.len() <= data.len()),
            Data::Cname(name) => {
                assert!(
                    name.is_ascii() && !name.contains(char::is_uppercase),
                    "{name}"
                );
                assert!(!name.chars().any(char::is_control), "{name:?}");
                // hickory does not read every escape that it writes; what is so called cannot be followed.
                let is_escaped = name.is_empty() || name.contains('\\');
                assert!(is_escaped || Name::from_ascii(&name).is_ok(), "{name}");
            }
        }
    }
}
