//! Back ends are given the same random commands and must give the same
//! answers.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::bench::{
    Bench, TALLY, account, at, claim, delivery, ended, human, id, item, look, merge, message,
    retry, running, save, the_bots, written,
};
use crate::conversation::Status;
use crate::id::{ThreadId, TurnId};
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::{
    Change, Claimed, DeadLetterId, Delivery, Learnt, Message, Progress, Recorded, Remembered, Save,
    Source, StoreError, StoredTurn, Swept, TurnQuery,
};

#[derive(Debug, Clone)]
pub(super) enum Step {
    Record(u8, Told),
    Claim(u8),
    Save(u8, u8, End),
    Retry(i64),
    Drop(i64),
    Purge(u8),
    Swept(u8),
    Restart,
}

#[derive(Debug, Clone)]
pub(super) enum Told {
    Message(u8, u8),
    Bots(u8),
    Human(u8),
    Closed(u8),
    Merge(u8, u8),
    Unusable,
}

#[derive(Debug, Clone)]
pub(super) enum End {
    Running,
    PutOff(u8, bool),
    Replied,
    HandedOff,
    Skipped,
    Dead(bool),
    Forgotten,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let told = prop_oneof![
        6 => (0..4u8, 0..12u8).prop_map(|(c, i)| Told::Message(c, i)),
        1 => (0..4u8).prop_map(Told::Bots),
        1 => (0..4u8).prop_map(Told::Human),
        1 => (0..4u8).prop_map(Told::Closed),
        1 => (0..4u8, 0..4u8).prop_map(|(s, d)| Told::Merge(s, d)),
        1 => Just(Told::Unusable),
    ];
    let end = prop_oneof![
        3 => Just(End::Running),
        2 => (0..40u8, any::<bool>()).prop_map(|(s, w)| End::PutOff(s, w)),
        2 => Just(End::Replied),
        1 => Just(End::HandedOff),
        1 => Just(End::Skipped),
        2 => any::<bool>().prop_map(End::Dead),
        1 => Just(End::Forgotten),
    ];
    prop_oneof![
        8 => (0..40u8, told).prop_map(|(e, t)| Step::Record(e, t)),
        5 => (0..4u8).prop_map(Step::Claim),
        8 => (any::<u8>(), 0..8u8, end).prop_map(|(t, l, e)| Step::Save(t, l, e)),
        1 => (1..6i64).prop_map(Step::Retry),
        1 => (1..6i64).prop_map(Step::Drop),
        1 => (0..60u8).prop_map(Step::Purge),
        1 => (0..60u8).prop_map(Step::Swept),
        1 => Just(Step::Restart),
    ]
}

/// Both back ends, and what was claimed of them.
pub(super) struct Pair {
    memory: Bench,
    pub(super) other: Bench,
    /// Each turn's id there: a database that several relays share numbers in blocks.
    ids: HashMap<TurnId, TurnId>,
    turns: Vec<StoredTurn>,
    runner: u32,
    second: u64,
}

impl Pair {
    pub(super) fn new(other: Bench) -> Self {
        Self {
            memory: Bench::memory(),
            other,
            ids: HashMap::new(),
            turns: Vec::new(),
            runner: 1,
            second: 0,
        }
    }

    pub(super) async fn step(&mut self, step: Step) {
        self.second += 3;
        let second = self.second;
        match step {
            Step::Record(event, told) => self.record(event, &told).await,
            Step::Claim(limit) => self.claim(limit.into()).await,
            Step::Save(which, learnt, end) => self.save(which, learnt, &end).await,
            Step::Retry(letter) => {
                let request = retry(DeadLetterId(letter), second);
                let one = self
                    .memory
                    .store()
                    .retry_dead_letter(request)
                    .await
                    .unwrap();
                let other = self.other.store().retry_dead_letter(request).await.unwrap();
                assert_eq!(one, other);
            }
            Step::Drop(letter) => {
                let letter = DeadLetterId(letter);
                let one = self.memory.store().drop_dead_letter(letter).await.unwrap();
                let other = self.other.store().drop_dead_letter(letter).await.unwrap();
                assert_eq!(one, other);
            }
            Step::Purge(age) => {
                let before = at(second.saturating_sub(age.into()));
                self.memory.store().purge(before).await.unwrap();
                self.other.store().purge(before).await.unwrap();
            }
            Step::Swept(age) => {
                let until = at(self.second.saturating_sub(age.into()));
                let account = account();
                let swept = Swept { account, until };
                self.memory.store().swept(swept.clone()).await.unwrap();
                self.other.store().swept(swept).await.unwrap();
            }
            Step::Restart => {
                self.runner += 1;
                self.memory.restart().await;
                self.other.restart().await;
            }
        }
        self.compare().await;
    }

