//! `multipart/form-data` (RFC 7578), as far as clients of these simulators send it.

/// One part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Name of the field.
    pub(crate) name: String,
    /// Whether it came with a file name.
    pub(crate) is_file: bool,
    /// That name.
    pub(crate) file_name: String,
    pub(crate) content: Vec<u8>,
}

/// All parts; `None` when the content type is another or has no boundary, or when a part has no head.
pub(crate) fn parts(content_type: Option<&str>, body: &[u8]) -> Option<Vec<Part>> {
    let delimiter = format!("--{}", boundary(content_type?)?).into_bytes();
    let mut rest = after(body, &delimiter)?;
    let mut parts = Vec::new();
    while let Some(end) = position(rest, &delimiter) {
        let (part, following) = rest.split_at(end);
        parts.push(read(part)?);
        rest = after(following, &delimiter)?;
    }
    Some(parts)
}

fn read(part: &[u8]) -> Option<Part> {
    let (head, content) = part.split_at(position(part, b"\r\n\r\n")?);
    let content = content.strip_prefix(b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(head).into_owned();
    Some(Part {
        name: parameter(&head, " name=").unwrap_or_default().to_owned(),
        file_name: parameter(&head, "filename=").unwrap_or_default().to_owned(),
        is_file: head.to_ascii_lowercase().contains("filename="),
        content: content.strip_suffix(b"\r\n").unwrap_or(content).to_vec(),
    })
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.trim().strip_prefix("multipart/form-data")?;
    parameter(parameters, "boundary=")
}

/// The value after `start`, with or without quotes.
fn parameter<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (_, value) = text.split_once(start)?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split([';', '\r']).next().map(str::trim),
    }
}

fn after<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    bytes.get(position(bytes, pattern)? + pattern.len()..)
}

fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::parts;

    #[test]
    fn fields_and_files_are_distinguished() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n\
            --x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.pem\"\r\n\r\nthe file\r\n--x--\r\n";
        for content_type in [
            "multipart/form-data; boundary=\"x\"",
            "multipart/form-data; boundary=x; charset=utf-8",
        ] {
            let parts = parts(Some(content_type), body).unwrap();
            let seen: Vec<_> = parts
                .iter()
                .map(|part| (part.name.as_str(), part.is_file, part.content.as_slice()))
                .collect();
            assert_eq!(
                seen,
                [
                    ("note", false, b"hello".as_slice()),
                    ("f", true, b"the file".as_slice())
                ]
            );
        }
    }

    #[test]
    fn what_is_no_form_has_no_parts() {
        assert_eq!(
            parts(Some("multipart/form-data; boundary=x"), b"no parts"),
            None
        );
        assert_eq!(parts(Some("application/json"), b"{}"), None);
        assert_eq!(parts(None, b""), None);
    }
}
