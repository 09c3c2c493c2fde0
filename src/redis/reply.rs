//! Reads the replies of the scripts.

use std::time::Duration;

use bytes::Bytes;

use super::keys;
use crate::ledger::{
    Claimed, DeadDelivery, Death, DeliveryKey, Finished, Lease, LedgerError, Owner, Posted,
    RecordedAnswer, Revival, Standing, Taken, Work,
};

/// A list of words and stored bytes; `None` if the script refused.
pub(super) type Reply = Option<Vec<Bytes>>;

pub(super) fn claimed(
    reply: Reply,
    key: DeliveryKey,
    owner: Owner,
) -> Result<Claimed, LedgerError> {
    let items = reply.unwrap_or_default();
    match items.as_slice() {
        [word, run] if word == "started" => {
            let lease = Lease::new(key, owner, number(run)?, 0);
            Ok(Claimed::Started(lease))
        }
        items => Ok(Claimed::Standing(standing(items)?)),
    }
}

pub(super) fn found(reply: Reply) -> Result<Option<Standing>, LedgerError> {
    reply.map(|items| standing(&items)).transpose()
}

fn standing(items: &[Bytes]) -> Result<Standing, LedgerError> {
    let [word, kept @ ..] = items else {
        return Err(unreadable());
    };
    Ok(match (word.as_ref(), kept) {
        (b"running", []) => Standing::Running,
        (b"released", []) => Standing::Released,
        (b"promised", []) => Standing::Promised,
        (b"answered", [status, document]) => Standing::Answered(answer(status, document)?),
        (b"called_back", []) => Standing::CalledBack,
        (b"dead", [reason]) => Standing::Dead(text(reason)?.into()),
        _ => return Err(unreadable()),
    })
}

pub(super) fn finished(reply: Option<&[u8]>, lease: Lease) -> Result<Finished, LedgerError> {
    match reply {
        None => Ok(Finished::Lost),
        Some(b"answered") => Ok(Finished::Answered),
        Some(b"stored") => {
            let sending = Lease::new(lease.key(), lease.owner(), lease.run(), 1);
            Ok(Finished::Stored(sending))
        }
        Some(_) => Err(unreadable()),
    }
}

/// The lease of a run that has begun.
pub(super) fn begun(run: Option<Bytes>, taken: Lease) -> Result<Option<Lease>, LedgerError> {
    run.map(|run| {
        let run = number(&run)?;
        Ok(Lease::new(taken.key(), taken.owner(), run, 0))
    })
    .transpose()
}

pub(super) fn taken(reply: Reply, owner: Owner) -> Result<Option<Taken>, LedgerError> {
    let Some(items) = reply else { return Ok(None) };
    let [id, run, attempt, revived_after, delivery, work @ ..] = items.as_slice() else {
        return Err(unreadable());
    };
    let key = keys::delivery(id).ok_or_else(unreadable)?;
    let lease = Lease::new(key, owner, number(run)?, number(attempt)?);
    let work = match work {
        [] => Work::Run,
        [status, document, posted] => Work::Send {
            answer: answer(status, document)?,
            posted: match posted.as_ref() {
                b"no" => Posted::No,
                _ => Posted::Perhaps,
            },
        },
        _ => return Err(unreadable()),
    };
    let mut taken = Taken::new(lease, delivery.clone(), work);
    taken.revived_after = number(revived_after)?;
    Ok(Some(taken))
}

/// `None` if the delivery is not dead.
pub(super) fn dead(items: &[Bytes], key: DeliveryKey) -> Result<Option<DeadDelivery>, LedgerError> {
    let [run, reason, about, answer, age, left] = items else {
        return Ok(None);
    };
    let death = Death {
        reason: text(reason)?.into(),
        about: serde_json::from_slice(about).map_err(|_| unreadable())?,
    };
    let mut dead = DeadDelivery::new(key, number(run)?, death);
    dead.has_answer = !answer.is_empty();
    dead.age = Duration::from_millis(number(age)?);
    dead.time_left = Duration::from_millis(number(left)?);
    Ok(Some(dead))
}

pub(super) fn revival(word: &[u8]) -> Result<Revival, LedgerError> {
    match word {
        b"revived" => Ok(Revival::Revived),
        b"unknown" => Ok(Revival::Unknown),
        b"not_dead" => Ok(Revival::NotDead),
        b"too_late" => Ok(Revival::TooLate),
        _ => Err(unreadable()),
    }
}

/// How many deliveries are promised, how many are dead, and in what time the record of
/// the first promised one expires.
pub(super) fn counts(items: &[Bytes]) -> Result<(u64, u64, Option<Duration>), LedgerError> {
    let [promised, dead, expires_in] = items else {
        return Err(unreadable());
    };
    let has_one = !expires_in.is_empty();
    let expires_in = has_one.then(|| number(expires_in)).transpose()?;
    let expires_in = expires_in.map(Duration::from_millis);
    Ok((number(promised)?, number(dead)?, expires_in))
}

fn answer(status: &Bytes, document: &Bytes) -> Result<RecordedAnswer, LedgerError> {
    Ok(RecordedAnswer::new(number(status)?, document.clone()))
}

fn number<N: std::str::FromStr>(digits: &Bytes) -> Result<N, LedgerError> {
    text(digits)?.parse().map_err(|_| unreadable())
}

fn text(bytes: &Bytes) -> Result<&str, LedgerError> {
    std::str::from_utf8(bytes).map_err(|_| unreadable())
}

pub(super) fn unreadable() -> LedgerError {
    LedgerError::new("cannot read a record in Redis: this ledger did not write it")
}
