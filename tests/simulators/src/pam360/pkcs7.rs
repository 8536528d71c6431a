//! A bag of certificates: signed data without signatures (RFC 2315 9.1).

use yasna::Tag;
use yasna::models::ObjectIdentifier;

/// The bag, DER.
pub(super) fn bag(certificates: &[Vec<u8>]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer
                .next()
                .write_oid(&ObjectIdentifier::from_slice(SIGNED_DATA));
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_u8(1);
                    writer.next().write_set(|_| {});
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(DATA));
                    });
                    writer
                        .next()
                        .write_tagged_implicit(Tag::context(0), |writer| {
                            writer.write_set(|writer| {
                                for certificate in certificates {
                                    writer.next().write_der(certificate);
                                }
                            });
                        });
                    writer.next().write_set(|_| {});
                });
            });
        });
    })
}

const DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];
const SIGNED_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 2];
