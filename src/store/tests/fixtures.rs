//! Stores to begin a test with, on the engine of the folder that takes this in.

use super::*;
use crate::random::SeededRandom;
use crate::seal::Sealer;

/// A sealing key of its own in `folder`.
pub(super) fn sealer(folder: &Path) -> Sealer {
    Sealer::new(None, folder, Arc::new(SeededRandom::new(7)))
}

/// A store in a home of its own, and the home.
pub(super) async fn store() -> (Store, Home) {
    let home = home();
    let store = Store::open(&url(&home)).await.unwrap();
    (store, home)
}

/// A store that knows the certificate "portal" on the firewall "hq" and nothing else.
pub(super) async fn store_with_portal() -> (Store, Home) {
    let (store, folder) = store().await;
    store
        .sync_inventory(&[configured("portal", "hq", "1")], at(0))
        .await
        .unwrap();
    (store, folder)
}

/// A store with a planned renewal "r1" of "portal", claimed.
pub(super) async fn store_with_lease() -> (Store, Lease, Home) {
    let (store, folder) = store_with_portal().await;
    assert!(
        store
            .plan(&renewal("r1", "portal", "hq"), &[])
            .await
            .unwrap()
    );
    let lease = claim(&store, "us", 0).await.unwrap();
    (store, lease, folder)
}
