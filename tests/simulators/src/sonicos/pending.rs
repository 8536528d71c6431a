//! The uncommitted changes of all administrators, and the commit (SonicOS reference 2).

use serde_json::{Value, json};

use super::binding::{Binding, Service};
use super::certificates::{Kind, Row};
use super::device::Device;
use super::session::Holder;
use super::switch::PendingForm;
use super::wire::{Handled, Refusal, Reply};

/// One uncommitted change.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The author of the change. A commit ignores it.
    pub(super) owner: Holder,
    pub(super) kind: ChangeKind,
}

/// The change. Certificate operations are here only when a switch makes them wait for a commit.
#[derive(Debug, Clone)]
pub(super) enum ChangeKind {
    Bind(Service, Binding),
    Generate(Box<Row>),
    ImportAuthority(Box<Row>),
    ImportKeyPair(Box<Row>),
    ImportSigned(String, Vec<u8>),
    Delete(String),
    /// Anything that is not about certificates, as a CLI line.
    Foreign(String),
}

impl Device {
    /// Only the holder of configuration mode can change anything, and is the author of the change.
    pub(super) fn put_pending(&mut self, kind: ChangeKind) {
        let owner = self.mode.unwrap_or(Holder::Api);
        self.pending.push(Change { owner, kind });
    }

    /// 2: `GET /config/pending`. guess: every form of the answer.
    pub(super) fn show_pending(&self) -> Reply {
        let is_pending = !self.pending.is_empty();
        let sentence = if is_pending {
            "Uncommitted changes found."
        } else {
            "No uncommitted changes found."
        };
        let text = |text: &str| Reply::file("text/plain; charset=UTF-8", text.as_bytes().to_vec());
        let lines = || self.pending.iter().map(|change| change.kind.cli_line());
        match self.variants.pending_form {
            PendingForm::Paths => Reply::json(self.pending_paths()),
            PendingForm::Status => Reply::json(json!({"status": {
                "success": true,
                "cli": {"depth": 1, "mode": "config_mode", "configuring": self.holds_configuration_mode(),
                    "pending_config": is_pending, "restart_required": self.restart_required},
                "info": [{"level": "info", "code": "E_OK", "message": "Success."}],
            }})),
            PendingForm::Text => text(&lines().map(|line| line + "\n").collect::<String>()),
            PendingForm::Message => envelope(sentence),
            PendingForm::MessageOrSuccess if is_pending => envelope(sentence),
            PendingForm::MessageOrSuccess => envelope("Success."),
            PendingForm::SentenceOrEmpty if is_pending => text(sentence),
            PendingForm::SentenceOrEmpty | PendingForm::Silent => text(""),
            PendingForm::Garbage => Reply::file(
                "application/octet-stream",
                vec![0xff, 0x00, 0xfe, 0x80, 0x1b],
            ),
            PendingForm::Flag => Reply::json(json!({"pending_config": is_pending})),
            PendingForm::Count => text(&format!("{} uncommitted changes.", self.pending.len())),
            PendingForm::Author if is_pending => {
                let (count, user) = (self.pending.len(), &self.settings.user);
                text(&format!("{count} uncommitted changes by {user}."))
            }
            PendingForm::Sentence | PendingForm::Author => text(sentence),
            PendingForm::List => Reply::json(lines().collect()),
            PendingForm::PathsInEnvelope => {
                let mut paths = self.pending_paths();
                paths["status"] = json!({"success": true,
                    "info": [{"level": "info", "code": "E_OK", "message": "Success."}]});
                Reply::json(paths)
            }
        }
    }

    /// 2: `POST /config/pending` commits the pending changes of all administrators.
    pub(super) fn commit(&mut self) -> Handled {
        if self.variants.commit_failures > 0 {
            self.variants.commit_failures -= 1;
            return Err(Refusal::new(500, self.variants.commit_failure_text.clone()));
        }
        if self.pending.is_empty() {
            return Ok(Reply::done("No changes made."));
        }
        // 1.5: a commit is refused when a referenced object is missing.
        if let Some(missing) = self.missing_binding() {
            return Err(Refusal::new(
                500,
                format!("Commit failed: certificate '{missing}' does not exist"),
            ));
        }
        let foreign = self.has_foreign_changes();
        self.counters.commits += 1;
        self.counters.commits_of_foreign_changes += u64::from(foreign);
        if self.apply_pending() {
            self.restart_required
                .clone_from(&self.variants.restart_required);
            self.cut_connections = self.variants.drop_on_management_commit;
            if self.variants.session_lost_on_management_commit {
                self.close_session();
            }
        }
        let reply = Reply::done("Changes made.");
        Ok(if foreign {
            reply.noted("with changes of another administrator")
        } else {
            reply
        })
    }

