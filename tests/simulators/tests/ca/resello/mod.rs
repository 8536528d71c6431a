//! The purchase API as a client sees it.

mod buying;
mod downloading;
mod going_wrong;
mod money;
mod request;
mod shopper;
mod validating;
