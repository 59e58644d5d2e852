//! One suite for every back end: the same cases, the same answers. By theme; random
//! commands that must leave all back ends alike stand in `equivalence`.

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut super::Bench::memory()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut super::Bench::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn $name() {
                if let Some(mut bench) = super::Bench::postgres().await {
                    super::$name(&mut bench).await;
                }
            })*
        }
    };
}

pub(super) mod bench;
mod copied;
mod equivalence;

mod claiming;
mod dead_letters;
mod history;
mod keeping;
mod merging;
mod recording;
mod saving;
mod sweeping;

use std::time::Duration;

use bench::{
    Bench, DEADLINE, account, at, bot, claim, dead, delivery, ended, human, id, item, look, merge,
    message, moment, retry, running, save, the_bots, written,
};

use super::types::MOST_UNUSABLE;
use super::{
    Backlog, Change, Delivery, Learnt, Message, Progress, Recorded, Source, StoreError, Swept,
};
use crate::conversation::{Repetition, Status, Whose};
use crate::id::{AccountName, InboxId, ThreadId};
use crate::outcome::{HandoffReason, Outcome, SkipReason};
