//! The switches of a SonicWall with more than two positions.
//! The meaning of each switch is documented in `variants.rs`.

use crate::switch::choices;

choices! {
    /// Whether a variant is offered.
    Offer {
        /// Not offered.
        Off = "off",
        /// Offered beside the plain one.
        Allowed = "allowed",
        /// The only one.
        Enforced = "enforced",
    }
}

choices! {
    /// On which ports something is so.
    On {
        /// On none.
        Neither = "neither",
        /// On the management port.
        Management = "management",
        /// On the SSL VPN port.
        SslVpn = "ssl_vpn",
        /// On both.
        Both = "both",
    }
}

choices! {
    /// How a write without configuration mode fails (1.4).
    NonConfigMode {
        /// 405 "Non config mode".
        NonConfigMode405 = "non_config_mode_405",
        /// 400 "Not allowed in current mode".
        NotAllowed400 = "not_allowed_400",
    }
}

choices! {
    /// Body of an exported request (3.3).
    CsrForm {
        /// `BEGIN CERTIFICATE REQUEST`.
        Pem = "pem",
        /// `BEGIN NEW CERTIFICATE REQUEST`.
        NewPem = "new_pem",
        /// The PEM text as one JSON string.
        JsonString = "json_string",
        /// The PEM text as a value in a JSON object.
        JsonObject = "json_object",
        /// DER.
        Der = "der",
    }
}

choices! {
    /// The fault of an exported request.
    Tampering {
        /// Nothing.
        Nothing = "nothing",
        /// It contains other names, with the right key.
        Names = "names",
        /// It contains another alternate name only.
        AlternateName = "alternate_name",
        /// It contains another common name only.
        Subject = "subject",
        /// It contains the right names, with another key.
        Key = "key",
        /// Its key is of another type.
        KeyType = "key_type",
        /// Its key is of the right type and another size.
        KeySize = "key_size",
        /// Its self-signature is broken.
        Signature = "signature",
    }
}

choices! {
    /// How files are accepted (3.4).
    ImportForm {
        /// As the raw body.
        Raw = "raw",
        /// As a file part of multipart/form-data.
        Multipart = "multipart",
        /// As the part `certificate.exp` of multipart/form-data, whose file name stands in the query too.
        Named = "named",
        /// Either.
        Both = "both",
    }
}

choices! {
    /// How the form that is not accepted is refused (3.4 leaves it open).
    WrongForm {
        /// "Invalid certificate format".
        Format = "format",
        /// The code of a call that is not known (1.5).
        UnknownCall = "unknown_call",
    }
}

choices! {
    /// How PKCS#12 files are accepted (3.6).
    KeyPairForm {
        /// As the raw body, the password in the path.
        Path = "path",
        /// As a file part of multipart/form-data, the password in another part.
        Multipart = "multipart",
        /// Either.
        Both = "both",
        /// Only by transfer, or not at all.
        Neither = "neither",
    }
}

choices! {
    /// Which encryption of PKCS#12 files is known.
    KeyPairEncryption {
        /// All of them.
        Any = "any",
        /// The ciphers of RFC 7292 C: 3DES and RC2 with SHA-1.
        LegacyOnly = "legacy_only",
        /// PBES2 only, for instance AES-256.
        ModernOnly = "modern_only",
    }
}

choices! {
    /// How a password encrypted with the device's public key is padded (1.1, 1.2).
    PublicKeyPadding {
        /// This login is not offered.
        Off = "off",
        /// PKCS#1 v1.5.
        Pkcsv15 = "pkcsv15",
        /// OAEP with SHA-256 as hash and in MGF1.
        OaepSha256 = "oaep-sha256",
    }
}

choices! {
    /// Whether the device hands out its own specification (1.1).
    Specification {
        /// It does not.
        Off = "off",
        /// As JSON.
        Json = "json",
    }
}

choices! {
    /// Spelling of dates (3.2 leaves it open).
    DateForm {
        /// `Nov 22 03:01:45 2026 GMT`
        Gmt = "gmt",
        /// `2026-11-22T03:01:45Z`
        Iso = "iso",
        /// `11/22/2026 03:01:45`
        Slashes = "slashes",
        /// `Sun Nov 22 03:01:45 2026`
        Weekday = "weekday",
    }
}

choices! {
    /// The answer to `GET /config/pending` (2 leaves it open).
    PendingForm {
        /// A JSON object with the changed paths; `{}` when there are none.
        Paths = "paths",
        /// The status envelope with `cli.pending_config`.
        Status = "status",
        /// One CLI line per change.
        Text = "text",
        /// A text: that changes are there, or that none are.
        Sentence = "sentence",
        /// The same in the message of an envelope.
        Message = "message",
        /// An envelope whose message is the sentence when there are changes, and "Success." when there are none.
        MessageOrSuccess = "message_or_success",
        /// The sentence when there are changes, and an empty body when there are none.
        SentenceOrEmpty = "sentence_or_empty",
        /// `{"pending_config": true}` or `false`.
        Flag = "flag",
        /// How many changes there are, in words.
        Count = "count",
        /// The same with the author. All clients of the API log in as one user.
        Author = "author",
        /// A list of CLI lines.
        List = "list",
        /// The changed paths beside an envelope.
        PathsInEnvelope = "paths_in_envelope",
        /// Nothing at all, whether there are changes or not.
        Silent = "silent",
        /// Bytes that are no text, whether there are changes or not.
        Garbage = "garbage",
    }
}

choices! {
    /// How a call names the server of a file (3.3 to 3.5, 9: only one is accepted).
    TransferSpelling {
        /// `PUT .../name/NAME/ftp/URL`.
        Put = "put",
        /// `POST ...-ftp/name/NAME/url/URL/`.
        Post = "post",
        /// None: only the command line can do it.
        CliOnly = "cli_only",
    }
}

choices! {
    /// In which protocols the device is a client (3.3).
    TransferProtocols {
        /// FTP and SCP.
        Both = "both",
        /// SCP is unknown.
        FtpOnly = "ftp_only",
        /// FTP is unknown.
        ScpOnly = "scp_only",
        /// SCP is known, tried, and fails.
        ScpBroken = "scp_broken",
    }
}

choices! {
    /// The target of the URL of an export (3.3).
    UrlForm {
        /// The folder; anything else is refused.
        Folder = "folder",
        /// The file; a folder is refused.
        File = "file",
        /// Either.
        Both = "both",
    }
}

choices! {
    /// The format of a file that the device uploads (3.3 leaves it open).
    P10Form {
        /// PEM.
        Pem = "pem",
        /// DER.
        Der = "der",
    }
}

choices! {
    /// The name of a file that the device brings (3.3).
    P10Name {
        /// The alias alone.
        Alias = "alias",
        /// The alias and `.p10`.
        AliasP10 = "alias_p10",
        /// The same in capital letters.
        Capitals = "capitals",
        /// The alias and `.csr`.
        AliasCsr = "alias_csr",
        /// Another name.
        Other = "other",
    }
}

choices! {
    /// Which side opens the data connection of FTP, and how it is negotiated (RFC 959, RFC 2428).
    FtpMode {
        /// `PASV`.
        Passive = "passive",
        /// `EPSV`.
        ExtendedPassive = "extended_passive",
        /// `PORT`.
        Active = "active",
        /// `EPRT`.
        ExtendedActive = "extended_active",
    }
}

choices! {
    /// The algorithms of the SSH client of the device.
    ScpAlgorithms {
        /// Current algorithms.
        Modern = "modern",
        /// `diffie-hellman-group14-sha1` and the like only.
        Old = "old",
    }
}
