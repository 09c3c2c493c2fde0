//! Where the tickets are: a file for each, as a stand-in for your ticket system's database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tower_conductorone::callback::Callback;
use tower_conductorone::ledger::DeliveryKey;

#[derive(Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) title: String,
    /// **A secret**: whoever has it can answer in this service's place.
    pub(crate) callback: Callback,
}

#[derive(Clone)]
pub(crate) struct Tickets(PathBuf);

impl Tickets {
    pub(crate) fn in_folder(path: String) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path.into()))
    }

    /// Short enough to be typed.
    pub(crate) fn number(delivery: &DeliveryKey) -> String {
        delivery.to_string().split_off(80) // of 96 digits
    }

    /// Does nothing if there is, or was, such a ticket.
    pub(crate) fn open(&self, number: &str, ticket: &Ticket) -> io::Result<()> {
        let path = self.path(number, "open");
        if path.try_exists()? || self.path(number, "closed").try_exists()? {
            return Ok(());
        }
        // A crash leaves a whole ticket or none.
        let draft = self.path(number, "draft");
        let mut file = private(&draft)?;
        file.write_all(&serde_json::to_vec(ticket)?)?;
        file.sync_all()?;
        fs::rename(draft, path)?;
        File::open(&self.0)?.sync_all()?;
        println!("ticket {number}: {}", ticket.title);
        Ok(())
    }

    pub(crate) fn read(&self, number: &str) -> io::Result<Ticket> {
        let json = fs::read(self.path(number, "open"));
        let json = json.map_err(|error| {
            io::Error::new(error.kind(), format!("no open ticket {number}: {error}"))
        })?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// It stays, so that a late retry does not open it again.
    pub(crate) fn close(&self, number: &str) -> io::Result<()> {
        fs::rename(self.path(number, "open"), self.path(number, "closed"))
    }

    fn path(&self, number: &str, state: &str) -> PathBuf {
        self.0.join(format!("{number}.{state}"))
    }
}

/// A file for its owner's eyes only.
fn private(path: &PathBuf) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
