//! The switches with more than two positions. The meaning of each switch is documented in `variants.rs`.

use crate::switch::choices;

choices! {
    /// Form of `error.message` when fields are wrong (3).
    ErrorMessage {
        /// Field -> list of objects with message and code.
        Nested = "nested",
        /// One text.
        Plain = "plain",
        /// Field -> list of texts.
        Texts = "texts",
    }
}

choices! {
    /// The answer for a deleted order (4.2).
    DeletedAs {
        /// It is not found any more.
        Gone = "gone",
        /// Status "cancelled".
        Cancelled = "cancelled",
        /// Status "deleted".
        Deleted = "deleted",
    }
}

choices! {
    /// How the filter `client_reference` compares (6).
    ReferenceMatch {
        /// The whole text.
        Exact = "exact",
        /// A part of it.
        Partial = "partial",
        /// Not at all: everything is listed.
        Ignored = "ignored",
    }
}

choices! {
    /// Spelling of keys (4.6).
    Spelling {
        /// `dnsRecord`
        Camel = "camel",
        /// `dns_record`
        Snake = "snake",
    }
}

choices! {
    /// Shape of validation-details (4.6).
    DetailsForm {
        /// As the service that is probably behind this one.
        Xolphin = "xolphin",
        /// An undocumented status.
        Strange = "strange",
    }
}

choices! {
    /// Whether DCV records carry a unique value (5).
    UniqueValue {
        /// Never.
        Never = "never",
        /// When the key was used in an earlier order.
        WhenReused = "when_reused",
        /// Always.
        Always = "always",
    }
}

choices! {
    /// A download before there is a certificate (4.5).
    PendingDownload {
        /// An error object.
        Error = "error",
        /// 404 without a body.
        NotFound = "not_found",
        /// An empty file.
        Empty = "empty",
        /// A page for people, as a file.
        Html = "html",
    }
}
