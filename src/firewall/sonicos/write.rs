//! Changes the device: read the pending changes of other administrators, take configuration mode, write, read again,
//! commit (SonicOS reference 1.4, 2). It must never commit, discard or overwrite uncommitted changes of another
//! administrator.

use reqwest::Method;
use serde_json::json;

use super::channel::Channel;
use super::console::Preempt;
use super::envelope::{self, Reply};
use super::login::Welcome;
use super::ownership::Ours;
use super::pending::{Announcement, Pending};
use super::quirks::{BIND, Quirks};
use super::transport::{Request, Response};
use super::version::{Generation, Version};
use super::{binding, messages};
use crate::failure::{Failure, FailureKind};
use crate::firewall::Binding;

/// Changes the device on behalf of one session.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) channel: Channel,
    mode: ConfigurationMode,
    /// Whether configuration mode was entered by us and has to be given back.
    took_mode: bool,
    preempt_idle_administrator: bool,
    /// Our rights, as the device writes them.
    pub(super) privilege: Option<String>,
    /// What we wrote and did not commit yet.
    written: Ours,
    /// Whether nothing was seen to wait while configuration mode was ours, and it has been ours ever since.
    was_quiet: bool,
    pub(super) quirks: Quirks,
    /// What the device is; the newest until it has said.
    pub(super) generation: Generation,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It was committed, or needed no commit.
    Done,
    /// The device does not report whether the change waits for a commit, so none was made.
    Unreported,
}

/// Which session is in configuration mode, where the device has reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConfigurationMode {
    Ours,
    /// The device did not say: ours by the login (SonicOS reference 1.2), unless a write is refused.
    Unreported,
    /// We released it, to continue over another interface of the device.
    GivenBack,
    Others,
    /// The device reported that no session has it. It has to be requested, and no session loses it.
    Free,
}

impl Writer {
    /// Writes over a channel that is logged in; `welcome` is what the login said.
    pub(super) fn new(channel: Channel, welcome: Welcome, preempt: bool, quirks: Quirks) -> Self {
        Self {
            mode: match welcome.configuration_mode {
                Some(false) if welcome.is_mode_free => ConfigurationMode::Free,
                Some(true) => ConfigurationMode::Ours,
                Some(false) => ConfigurationMode::Others,
                None => ConfigurationMode::Unreported,
            },
            took_mode: false,
            preempt_idle_administrator: preempt,
            privilege: welcome.privilege,
            written: Ours::by(&channel.user),
            was_quiet: false,
            quirks,
            generation: Generation::Eight,
            channel,
        }
    }

