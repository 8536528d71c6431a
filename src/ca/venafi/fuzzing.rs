//! The parsers of TLS Protect Cloud's answers with any input: the body of a fuzz target.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use super::api::{errors, read};
use super::rules::{keys_in_words, preflight, unreadable};
use super::wire::{
    Application, CertificateRequest, CertificateRequests, Certificates, Template, Templates,
    UserAccount, moment,
};
use crate::ca::fuzzing::SECRETS;
use crate::ca::http::Response;
use crate::failure::FailureKind;
use crate::pki;

/// An answer to each question that there is: it is read or refused in bearable words, and a template's rules cost no more
/// than they are long.
pub fn venafi(data: &[u8]) {
    let Some(answer) = Response::planted(data) else {
        return;
    };
    for error in errors(&answer) {
        let words = error.to_string();
        assert!(words.len() <= 8 * answer.body.len() + 64);
        answer
            .failure(FailureKind::Refused, words)
            .assert_tellable(&SECRETS);
    }
    let read_as = [
        read::<Application>(&answer).map(drop),
        read::<CertificateRequest>(&answer).map(drop),
        read::<CertificateRequests>(&answer).map(drop),
        read::<Certificates>(&answer).map(drop),
        read::<UserAccount>(&answer).map(|account| {
            let key = account.api_key.and_then(|key| key.validity_end_date);
            let _ = key.as_deref().and_then(moment);
        }),
        read::<Template>(&answer).map(|template| rules(&template)),
        read::<Templates>(&answer).map(|templates| {
            templates
                .certificate_issuing_templates
                .iter()
                .for_each(rules);
        }),
    ];
    for failure in read_as.into_iter().filter_map(Result::err) {
        failure.assert_tellable(&SECRETS);
    }
}

fn rules(template: &Template) {
    let wanted = pki::fuzzing::wanted();
    let found = preflight(template, wanted);
    let parts = wanted.subject.parts().len() + wanted.alternate_names.len();
    assert!(found.len() <= parts + 3, "{found:?}");
    let _ = (unreadable(template), keys_in_words(template));
    let open = Template::default();
    assert!(preflight(&open, wanted).is_empty());
}
