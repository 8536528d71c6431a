//! Work of the device that goes over the network before the answer can be given: it brings a file to an FTP or SCP
//! server, or fetches one (SonicOS reference 3.3, 3.4). The device says what is to be carried; `carrier` carries it,
//! without the device's lock; the device then goes on.

/// A file on its way.
#[derive(Debug)]
pub(super) enum Errand {
    /// Put `content` on the server.
    Bring {
        /// As the device was given it, decoded.
        url: String,
        /// The file's name in the folder of `url`; where `url` names a file, that name counts.
        file_name: String,
        content: Vec<u8>,
    },
    /// Get the file of `url`, and go on with it.
    Fetch { url: String, then: Then },
}

/// What a fetched file is for.
#[derive(Debug, Clone)]
pub(super) enum Then {
    /// The certificate of a pending request.
    ImportSigned { alias: String },
    /// A CA certificate.
    ImportAuthority,
    /// A PKCS#12 file.
    ImportKeyPair { alias: String, password: String },
}
