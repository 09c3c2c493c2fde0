//! Checks the form in which stores keep records: written and read again at each step,
//! it leads to the same reply and the same record.

use std::fmt;

use crate::ledger::record::{Step, Stored};
use crate::ledger::state::{self, Millis, Record};

pub(super) fn check<R: PartialEq + fmt::Debug>(
    before: Option<&Record>,
    now: Millis,
    step: &Step<R>,
    (write, reply): &state::Step<R>,
) {
    let stored = before.map(Stored::of);
    let read = stored.clone().map(|mut stored| {
        stored.delivery = stored.delivery.filter(|_| step.reads_delivery());
        stored.answer = stored.answer.filter(|_| step.reads_answer());
        stored
    });
    let (replied, change) = step.apply(read.as_ref(), now).expect("a readable record");
    assert_eq!(replied, *reply, "{step:?} of {before:?}");
    let written = change.map(|change| change.onto(stored.as_ref(), now));
    let expected = write.as_ref().map(Stored::of);
    assert_eq!(written, expected, "{step:?} of {before:?}");

    // A store may write without reading first.
    if let Some(guess) = step.guess()
        && guess.expected == stored.as_ref().map(|stored| stored.state.clone())
    {
        assert_eq!(guess.reply, *reply, "the guess for {step:?} of {before:?}");
        let guessed = guess.change.onto(stored.as_ref(), now);
        assert_eq!(
            Some(guessed),
            written,
            "the guess for {step:?} of {before:?}"
        );
    }
}
