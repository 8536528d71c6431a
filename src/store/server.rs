//! A PostgreSQL server: its address, and the password, which goes into the connection and nowhere else.

use super::StoreError;
use super::location::Location;
use crate::config;
use crate::secret::SecretSource;

/// The place of a database on a server.
pub(super) fn location(url: &str, password: Option<&SecretSource>) -> Result<Location, StoreError> {
    let refuse = |advice: String| StoreError::Unusable {
        // Not repeated: it may carry a password.
        location: "address".to_owned(),
        advice,
    };
    let mut url = config::database_server(url).map_err(refuse)?;
    let mut name = url.clone();
    name.set_query(None);
    if let Some(source) = password {
        let secret = source.read().map_err(|error| refuse(error.to_string()))?;
        url.query_pairs_mut()
            .append_pair("password", secret.expose());
    }
    Ok(Location::Server {
        url,
        name: name.into(),
    })
}
