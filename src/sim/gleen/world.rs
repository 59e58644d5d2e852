//! All that the simulated Gleen knows: its threads, and the questions asked.

use std::collections::{HashMap, VecDeque};

use super::options::{Answer, GleenOptions};
use crate::sim::front::{Call, Fronted, Ledger};
use crate::sim::sequence;

/// One question that was taken up.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its place among all that happened in this process's simulators.
    pub sequence: u64,
    /// The place of the call that brought it.
    pub call: u64,
    /// The thread it was asked on.
    pub thread_id: String,
    /// The words.
    pub text: String,
    /// The language asked for.
    pub locale: Option<String>,
    /// The questions asked on this thread before.
    pub before: Vec<String>,
}

/// What the simulated Gleen knows; see [`Gleen::wait_until`](super::Gleen::wait_until).
#[derive(Debug)]
pub struct World {
    pub(crate) options: GleenOptions,
    pub(crate) ledger: Ledger,
    pub(crate) scripted: VecDeque<Answer>,
    pub(crate) questions: Vec<Question>,
    /// The questions and answers of each thread, in turn.
    threads: HashMap<String, Vec<Exchange>>,
    last_thread: u64,
}

/// A question and what was answered, once it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The question's place; also its key.
    pub sequence: u64,
    /// The question.
    pub question: String,
    /// The answer; `None` while it is being thought about.
    pub answer: Option<Answer>,
}

/// The thread that a question names does not exist.
pub(crate) struct UnknownThread;

impl World {
    pub(crate) fn new(options: GleenOptions) -> Self {
        Self {
            ledger: Ledger::new(options.seed),
            options,
            scripted: VecDeque::new(),
            questions: Vec::new(),
            threads: HashMap::new(),
            // So that ids look like the one in Gleen's examples.
            last_thread: 802_299,
        }
    }

    /// The questions so far, in order.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// A thread's questions and answers, in order.
    pub fn thread(&self, thread_id: &str) -> Option<&[Exchange]> {
        self.threads.get(thread_id).map(Vec::as_slice)
    }

    /// Takes up a question, on a new thread if it names none.
    pub(crate) fn ask(
        &mut self,
        Call(call): Call,
        text: &str,
        thread_id: Option<&str>,
        locale: Option<String>,
    ) -> Result<Question, UnknownThread> {
        let thread_id = match thread_id {
            Some(thread_id) if self.threads.contains_key(thread_id) => thread_id.to_owned(),
            Some(_) => return Err(UnknownThread),
            None => {
                self.last_thread += 1;
                self.last_thread.to_string()
            }
        };
        let thread = self.threads.entry(thread_id.clone()).or_default();
        let before = thread
            .iter()
            .map(|exchange| exchange.question.clone())
            .collect();
        let sequence = sequence::next();
        thread.push(Exchange {
            sequence,
            question: text.to_owned(),
            answer: None,
        });
        let question = Question {
            sequence,
            call,
            thread_id,
            text: text.to_owned(),
            locale,
            before,
        };
        self.questions.push(question.clone());
        Ok(question)
    }

    /// Keeps the answer on the question's thread.
    pub(crate) fn record_answer(&mut self, question: &Question, answer: &Answer) {
        let Some(thread) = self.threads.get_mut(&question.thread_id) else {
            return;
        };
        if let Some(asked) = thread
            .iter_mut()
            .find(|asked| asked.sequence == question.sequence)
        {
            asked.answer = Some(answer.clone());
        }
    }

    pub(crate) fn forget_threads(&mut self) {
        self.threads.clear();
    }
}

impl Fronted for World {
    fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }
}