    /// Before a write: no other administrator has uncommitted changes, and configuration mode is ours.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        self.only_ours().await?;
        if matches!(
            self.mode,
            ConfigurationMode::Others | ConfigurationMode::Free
        ) {
            self.take_configuration_mode().await?;
        }
        Ok(())
    }

    /// One complete change: `ours` is what it leaves to be committed on devices where it needs a commit.
    pub(super) async fn change(&mut self, call: &Request, ours: Ours) -> Result<(), Failure> {
        self.begin().await.map_err(Failure::before_request)?;
        let reply = self.write(call).await?;
        self.settle(&[reply], ours).await.map(|_| ())
    }

    /// Points services at certificates, in one commit for all. `before` is what to put back.
    pub(super) async fn bind(
        &mut self,
        wanted: &[Binding],
        before: &[Binding],
    ) -> Result<(), Failure> {
        self.begin().await.map_err(Failure::before_request)?;
        let ours = Ours {
            leaves: wanted.iter().map(binding::leaf).collect(),
            ..self.nothing()
        };
        self.written = ours.clone();
        let mut replies = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            match self.point(wanted).await {
                Ok(reply) => replies.push(reply),
                Err(failure) => {
                    self.withdraw(before, is_certain(&failure)).await;
                    return Err(failure);
                }
            }
        }
        let outcome = match self.settle(&replies, ours).await {
            Ok(Settled::Unreported) => self.see_bound(wanted).await,
            outcome => outcome.map(|_| ()),
        };
        if outcome.as_ref().is_err_and(is_certain) {
            self.put_back(before, true).await;
        }
        outcome
    }

    /// The commit rule: unless every reply says that nothing waits, look whether only ours waits, and commit.
    pub(super) async fn settle(
        &mut self,
        replies: &[Reply],
        ours: Ours,
    ) -> Result<Settled, Failure> {
        let is_done = |reply: &Reply| {
            let envelope = reply.envelope.as_ref();
            envelope.and_then(|envelope| envelope.pending_config) == Some(false)
        };
        if replies.iter().all(is_done) {
            self.written = self.nothing();
            return Ok(Settled::Done);
        }
        self.written = ours;
        let outcome = self.commit().await;
        // A commit whose answer was lost may have been made: nothing can be withdrawn, and the caller reads the device
        // again.
        if outcome.as_ref().is_err_and(is_certain) {
            self.discard().await;
        }
        self.written = self.nothing();
        outcome
    }

    /// Sends a change once; again only after the device said that it did nothing for want of
    /// configuration mode.
    pub(super) async fn send(&mut self, call: &Request) -> Result<Response, Failure> {
        let answer = self.channel.exchange(call).await?;
        if !is_out_of_configuration_mode(&answer) {
            return Ok(answer);
        }
        if self.mode != ConfigurationMode::GivenBack {
            self.mode = ConfigurationMode::Others;
        }
        self.was_quiet = false;
        self.only_ours().await?;
        self.take_configuration_mode().await?;
        self.channel.exchange(call).await
    }

    /// Judges the answer to a change, and remembers what the device wants restarted.
    pub(super) fn judge(&mut self, call: &Request, answer: &Response) -> Result<Reply, Failure> {
        let judged = envelope::judge_change(call, answer);
        let reply = judged.map_err(|failure| self.channel.without_secrets(failure))?;
        let envelope = reply.envelope.as_ref();
        if let Some(what) = envelope.and_then(|envelope| envelope.restart_required.as_deref()) {
            let what = self.channel.discreet(what);
            tracing::warn!(
                call = call.name(),
                restart_required = what,
                "the device wants a restart for this change to take effect"
            );
            self.quirks.note("restart_required", what);
        }
        Ok(reply)
    }

    /// Sends a change and judges the answer.
    pub(super) async fn write(&mut self, call: &Request) -> Result<Reply, Failure> {
        let answer = self.send(call).await?;
        self.judge(call, &answer)
    }

    /// What waits for a commit now.
    pub(super) async fn pending(&mut self) -> Result<Pending, Failure> {
        let call = Request::get(PENDING);
        let answer = self.channel.exchange(&call).await?;
        let judged = envelope::judge(&call, &answer);
        judged.map_err(|failure| self.channel.without_secrets(failure))?;
        Ok(Pending::of(&answer.text()))
    }

    /// The author of changes that are not ours, where the device reports one.
    pub(super) async fn author(&mut self, pending: &Pending) -> String {
        if let Some(author) = pending.author() {
            return if author.eq_ignore_ascii_case(&self.channel.user) {
                format!("another administrator under our own user name ({author})")
            } else {
                author
            };
        }
        let version = self.channel.ask_json(&Request::get("/version")).await;
        let version = version.map(|json| Version::of(&json)).unwrap_or_default();
        match version.last_modified_by {
            Some(last) => format!("another administrator (last change on the device by {last})"),
            None => "another administrator".to_owned(),
        }
    }

    /// Before the write continues over another interface of the device: no other administrator has uncommitted changes,
    /// and configuration mode is released. Returns which session may lose it there.
    pub(super) async fn hand_over(&mut self) -> Result<Preempt, Failure> {
        self.only_ours().await?;
        if matches!(
            self.mode,
            ConfigurationMode::Others | ConfigurationMode::Free
        ) {
            return Ok(Preempt::Idle);
        }
        self.mode = ConfigurationMode::GivenBack;
        self.took_mode = false;
        match self.give_back().await {
            Ok(()) => Ok(Preempt::Idle),
            Err(failure) if failure.kind == FailureKind::Refused => Ok(kept(&failure)),
            Err(failure) => Err(failure),
        }
    }

    /// Releases configuration mode, if we took it.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.took_mode) {
            return Ok(());
        }
        self.give_back().await
    }

    async fn give_back(&mut self) -> Result<(), Failure> {
        let call = Request::session(Method::POST, "/non-config-mode").json(&json!({}));
        self.channel.ask(&call).await.map(|_| ())
    }

    /// A record of no change, to be filled in.
    pub(super) fn nothing(&self) -> Ours {
        Ours::by(&self.channel.user)
    }

    /// The pending changes; a failure when some of them belong to another administrator.
    pub(super) async fn only_ours(&mut self) -> Result<Pending, Failure> {
        let pending = self.pending().await?;
        let foreign = pending.foreign(&self.written);
        let is_uncertain = match &pending {
            // A device that announces changes after our write would have announced those of others before it, so an answer
            // that says nothing counts as quiet. Nothing is committed on a device that never announces any (`commit`).
            Pending::Nothing | Pending::Unsaid => {
                self.was_quiet |= self.is_ours_alone();
                false
            }
            Pending::Something(announcement) => !self.made(announcement),
            Pending::Settings(_) | Pending::Lines(_) => false,
        };
        if foreign.is_empty() && !is_uncertain {
            return Ok(pending);
        }
        let author = self.author(&pending).await;
        let detail = if is_uncertain {
            format!(
                "uncommitted changes that may not be ours, by {author}: {}",
                pending.summary()
            )
        } else {
            let changes = envelope::shortened(&foreign.join("; "));
            format!("uncommitted changes that are not ours, by {author}: {changes}")
        };
        Err(Failure::new(FailureKind::Busy, format!("GET {PENDING}"), detail).waiting_for(author))
    }

    /// Whether changes that the device does not list are ours: none existed before we wrote, and no other administrator
    /// can have made any since, because only one is in configuration mode (SonicOS reference 1.4). It is not enough
    /// that the device names our user as their author: another session may have the same user.
    fn made(&self, announcement: &Announcement) -> bool {
        let most = self.written.count();
        let author = announcement.author.as_ref();
        most > 0
            && author.is_none_or(|author| author.eq_ignore_ascii_case(&self.written.user))
            && self.was_quiet
            && self.is_ours_alone()
            && announcement.configuring != Some(false)
            && announcement.count.is_none_or(|count| count <= most)
    }

    /// Whether configuration mode is ours, where the device has reported it.
    fn is_ours_alone(&self) -> bool {
        matches!(
            self.mode,
            ConfigurationMode::Ours | ConfigurationMode::Unreported
        )
    }

    /// Enters configuration mode, taking it from another administrator only where that is allowed. The caller
    /// has checked that no other administrator has an uncommitted change.
    async fn take_configuration_mode(&mut self) -> Result<(), Failure> {
        let call = Request::session(Method::POST, "/config-mode").json(&json!({}));
        if let Some(rights) = self
            .privilege
            .as_ref()
            .filter(|rights| messages::is_read_only(rights))
        {
            let detail = format!(
                "this administrator may only read ({rights}): renewd needs one with full rights"
            );
            return Err(call.failure(FailureKind::Refused, detail));
        }
        if self.mode == ConfigurationMode::Others && !self.preempt_idle_administrator {
            let detail = "another administrator is in configuration mode, and `preempt_idle_administrator` is off";
            let busy = call.failure(FailureKind::Busy, detail);
            return Err(busy.waiting_for("another administrator (in configuration mode)"));
        }
        self.channel.ask(&call).await.map_err(|failure| {
            if failure.kind != FailureKind::Refused || !messages::is_mode_kept(&failure.detail) {
                return failure;
            }
            let detail = format!(
                "another administrator keeps configuration mode now: {}",
                failure.detail
            );
            let busy = call.failure(FailureKind::Busy, detail);
            busy.waiting_for("another administrator (in configuration mode)")
        })?;
        self.mode = ConfigurationMode::Ours;
        self.took_mode = true;
        // Until now another administrator could change something.
        self.only_ours().await.map(|_| ())
    }

    /// Points one service at one certificate.
    async fn point(&mut self, binding: &Binding) -> Result<Reply, Failure> {
        let path = binding::path(binding.service, self.generation);
        let call = Request::change(Method::PUT, path).json(&binding::body(binding));
        let lines = binding::lines(binding)?;
        self.by_api_or_command(BIND, &call, &lines).await
    }

    async fn commit(&mut self) -> Result<Settled, Failure> {
        // A commit would include changes that the device does not report.
        if self.only_ours().await? == Pending::Unsaid {
            return Ok(Settled::Unreported);
        }
        let call = Request::change(Method::POST, PENDING).json(&json!({}));
        self.write(&call).await.map(|_| Settled::Done)
    }

    /// On a device that does not report pending changes: checks whether the services use the wanted certificates
    /// anyway, as with `auto_commit` (SonicOS reference 1.1).
    async fn see_bound(&mut self, wanted: &[Binding]) -> Result<(), Failure> {
        for wanted in wanted {
            let call = Request::get(binding::path(wanted.service, self.generation));
            let json = self.channel.ask_json(&call).await?;
            if binding::read(wanted.service, &json).as_ref() != Some(wanted) {
                let detail = "nothing was committed, because the device does not tell whether changes wait for a commit, \
                              and whose: its answer says neither yes nor no";
                let call = format!("GET {PENDING}");
                return Err(Failure::new(FailureKind::Busy, call, detail));
            }
        }
        Ok(())
    }

    /// Undoes what was written and not committed. A failure changes nothing: without a commit the device
    /// forgets it when the session ends (SonicOS reference 1.4).
    async fn withdraw(&mut self, before: &[Binding], is_certain: bool) {
        self.discard().await;
        self.put_back(before, is_certain).await;
        self.written = self.nothing();
    }

    /// Discards what waits for a commit, when all of it is ours.
    async fn discard(&mut self) {
        let discarded = match self.only_ours().await {
            Ok(Pending::Nothing | Pending::Unsaid) => return,
            Ok(_) => self
                .write(&Request::change(Method::DELETE, PENDING))
                .await
                .map(|_| ()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = discarded {
            tracing::debug!(error = %failure, "our uncommitted changes were not discarded");
        }
    }

    /// Writes the old values back where our changes could not be discarded because changes of another administrator
    /// are, or may be, among them. On a device that does not report pending changes, only after a failure that
    /// `is_certain`: what it committed itself stays.
    async fn put_back(&mut self, before: &[Binding], is_certain: bool) {
        match self.pending().await {
            Ok(Pending::Settings(_) | Pending::Lines(_) | Pending::Something(_)) => {}
            Ok(Pending::Unsaid) if is_certain => {}
            _ => return,
        }
        for before in before {
            if let Err(failure) = self.point(before).await {
                tracing::debug!(service = %before.service, error = %failure, "the old binding was not written back");
            }
        }
    }
}

/// Which session may lose configuration mode after the device refused to release ours.
fn kept(refusal: &Failure) -> Preempt {
    if messages::is_out_of_configuration_mode(&refusal.detail) {
        // It was not ours, so another administrator has it.
        Preempt::Idle
    } else {
        // The device reports nothing else, so it is still ours.
        Preempt::OwnSession
    }
}

/// Whether a failure leaves no doubt about what happened.
fn is_certain(failure: &Failure) -> bool {
    failure.kind != FailureKind::OutcomeUnknown
}

/// Whether the device did nothing because another session, or none, is in configuration mode. Only its text says so: a
/// 405 alone says only that the method or the path is another one (SonicOS reference 1.4, 1.5).
fn is_out_of_configuration_mode(answer: &Response) -> bool {
    messages::is_out_of_configuration_mode(&answer.text())
}

const PENDING: &str = "/config/pending";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_mode_that_was_not_ours_to_release_is_another_administrators() {
        let refused = |said| Failure::new(FailureKind::Refused, "POST /non-config-mode", said);
        assert_eq!(kept(&refused("Non config mode")), Preempt::Idle);
        let unknown = refused("API endpoint is incomplete.");
        assert_eq!(kept(&unknown), Preempt::OwnSession);
    }

    #[test]
    fn a_write_outside_configuration_mode_is_recognised_by_its_words() {
        let words = r#"{"status":{"success":false,"info":[{"level":"error","message":"Non config mode"}]}}"#;
        assert!(is_out_of_configuration_mode(&Response::saying(405, words)));
        assert!(is_out_of_configuration_mode(&Response::saying(
            400,
            "Not allowed in current mode"
        )));
        assert!(!is_out_of_configuration_mode(&Response::saying(405, "")));
        assert!(!is_out_of_configuration_mode(&Response::saying(
            405,
            "Method not allowed"
        )));
        assert!(!is_out_of_configuration_mode(&Response::saying(400, "")));
    }
}
