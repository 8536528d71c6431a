//! The nouns: what is to be kept renewed, what was seen of it, and the renewals under way. No I/O.

pub mod certificate;
pub mod due;
pub mod limit;
pub mod probe_schedule;
pub mod renewal;
pub mod rest;
pub mod served;
pub mod standstill;
pub mod tracked;

pub use certificate::{Endpoint, KeyOrigin, ManagedCertificate, RenewalPolicy, Service, Urgent};
pub use limit::{Budget, RateLimit};
pub use renewal::{Intent, Obtained, OrderBasis, Renewal, RenewalId, SealedKey, State, cause};
pub use rest::Rest;
pub use served::{AddressProblem, Condition, Observation, Served, Unknown, Unreachable};
pub use standstill::{DecisionKind, Standstill, WaitReason};
pub use tracked::{
    RenewalWindow, ReportedCondition, ServedCertificate, TrackedCertificate, TrackedFirewall,
};
