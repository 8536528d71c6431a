//! `driver.exec`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Key, OrderBudget, Placed, default};

/// An outside program that speaks the contract of certmonger's enrollment helpers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecCa {
    /// The program, an absolute path. It is run without a shell, as the user that renewd runs as.
    #[schemars(required, extend("x-hint" = "for example: program = \"/usr/lib/certmonger/local-submit\""))]
    pub program: Key<String>,
    /// Its arguments, as they are.
    #[schemars(extend("default" = []))]
    pub arguments: Key<Vec<Placed<String>>>,
    /// Its environment besides the variables of the contract, each as "NAME=value". No secrets: have the program read
    /// them from a file.
    #[schemars(extend("default" = []))]
    pub environment: Key<Vec<Placed<String>>>,
    /// Folder of what the program answered. Left out: `ca/NAME` in the state directory.
    pub records: Key<String>,
    /// How many orders may be placed, those that cost nothing included. Then nothing more is ordered until time has
    /// passed. Left out: 50 orders and 10 more for each certificate of this CA, in 24h.
    pub order_budget: Key<OrderBudget>,
    /// After this time the program is killed, from "1s" to "10m".
    #[schemars(extend("default" = default::PROGRAM_TIMEOUT))]
    pub timeout: Key<String>,
}
