//! Faults of a certificate or of its chain that the CA itself does not notice.

use crate::rng::Rng;
use crate::switch::choices;

choices! {
    /// The fault of a signed certificate.
    Mischief {
        /// Nothing.
        Nothing = "nothing",
        /// It certifies another key than the request's.
        WrongKey = "wrong_key",
        /// It has no subject alternative names.
        DropNames = "drop_names",
        /// It is a CA certificate.
        CaTrue = "ca_true",
        /// It is for another name.
        WrongName = "wrong_name",
        /// It ended before it was signed.
        Expired = "expired",
        /// It was valid for 85 days when it was signed, and ends in five.
        Backdated = "backdated",
        /// It ends 72 minutes after it was signed.
        EndsSoon = "ends_soon",
        /// It is for TLS clients only.
        ClientAuthOnly = "client_auth_only",
    }
}

choices! {
    /// The fault of the list of a leaf and its CAs.
    ChainMischief {
        /// Nothing: as the CA is documented to send it.
        Nothing = "nothing",
        /// In an order that depends on the seed and is never the right one.
        Shuffled = "shuffled",
        /// The root is there, also where this CA leaves it out.
        WithRoot = "with_root",
        /// The root is not there, also where this CA sends it.
        WithoutRoot = "without_root",
        /// The list contains the certificate of an unrelated CA.
        WithStranger = "with_stranger",
        /// The leaf is not there.
        WithoutLeaf = "without_leaf",
    }
}

/// The certificates of one delivery, leaf first, root last.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) leaf: &'a [u8],
    /// Nearest first, ending in the root.
    pub(super) above: Vec<Vec<u8>>,
    /// Whether this CA sends the root.
    pub(super) with_root: bool,
    pub(super) stranger: &'a [u8],
}

impl Delivery<'_> {
    /// The list as the CA sends it.
    pub(super) fn arrange(mut self, mischief: ChainMischief, rng: &mut Rng) -> Vec<Vec<u8>> {
        let with_root = match mischief {
            ChainMischief::WithRoot => true,
            ChainMischief::WithoutRoot => false,
            _ => self.with_root,
        };
        if !with_root {
            self.above.pop();
        }
        let mut list: Vec<_> = std::iter::once(self.leaf.to_vec())
            .chain(self.above)
            .collect();
        match mischief {
            ChainMischief::Shuffled => shuffle(&mut list, rng),
            ChainMischief::WithStranger => list.insert(1, self.stranger.to_vec()),
            ChainMischief::WithoutLeaf => drop(list.remove(0)),
            _ => {}
        }
        list
    }
}

/// Every rotation but the identity puts every certificate in a wrong place.
fn shuffle(list: &mut [Vec<u8>], rng: &mut Rng) {
    let wrong_places = u64::try_from(list.len()).unwrap_or_default().max(2) - 1;
    let by = 1 + usize::try_from(rng.next() % wrong_places).unwrap_or_default();
    list.rotate_left(by.min(list.len()));
}