    async fn record(&self, event: u8, told: &Told) {
        let conversation = |number: &u8| format!("c{number}");
        let change = match told {
            Told::Message(c, i) => {
                let Delivery { change, .. } =
                    message("", &conversation(c), &format!("i{i}"), self.second);
                change
            }
            Told::Bots(c) => Change::Holder(id(&conversation(c)), Some(the_bots())),
            Told::Human(c) => Change::Holder(id(&conversation(c)), Some(human())),
            Told::Closed(c) => Change::Status(id(&conversation(c)), Status::Closed),
            Told::Merge(s, d) => merge("", &conversation(s), &conversation(d), 0).change,
            Told::Unusable => Change::Unusable("no id".to_owned()),
        };
        let mut delivery = delivery(&format!("e{event}"), self.second, change);
        delivery.happened_at = Some(at(self.second.saturating_sub(u64::from(event) % 7)));
        delivery.raised_at = delivery.happened_at;
        if event.is_multiple_of(5) {
            let overdue = event.is_multiple_of(2);
            delivery.source = Source::Sweep { overdue };
        }
        let one: Result<Recorded, _> = self.memory.store().record(delivery.clone()).await;
        let other = self.other.store().record(delivery).await;
        assert_eq!(one.unwrap(), other.unwrap());
    }

    async fn claim(&mut self, limit: usize) {
        let request = claim(self.runner, self.second, limit);
        let one: Claimed = self.memory.store().claim(request.clone()).await.unwrap();
        let other = self.other.store().claim(request).await.unwrap();
        assert_eq!(one.next_due_at, other.next_due_at);
        assert_eq!(one.turns.len(), other.turns.len());
        for ((turn, standing), (mut theirs, other_standing)) in one.turns.iter().zip(other.turns) {
            assert_eq!(*self.ids.entry(turn.id).or_insert(theirs.id), theirs.id);
            theirs.id = turn.id;
            assert_eq!((turn, standing), (&theirs, &other_standing));
        }
        let turns = one.turns.into_iter().map(|(turn, _)| turn);
        self.turns.extend(turns);
    }

