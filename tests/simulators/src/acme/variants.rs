//! Every switch of the server: details that RFC 8555 leaves open, and faults. Sections without a name are of RFC 8555.

use std::net::SocketAddr;

use crate::switch::{choices, variants};

choices! {
    /// The last part of a problem's type (6.7; RFC 9773 7.4; profiles: draft-ietf-acme-profiles 6).
    ProblemType {
        /// The account is unknown.
        AccountDoesNotExist = "accountDoesNotExist",
        /// The certificate has its successor already.
        AlreadyReplaced = "alreadyReplaced",
        /// The CSR cannot be certified.
        BadCsr = "badCSR",
        /// The nonce is used or unknown.
        BadNonce = "badNonce",
        /// The key of the signature is not supported.
        BadPublicKey = "badPublicKey",
        /// The algorithm of the signature is not supported.
        BadSignatureAlgorithm = "badSignatureAlgorithm",
        /// CAA records forbid it.
        Caa = "caa",
        /// The server of the challenge cannot be reached.
        Connection = "connection",
        /// DNS has no answer.
        Dns = "dns",
        /// An account with the CA must be bound.
        ExternalAccountRequired = "externalAccountRequired",
        /// The proof is wrong.
        IncorrectResponse = "incorrectResponse",
        /// The profile is not offered.
        InvalidProfile = "invalidProfile",
        /// The request is not understood.
        Malformed = "malformed",
        /// Not all names are proved.
        OrderNotReady = "orderNotReady",
        /// Too many.
        RateLimited = "rateLimited",
        /// The CA does not certify this name.
        RejectedIdentifier = "rejectedIdentifier",
        /// The server has a problem of its own.
        ServerInternal = "serverInternal",
        /// TLS failed during validation.
        Tls = "tls",
        /// Not allowed.
        Unauthorized = "unauthorized",
        /// The contact is not a mail address.
        UnsupportedContact = "unsupportedContact",
        /// A kind of name that the CA does not certify.
        UnsupportedIdentifier = "unsupportedIdentifier",
        /// The subscriber must visit a page.
        UserActionRequired = "userActionRequired",
        /// A type that is not registered.
        NeverHeardOf = "neverHeardOf",
    }
}

variants! {
    // Signatures and nonces.
    /// Of so many good nonces the last is refused with badNonce (6.5); 0: none is.
    bad_nonce_every: u32 = 7,

    // The directory.
    /// The server has renewalInfo, and orders may name the certificate that they replace (RFC 9773 4, 5).
    ari_offered: bool = true,
    /// The directory lists the profiles of the settings (draft-ietf-acme-profiles 3).
    profiles_offered: bool = true,
    /// Objects have members that no RFC defines.
    unknown_members: bool = true,
    /// Members that decide nothing are odd: `expires` is empty or of the year 1, `error` a text, the URL of an
    /// unused challenge is empty (Posh-ACME #611, smallstep/certificates #92, win-acme #2747).
    odd_members: bool = false,
    /// URLs are relative to the one that was called, also in Location (certbot #434; RFC 3986 5.1.3).
    relative_urls: bool = false,

    // Accounts.
    /// newAccount wants termsOfServiceAgreed (7.3).
    terms_required: bool = true,
    /// newAccount wants externalAccountBinding (7.3.4).
    external_account_required: bool = false,
    /// newAccount of an unknown key ends with this problem.
    new_account_refused: Option<ProblemType> = None,

    // Orders.
    /// newOrder ends with this problem.
    new_order_refused: Option<ProblemType> = None,
    /// newOrder fails with this problem when it names the certificate that it replaces (RFC 9773 5).
    replaces_refused: Option<ProblemType> = None,
    /// finalize ends with this problem, and the order stays ready.
    finalize_refused: Option<ProblemType> = None,
    /// Retry-After of these refusals, in seconds; unset: none.
    refused_retry_after: Option<u32> = Some(36),
    /// Names may be addresses (RFC 8738).
    addresses_offered: bool = true,
    /// A valid authorization of the same account is good for the next order too (7.1.4).
    authorizations_reused: bool = false,
    /// newOrder of the same account, names and profile gives the order that is still open, as Boulder does (CA rules reference
    /// 5).
    orders_reused: bool = false,
    /// Each order requires control over this name as well, which the client did not request.
    authorizes_also: Option<String> = None,
    /// This number of requests for each new order, authorization and certificate return "not found": a server behind
    /// a load balancer, where not every server has the object yet (cert-manager #8939).
    unknown_looks: u32 = 0,
    /// Looks at an order that see it pending although all its authorizations are valid.
    ready_polls: u32 = 0,
    /// Looks at an order that see it processing; with 0 finalize itself answers with valid.
    processing_polls: u32 = 1,
    /// An order becomes invalid with this problem instead of being issued.
    order_fails: Option<ProblemType> = None,
    /// Orders in process have an unknown status.
    unknown_status: bool = false,
    /// Retry-After of objects that are not final yet, in seconds (7.4, 7.5.1); unset: none.
    poll_retry_after: Option<u32> = Some(1),
    /// Every Retry-After is an HTTP-date, by the server's clock.
    retry_after_as_date: bool = false,
    /// Lifetime of every certificate in seconds; unset: the lifetime of its profile.
    lifetime_seconds: Option<u32> = None,

    // Validation.
    /// http-01 is among the challenges (8.3).
    http_01_offered: bool = true,
    /// dns-01 is among the challenges (8.4).
    dns_01_offered: bool = true,
    /// dns-persist-01 is among the challenges, which has no token and which this server never validates.
    unknown_challenge: bool = true,
    /// Every challenge succeeds without a validation.
    always_valid: bool = false,
    /// Every validation ends with this problem.
    validation_fails: Option<ProblemType> = None,
    /// Port on 127.0.0.1 that stands for port 80 of every name (8.3).
    http_port: u16 = 5002,
    /// DNS server that is queried for TXT records, over UDP (8.4); unset: the records given by tests.
    dns_server: Option<SocketAddr> = None,
    /// How often a proof is looked at, one look after another, as a CA with several vantage points does.
    vantage_points: u32 = 3,
    /// Looks at an authorization, its challenges or its order that see it pending after a challenge was answered.
    validation_polls: u32 = 1,

    // Renewal information.
    /// Page that explains the window (RFC 9773 4.2); unset: none.
    explanation: Option<String> = None,
    /// Retry-After of renewal information, in seconds (RFC 9773 4.3); unset: none.
    ari_retry_after: Option<u32> = Some(21600),
}

impl Variants {
    /// Nothing is refused, late or new. Challenges are validated once.
    pub fn kind() -> Self {
        Self {
            bad_nonce_every: 0,
            unknown_members: false,
            processing_polls: 0,
            poll_retry_after: None,
            unknown_challenge: false,
            vantage_points: 1,
            validation_polls: 0,
            ..Self::default()
        }
    }

    /// Everything is late, and every third nonce is refused.
    pub fn unkind() -> Self {
        Self {
            bad_nonce_every: 3,
            ready_polls: 2,
            processing_polls: 3,
            retry_after_as_date: true,
            validation_polls: 3,
            ..Self::default()
        }
    }
}
