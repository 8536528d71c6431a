//! `driver.exec`.

use std::path::PathBuf;

use jiff::SignedDuration;

use crate::ca::exec::Settings;
use crate::config::file_model::{ExecCa, default};
use crate::config::resolve::{Name, Resolver};
use crate::config::values::Wrong;

impl Resolver<'_> {
    pub(super) fn exec(&mut self, raw: ExecCa, name: Option<&Name>) -> Option<Settings> {
        let program = raw.program.and_then(|path| self.parse(&path, absolute));
        let mut environment = Vec::new();
        for text in raw.environment.into_iter().flat_map(|list| list.value) {
            environment.extend(self.parse(&text, variable));
        }
        let mut arguments = Vec::new();
        for text in raw.arguments.into_iter().flat_map(|list| list.value) {
            arguments.extend(self.parse(&text, argument));
        }
        let records = self.path(raw.records.as_ref());
        let longest = SignedDuration::from_mins(10);
        let timeout = self.timeout(raw.timeout.as_ref(), default::PROGRAM_TIMEOUT, longest);
        let name = &*name?.text;
        Some(Settings {
            name: name.to_owned(),
            program: program?,
            arguments,
            environment,
            records: match records {
                Some(folder) => folder,
                None => self.shared.state_directory.join("ca").join(name),
            },
            timeout,
        })
    }
}

fn absolute(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    if path.is_absolute() && !text.contains('\0') {
        return Ok(path);
    }
    Err(Wrong::new(
        format!("`{text}` is not an absolute path"),
        "no shell looks for the program: write its whole path, such as \"/usr/local/bin/helper\", and its arguments as `arguments`",
    ))
}

fn argument(text: &str) -> Result<String, Wrong> {
    if text.contains('\0') {
        return Err(Wrong::new(
            "an argument cannot hold a zero byte",
            "leave it out",
        ));
    }
    Ok(text.to_owned())
}

fn variable(text: &str) -> Result<(String, String), Wrong> {
    let is_name = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match text.split_once('=') {
        Some((name, value)) if is_name(name) && !value.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        // The text may hold a secret after all.
        _ => Err(Wrong::new(
            "this is not an environment variable",
            "write \"NAME=value\", such as \"CERTMONGER_CA_PROFILE=caServerCert\"",
        )),
    }
}
