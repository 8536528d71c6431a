//! Proof by a record in the DNS.

mod settings;

pub use settings::{
    Algorithm, AzureEnvironment, OvhEndpoint, Propagation, Provider, Settings, Transport,
};
