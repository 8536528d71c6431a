//! The two containers of the downloads (purchase API reference 4.5): ZIP without compression, PKCS#7 without signatures.

use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};

/// An archive of these files, stored as they are (APPNOTE 4.3). Dates are those of the format's beginning.
pub(super) fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in files {
        let offset = length(archive.len());
        let common = entry(name, bytes);
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(bytes);
        // Version made by: 2.0.
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = length(archive.len());
    let count = u16::try_from(files.len()).unwrap_or(u16::MAX).to_le_bytes();
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\x00\x00\x00\x00");
    archive.extend(count);
    archive.extend(count);
    archive.extend(length(directory.len()).to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

/// The common part of the two headers of a file: version 2.0, no flags, stored, 1980-01-01, checksum, sizes, no extra.
fn entry(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = vec![0x14, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    header.extend(crc32(bytes).to_le_bytes());
    header.extend(length(bytes.len()).to_le_bytes());
    header.extend(length(bytes.len()).to_le_bytes());
    let name = u16::try_from(name.len()).unwrap_or(u16::MAX);
    header.extend(name.to_le_bytes());
    header.extend([0; 2]);
    header
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| {
        if sum & 1 == 1 {
            (sum >> 1) ^ 0xedb8_8320
        } else {
            sum >> 1
        }
    };
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), step)
    })
}

/// A bag of certificates (RFC 2315 9.1): signed data without content and signers.
pub(super) fn pkcs7(certificates: &[Vec<u8>]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            write_oid(writer.next(), &[1, 2, 840, 113_549, 1, 7, 2]);
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_u8(1);
                    writer.next().write_set(|_| {});
                    writer.next().write_sequence(|writer| {
                        write_oid(writer.next(), &[1, 2, 840, 113_549, 1, 7, 1]);
                    });
                    writer
                        .next()
                        .write_tagged_implicit(Tag::context(0), |writer| {
                            writer.write_sequence(|writer| {
                                for certificate in certificates {
                                    writer.next().write_der(certificate);
                                }
                            });
                        });
                    writer
                        .next()
                        .write_tagged_implicit(Tag::context(1), |writer| writer.write_set(|_| {}));
                    writer.next().write_set(|_| {});
                });
            });
        });
    })
}

fn write_oid(writer: DERWriter<'_>, components: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(components));
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_checksum_is_the_one_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