    async fn save(&self, which: u8, learnt: u8, end: &End) {
        let latest = self.turns.iter().rev().take(4).collect::<Vec<_>>();
        let Some(turn) = latest.get(usize::from(which) % latest.len().max(1)) else {
            return;
        };
        let request = save(
            turn,
            self.runner,
            self.second,
            self.learnt(learnt, turn),
            self.progress(end),
        );
        let one = self.memory.store().save(request.clone()).await;
        let turn_id = self.ids[&turn.id];
        let other = self.other.store().save(Save { turn_id, ..request }).await;
        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(StoreError::NotRunning), Err(StoreError::NotRunning)) => {}
            (one, other) => panic!("{one:?} and {other:?}"),
        }
    }

    fn learnt(&self, kind: u8, turn: &StoredTurn) -> Vec<Learnt> {
        match kind {
            0 => vec![Learnt::Looked(look(turn.began, the_bots(), self.second))],
            1 => vec![Learnt::Looked(look(turn.began, human(), self.second))],
            2 => vec![Learnt::Merged(id("c3"))],
            3 => vec![
                Learnt::Thread(ThreadId("t".to_owned()), written(turn.began, self.second)),
                Learnt::Wrote(item("own")),
            ],
            4 => vec![Learnt::TookUp(vec![Message {
                item_id: item("i3"),
                written: written(turn.began, self.second),
                received_at: at(self.second),
                deadline_at: at(self.second + 9),
                overdue: self.second.is_multiple_of(3),
            }])],
            5 => vec![
                Learnt::Settled(vec![item("i1")]),
                Learnt::Unusable("odd".to_owned()),
            ],
            _ => vec![],
        }
    }

    fn progress(&self, end: &End) -> Progress {
        let state = || ("s".to_owned(), "w".to_owned());
        match end {
            End::Running => running(&self.second.to_string()),
            End::PutOff(seconds, words) => Progress::PutOff {
                state: words.then(state),
                until: at(self.second + u64::from(*seconds)),
            },
            End::Replied => ended(Outcome::Replied),
            End::HandedOff => ended(Outcome::HandedOff(HandoffReason::Deadline)),
            End::Skipped => ended(Outcome::Skipped(SkipReason::HumanAssigned)),
            End::Forgotten => Progress::Forgotten,
            End::Dead(may_have_written) => Progress::Ended {
                outcome: Outcome::Dead("it broke".to_owned()),
                may_have_written: *may_have_written,
                state: "last".to_owned(),
                tally: TALLY,
            },
        }
    }

    async fn compare(&self) {
        let (memory, other) = (self.memory.store(), self.other.store());
        let now = at(self.second);
        assert_eq!(
            memory.backlog(now).await.unwrap(),
            other.backlog(now).await.unwrap()
        );
        let mut letters = memory.dead_letters().await.unwrap();
        for letter in &mut letters {
            letter.turn_id = letter.turn_id.map(|id| self.ids[&id]);
        }
        assert_eq!(letters, other.dead_letters().await.unwrap());
        assert_eq!(
            memory.swept_until(&account()).await.unwrap(),
            other.swept_until(&account()).await.unwrap()
        );
        let all = TurnQuery::default();
        let mut turns = memory.turns(&all).await.unwrap();
        for turn in &mut turns {
            turn.id = self.ids[&turn.id];
        }
        turns.sort_by_key(|turn| std::cmp::Reverse(turn.place()));
        assert_eq!(turns, other.turns(&all).await.unwrap());
        for number in 0..4 {
            let id = id(&format!("c{number}"));
            let here = memory.remembered(&id, None).await.unwrap();
            let there = other.remembered(&id, None).await.unwrap();
            assert_eq!(told(&here), told(&there));
        }
        let (from, until) = (i64::MIN, i64::MAX);
        let mut totals = other.totals(from, until, None).await.unwrap();
        totals.sort();
        assert_eq!(memory.totals(from, until, None).await.unwrap(), totals);
    }
}

/// What is remembered, but for turns' ids.
fn told(remembered: &[Remembered]) -> Vec<String> {
    let mut told = Vec::new();
    for one in remembered {
        let conversation = &one.conversation;
        let outcome = |turn: &Result<StoredTurn, _>| {
            let turn = turn.as_ref().map_err(drop);
            turn.map(|turn| (turn.state.clone(), turn.end.clone(), turn.messages.clone()))
        };
        let turns: Vec<_> = one.turns.iter().map(outcome).collect();
        let letters: Vec<_> = one.dead_letters.iter().map(|letter| letter.id).collect();
        told.push(format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {turns:?} {letters:?}",
            one.conversation_id,
            conversation.known,
            conversation.lane.waiting,
            conversation.past.told,
            conversation.past.episode,
            one.merged_from,
        ));
    }
    told
}

/// Plays the steps on both.
fn play(other: impl std::future::Future<Output = Option<Bench>>, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Some(other) = other.await else { return };
        let mut pair = Pair::new(other);
        for step in steps {
            pair.step(step).await;
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_memory_does(steps in prop::collection::vec(step(), 1..60)) {
        play(async { Some(Bench::sqlite().await) }, steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// But for purges: this one forgets by the hour.
    #[test]
    fn postgres_answers_as_memory_does(steps in prop::collection::vec(step(), 1..60)) {
        let steps = steps.into_iter().filter(|step| !matches!(step, Step::Purge(_)));
        play(Bench::postgres(), steps.collect());
    }
}
