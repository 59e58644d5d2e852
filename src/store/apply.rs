//! What a command changes: one pure function over loaded values, the same for
//! every back end. No rule stands in SQL.

mod claim;
mod dead;
mod record;
mod save;
#[cfg(test)]
mod tests;

use super::picture::Picture;
use super::types::{Answer, Command};

/// Applies a command to what was loaded for it. What is to be saved stands in
/// [`Picture::changes`] afterwards.
pub fn apply(command: Command, picture: &mut Picture) -> Answer {
    match command {
        Command::Record(delivery) => Answer::Recorded(record::record(delivery, picture)),
        Command::Claim(request) => Answer::Claimed(claim::claim(&request, picture)),
        Command::Save(save) => save::save(&save, picture),
        Command::RetryDeadLetter(request) => Answer::Settled(dead::retry(request, picture)),
        Command::DropDeadLetter(id) => Answer::Settled(dead::drop(id, picture)),
        Command::Swept(swept) => {
            picture.changes.swept.push(swept);
            Answer::Settled(true)
        }
    }
}
