//! Which application and template: names made into ids, and the template's rules as far as we may read them
//! (TLS Protect Cloud reference 4.1 and 4.2).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::api::{Session, errors, read};
use super::settings::{Settings, Target};
use super::wire::{Application, Template, Templates};
use crate::failure::{Failure, FailureKind};

/// The ids that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    pub application: String,
    pub template: String,
}

impl Session<'_> {
    /// Looks up what the configuration gives a name for.
    pub async fn ids(&self, settings: &Settings) -> Result<Ids, Failure> {
        let (application, aliases) = match &settings.application {
            Target::Id(id) => (id.clone(), None),
            Target::Name(name) => {
                let found = self.application(name).await?;
                (
                    found.id,
                    Some(found.certificate_issuing_template_alias_id_map),
                )
            }
        };
        let template = match (&settings.template, aliases) {
            (Target::Id(id), _) => id.clone(),
            (Target::Name(alias), Some(aliases)) => of_alias(&aliases, alias)?,
            // The answer contains the aliases only if the application is read by its name.
            (Target::Name(name), None) => self.template_named(name).await?.id,
        };
        Ok(Ids {
            application,
            template,
        })
    }

    /// The template's rules; `None`: the account may not read them.
    pub async fn rules(&self, settings: &Settings) -> Result<Option<Template>, Failure> {
        match (&settings.application, &settings.template) {
            (Target::Name(application), Target::Name(alias)) => {
                // The error for an unknown alias lists the known ones.
                let found = self.application(application).await?;
                of_alias(&found.certificate_issuing_template_alias_id_map, alias)?;
                let path = path(&["applications", application, TEMPLATES, alias]);
                self.get_if_permitted(&path).await
            }
            (Target::Id(_), Target::Name(name)) => self.template_named(name).await.map(Some),
            (_, Target::Id(id)) => {
                let all: Option<Templates> = self.get_if_permitted(&["v1", TEMPLATES]).await?;
                let mut all = all
                    .into_iter()
                    .flat_map(|all| all.certificate_issuing_templates);
                Ok(all.find(|template| template.id == *id))
            }
        }
    }

    /// Reads something that the account may not see; `None`: so it is.
    async fn get_if_permitted<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<Option<T>, Failure> {
        let answer = self.get_raw(path, &[]).await?;
        if matches!(answer.status, 403 | 404) {
            return Ok(None);
        }
        self.accepted(&answer, false)?;
        read(&answer).map(Some)
    }

    /// The application of this name.
    pub async fn application(&self, name: &str) -> Result<Application, Failure> {
        let path = path(&["applications", "name", name]);
        let answer = self.get_raw(&path, &[]).await?;
        let is_unknown = answer.status == 404
            || errors(&answer)
                .iter()
                .any(|error| error.code == Some(NOT_FOUND));
        if is_unknown {
            let words = format!(
                "there is no application \"{name}\", or this account may not see it: check `application`"
            );
            return Err(answer.failure(FailureKind::Local, words));
        }
        self.accepted(&answer, false)?;
        read(&answer)
    }

    async fn template_named(&self, name: &str) -> Result<Template, Failure> {
        let all: Templates = self.get(&["v1", TEMPLATES]).await?;
        let all = all.certificate_issuing_templates;
        let names: Vec<String> = all.iter().map(|template| template.name.clone()).collect();
        all.into_iter()
            .find(|template| template.name == name)
            .ok_or_else(|| unknown_template(name, &names))
    }
}

/// A path below the part of the API that deals with certificates.
pub(super) fn path<'a>(below: &[&'a str]) -> Vec<&'a str> {
    let mut path = vec!["outagedetection", "v1"];
    path.extend(below);
    path
}

fn of_alias(aliases: &BTreeMap<String, String>, alias: &str) -> Result<String, Failure> {
    let id = aliases.get(alias).filter(|id| !id.is_empty());
    id.cloned()
        .ok_or_else(|| unknown_template(alias, &aliases.keys().cloned().collect::<Vec<_>>()))
}

fn unknown_template(name: &str, known: &[String]) -> Failure {
    let known = match known {
        [] => "there is none".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    let words = format!("there is no template \"{name}\" here: check `template` ({known})");
    Failure::new(FailureKind::Local, "look up the template", words)
}

const TEMPLATES: &str = "certificateissuingtemplates";
/// "Application not found".
const NOT_FOUND: i64 = 10051;
