//! What every CA driver must hold: the same cases, with the real engine, against each simulated CA.
//!
//! A case knows nothing of the CA; what differs between them stands behind [`Subject`], one file for each.

mod cases;
mod subject;

pub use subject::{Behaviour, Fixture, Port, Subject};

/// All cases for one CA, in a module of its own.
macro_rules! contract {
    ($name:ident: $subject:ty) => {
        mod $name {
            use super::cases;

            contract! { @case $subject:
                issues_one_certificate_for_one_order,
                waits_long_with_few_questions,
                alerts_an_operator_once_and_waits_for_days,
                ends_at_once_with_the_message_of_the_ca_when_it_is_refused,
                lets_no_bad_certificate_onto_the_device,
                holds_what_is_already_due_until_an_operator_decides,
                puts_any_chain_in_order,
                counts_no_order_for_what_fails_before_it_is_placed,
                orders_once_whichever_answer_is_lost,
                makes_every_call_again_that_did_not_arrive,
                survives_an_error_of_the_server_at_every_call,
                survives_half_an_answer_at_every_call,
                survives_garbage_at_every_call,
                survives_a_login_page_at_every_call,
                retries_at_the_requested_time,
                continues_when_refused_credentials_are_fixed,
                orders_once_when_killed_between_order_and_reference,
            }
        }
    };
    (@case $subject:ty: $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                cases::$case::<$subject>().await;
            }
        )+
    };
}

pub mod acme;
pub mod pam360;
pub mod resello;
pub mod venafi;

contract! { tls_protect_cloud: super::venafi::Venafi }
contract! { pam360_contract: super::pam360::Pam360 }
contract! { acme_contract: super::acme::Acme }
contract! { purchase_api: super::resello::Resello }