    /// 1.1: `auto_commit`.
    pub(super) fn commit_automatically(&mut self) -> Result<(), Refusal> {
        if self.variants.auto_commit && !self.pending.is_empty() {
            self.commit()?;
        }
        Ok(())
    }

    /// 2: `DELETE /config/pending`. guess: it discards the changes of all administrators, as a commit applies them.
    pub(super) fn discard_pending(&mut self) -> Reply {
        let foreign = self.has_foreign_changes();
        self.counters.discards_of_foreign_changes += u64::from(foreign);
        self.pending.clear();
        Reply::done("Success.")
    }

    /// Applies everything. Returns whether the management service got another certificate.
    pub(super) fn apply_pending(&mut self) -> bool {
        let before = self.bindings.clone();
        for change in std::mem::take(&mut self.pending) {
            self.apply(change.kind);
        }
        self.serve_bindings(&before);
        self.bindings.management != before.management
    }

    pub(super) fn apply(&mut self, change: ChangeKind) {
        match change {
            ChangeKind::Bind(Service::Management, binding) => self.bindings.management = binding,
            ChangeKind::Bind(Service::SslVpn, binding) => self.bindings.ssl_vpn = binding,
            ChangeKind::Generate(row)
            | ChangeKind::ImportAuthority(row)
            | ChangeKind::ImportKeyPair(row) => {
                self.certificates.rows.push(*row);
            }
            ChangeKind::ImportSigned(alias, der) => {
                if let Some(row) = self.certificates.find_mut(&alias)
                    && let Kind::Request { key, .. } = &row.kind
                {
                    row.kind = Kind::Local {
                        key: key.clone(),
                        der,
                    };
                }
            }
            ChangeKind::Delete(name) => {
                self.certificates.rows.retain(|row| row.name != name);
                self.counters.deletes += 1;
            }
            ChangeKind::Foreign(_) => {}
        }
    }

    /// Changes of other administrators than the holder of configuration mode.
    fn has_foreign_changes(&self) -> bool {
        self.pending
            .iter()
            .any(|change| Some(change.owner) != self.mode)
    }

    fn missing_binding(&self) -> Option<&str> {
        self.pending.iter().find_map(|change| match &change.kind {
            ChangeKind::Bind(_, Binding::Name(name)) => self
                .certificates
                .find(name)
                .is_none()
                .then_some(name.as_str()),
            _ => None,
        })
    }

    fn pending_paths(&self) -> Value {
        let mut paths = json!({});
        for change in &self.pending {
            merge(&mut paths, change.kind.path());
        }
        paths
    }
}

impl ChangeKind {
    /// The changed path as an object.
    fn path(&self) -> Value {
        match self {
            Self::Bind(service, binding) => service.wrap(&binding.member()),
            Self::Generate(row) | Self::ImportAuthority(row) | Self::ImportKeyPair(row) => {
                json!({"certificates": {row.name.as_str(): "added"}})
            }
            Self::ImportSigned(alias, _) => json!({"certificates": {alias: "imported"}}),
            Self::Delete(name) => json!({"certificates": {name: "deleted"}}),
            Self::Foreign(line) => {
                let (object, rest) = line.split_once(' ').unwrap_or((line, ""));
                json!({object.replace('-', "_"): rest})
            }
        }
    }

    /// The change as a CLI line (the bindings as in 3.9).
    pub(super) fn cli_line(&self) -> String {
        match self {
            Self::Bind(service, binding) => {
                format!("{} {}", service.cli_prefix(), binding.cli_words())
            }
            Self::Generate(row) => format!("certificates generate-signing-request {}", row.name),
            Self::ImportAuthority(row) => format!("certificates import ca-cert {}", row.name),
            Self::ImportKeyPair(row) => format!("certificates import cert-key-pair {}", row.name),
            Self::ImportSigned(alias, _) => format!("certificates import signed-cert {alias}"),
            Self::Delete(name) => format!("no certificate {name}"),
            Self::Foreign(line) => line.clone(),
        }
    }
}

/// The status envelope with one message (1.5).
fn envelope(message: &str) -> Reply {
    Reply::json(json!({"status": {"success": true,
        "info": [{"level": "info", "code": "E_OK", "message": message}]}}))
}

/// Puts `more` into `into`, member by member.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
