//! The configuration of a fleet: one CA, and the requested number of firewalls, each with one certificate. Every address
//! is on loopback and without a listener, so that nothing is reached or renewed.

use std::path::Path;

/// The head of the main file: daemon and CA. The database lies in `folder` too.
pub fn head(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"[daemon]
database = "sqlite://{folder}/renewd.db"
state_directory = "{folder}"

[[ca]]
name = "office"
driver.local = {{ certificate = "{folder}/ca.pem", key = {{ file = "{folder}/ca.key" }} }}
"#
    )
}

/// The firewall number `n` and its certificate. The first ports have no listener.
pub fn member(n: usize) -> String {
    let host = host(n);
    format!(
        r#"
[[firewall]]
name = "fw-{n:06}"
driver.sonicos = {{ url = "https://{host}:1", user = "renewd", password = {{ credential = "fw-{n:06}" }}, trust = {{ sha256 = "{n:064x}" }} }}
maintenance_window = {{ start = "0 2 * * SAT,SUN", duration = "3h", time_zone = "Europe/Amsterdam" }}

[[certificate]]
name = "portal-{n:06}"
firewall = "fw-{n:06}"
ca = "office"
subject = {{ common_name = "vpn-{n:06}.example.com", organization = "Example", country = "Netherlands" }}
dns_names = ["vpn-{n:06}.example.com"]
key = {{ type = "ecdsa", size = 256 }}
services = ["web-management", "ssl-vpn"]
endpoints = ["{host}:1", "{host}:2"]
"#
    )
}

/// The loopback address of a firewall, another one for each.
fn host(n: usize) -> String {
    let [.., a, b, c] = (n + 1).to_be_bytes();
    format!("127.{a}.{b}.{c}")
}
