//! Planned: generate the key pair and its CSR, on the firewall or here.
//!
//! The alias holds the renewal's id, so a key pair that exists under it is ours, also after a crash. A key that renewd
//! makes itself exists once it is stored: before that, there is nothing to look for.

use jiff::SignedDuration;

use super::{Outcome, StepContext, StepError, decision, endpoints, refused, sealing};
use crate::failure::{Failure, FailureKind};
use crate::firewall::Firewall;
use crate::inventory::{Intent, KeyOrigin, Renewal, WaitReason};
use crate::pki::{Csr, PkiError, PrivateKey};
use crate::renewal::chain_roots;
use crate::renewal::state::{Fact, Step};

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    endpoints::report_unready(context).await?;
    match context.wanted.key_origin {
        KeyOrigin::Firewall => on_the_firewall(context).await,
        KeyOrigin::Renewd => here(context).await,
    }
}

async fn on_the_firewall(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    let earlier = context
        .store
        .intent(&context.renewal().id, Step::GenerateCsr.name())
        .await?;
    if earlier.is_none() {
        ask_the_ca(context).await?;
    }
    let mut session = context.firewall().await?;
    check_then_generate(context, &mut *session, earlier).await
}

/// Key and request are stored together with the state, so that there is never one without the others.
async fn here(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    ask_the_ca(context).await?;
    // Nothing is ordered for a firewall that cannot be reached.
    let mut session = context.firewall().await?;
    context.record_identity(&mut *session).await?;
    drop(session);
    context.session.close().await;
    let (key, csr) = make(context).await?;
    let sealed = context.sealer.seal(&key, &context.renewal().id.0);
    let sealed = sealed.map_err(|error| sealing("seal a private key", &error))?;
    context.acted(Step::GenerateCsr).await;
    Ok(context.reached_with(Fact::KeyPairExists, |obtained| {
        obtained.csr_pem = Some(csr.to_pem());
        obtained.sealed_key = Some(sealed);
    }))
}

/// Takes seconds for a large key, on a thread where no other task waits for it.
async fn make(context: &StepContext<'_>) -> Result<(PrivateKey, Csr), StepError> {
    let wanted = context.wanted.request.clone();
    let making = move || -> Result<(PrivateKey, Csr), PkiError> {
        let key = PrivateKey::generate(wanted.key)?;
        let csr = Csr::make(&wanted, &key)?;
        Ok((key, csr))
    };
    let local = |words: String| Failure::new(FailureKind::Local, "make a key pair", words);
    let made = tokio::task::spawn_blocking(making).await;
    let made = made.map_err(|error| local(error.to_string()))?;
    made.map_err(|error| StepError::Permanent(error.0))
}

/// What the CA would refuse is refused before a key exists for it.
async fn ask_the_ca(context: &StepContext<'_>) -> Result<(), StepError> {
    let issuer = context.issuer()?;
    decision::on_another_order(context, issuer.as_ref()).await?;
    // Needed only when the certificate is there, which is too late to find out.
    let chain_roots = chain_roots::of_ca(context.config, &context.renewal().ca).await;
    chain_roots.map_err(StepError::Ca)?;
    let problems = issuer
        .preflight(&context.wanted.request)
        .await
        .map_err(StepError::Ca)?;
    if problems.is_empty() {
        return Ok(());
    }
    let call = format!("ask {} before a key is generated", context.renewal().ca);
    Err(refused(&call, &problems))
}

async fn check_then_generate(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    earlier: Option<Intent>,
) -> Result<Outcome, StepError> {
    context.record_identity(session).await?;
    if is_listed(context, session).await? {
        return Ok(context.reached(Fact::KeyPairExists));
    }
    // From the last try on: an earlier one may have been lost, and this box may be slow.
    if let Some(earlier) = earlier {
        let since = earlier.tried_at.duration_until(context.now);
        if since < SLOWEST_GENERATION {
            return Ok(not_listed_yet(since));
        }
        if earlier.tries >= MOST_REQUESTS {
            return Err(never_listed(context, &earlier));
        }
    }
    let alias = &context.renewal().alias;
    let intent = context.intend(Step::GenerateCsr, alias).await?;
    match session.generate_csr(alias, &context.wanted.request).await {
        // An alias is refused as long as a key pair has it, listed or not (SonicOS reference 3.1), and only
        // renewd uses this alias: an earlier request may have arrived after all.
        Err(failure) if failure.kind == FailureKind::Refused && may_exist(context, &intent) => {
            return Ok(not_listed_yet(SignedDuration::ZERO));
        }
        // Nothing was asked for, so there is nothing to wait for: what failed is tried again, and counted as it is.
        Err(failure) if failure.is_surely_not_done() => {
            context.withdraw(Step::GenerateCsr).await?;
            return Err(failure.into());
        }
        outcome => outcome?,
    }
    context.acted(Step::GenerateCsr).await;
    if is_listed(context, session).await? {
        return Ok(context.reached(Fact::KeyPairExists));
    }
    Ok(not_listed_yet(SignedDuration::ZERO))
}

/// An earlier request may have arrived: those that certainly did not are not counted. But the wait is
/// limited: a device may have another reason to refuse.
fn may_exist(context: &StepContext<'_>, intent: &Intent) -> bool {
    let renewal = context.renewal();
    intent.tries > 1 && !renewal.was_refused() && renewal.polls < MOST_CHECKS
}

async fn is_listed(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
) -> Result<bool, StepError> {
    let objects = context.installed(session).await?;
    Ok(objects
        .iter()
        .any(|object| object.alias == context.renewal().alias))
}

/// A device that takes each request and lists nothing: another request is of no use, and an operator has to know.
fn never_listed(context: &StepContext<'_>, intent: &Intent) -> StepError {
    let Renewal {
        alias, firewall, ..
    } = context.renewal();
    let words = format!(
        "{firewall} was asked {} times for the key pair {alias}, and does not list it {} minutes after the last time",
        intent.tries,
        SLOWEST_GENERATION.as_mins()
    );
    refused("look for the key pair", &[words])
}

/// The longer it takes, the more seldom is looked: after some seconds each look is a login.
fn not_listed_yet(since: SignedDuration) -> Outcome {
    Outcome::wait(
        LISTING_INTERVAL.max(since / 2),
        WaitReason::KeyGeneration,
        "the firewall does not list the key pair yet",
    )
}

const LISTING_INTERVAL: SignedDuration = SignedDuration::from_secs(2);
/// Small boxes need up to a minute (SonicOS reference 3.1); after three times that and nothing listed, the request
/// did not arrive, and asking again cannot make a second key pair: the alias is refused while one exists.
const SLOWEST_GENERATION: SignedDuration = SignedDuration::from_mins(3);
/// Each of which was taken, or may have been: the answer to one of them may have been lost.
const MOST_REQUESTS: u32 = 3;
/// In a row. A dozen fit between two requests: some minutes, several times what a small box needs.
const MOST_CHECKS: u32 = 30;
