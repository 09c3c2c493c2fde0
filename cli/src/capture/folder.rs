//! The files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

pub(super) struct Folder {
    path: PathBuf,
    numbers: Mutex<Numbers>,
}

struct Numbers {
    next: usize,
    left: usize,
}

impl Folder {
    /// Continues after the files that are there.
    pub(super) fn open(path: &Path, limit: usize) -> io::Result<Self> {
        let mut folder = DirBuilder::new();
        folder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(path)?;
        let mut last: usize = 0;
        for file in fs::read_dir(path)? {
            let name = file?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".http"));
            last = last.max(number.and_then(|number| number.parse().ok()).unwrap_or(0));
        }
        Ok(Self {
            path: path.to_owned(),
            numbers: Mutex::new(Numbers {
                next: last.saturating_add(1),
                left: limit,
            }),
        })
    }

    /// Writes a file; `None` if there are as many as wanted.
    pub(super) fn write(&self, raw: &[u8]) -> io::Result<Option<PathBuf>> {
        loop {
            let Some(number) = self.number() else {
                return Ok(None);
            };
            let path = self.path.join(format!("{number:04}.http"));
            match private(&path) {
                Ok(mut file) => return file.write_all(raw).map(|()| Some(path)),
                // Another `c1 capture` writes into this folder, too.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn number(&self) -> Option<usize> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.left = numbers.left.checked_sub(1)?;
        let number = numbers.next;
        numbers.next = number.saturating_add(1);
        Some(number)
    }
}

/// A new file for its owner's eyes only.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The request as it is on the wire, but for the case of its headers' names and the sizes of
/// its chunks.
pub(super) fn raw(head: &Parts, body: &Bytes, trailers: Option<&HeaderMap>) -> Vec<u8> {
    let Parts {
        method,
        uri,
        version,
        headers,
        ..
    } = head;
    let mut raw = format!("{method} {uri} {version:?}\r\n").into_bytes();
    fields(&mut raw, headers);
    raw.extend(b"\r\n");
    if !headers.contains_key(TRANSFER_ENCODING) {
        raw.extend(body);
        return raw;
    }
    if !body.is_empty() {
        raw.extend(format!("{:x}\r\n", body.len()).bytes());
        raw.extend(body);
        raw.extend(b"\r\n");
    }
    raw.extend(b"0\r\n");
    fields(&mut raw, trailers.unwrap_or(&HeaderMap::new()));
    raw.extend(b"\r\n");
    raw
}

fn fields(raw: &mut Vec<u8>, fields: &HeaderMap<HeaderValue>) {
    for (name, value) in fields {
        raw.extend(name.as_str().bytes());
        raw.push(b':');
        if !value.is_empty() {
            raw.push(b' ');
        }
        raw.extend(value.as_bytes());
        raw.extend(b"\r\n");
    }
}
