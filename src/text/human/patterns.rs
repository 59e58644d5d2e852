//! The default `ask_for_human` patterns, for English.
//!
//! They are ordinary regular expressions, and an operator who sets others
//! replaces them all. There is no look-ahead in this dialect, so a noun is told
//! from a longer one ("human resources") by what may follow it, not by what
//! may not. Two macros spell the parts that several patterns share.

/// Whom customers ask for: nouns that mean a human of the shop and little else,
/// with the spellings that hurried thumbs produce.
macro_rules! person {
    () => {
        r"(?:(?:(?:customer|custmer|client|tech|technical|support|sales|service|services|care|call center|help ?desk|account|billing) ){0,3}(?:agents?|agnets?|representatives?|represenatives?|representitives?|reps?|operators?|managers?|supervisors?|advis[eo]rs?|specialists?|associates?|csrs?|colleagues?)|(?:real life |living )?(?:humans?(?: beings?)?|person|persn|real people)|(?:staff|team) members?|members? of (?:your )?(?:staff|team))"
    };
}

/// What stands in front: articles, and the wish that it be a real one. Not
/// "my": "my agent" is somebody else.
macro_rules! a_real {
    () => {
        r"(?:(?:an?|the|your|another|any|some|one of your|real|real,|live|living|breathing|actual|human|proper|normal|different|senior|with|to) ){0,4}"
    };
}

/// What may follow for the noun to be the whole noun: the end, punctuation, or
/// a word that goes on with the sentence.
macro_rules! end {
    () => {
        r"(?: ?(?:[^\s\w'-]|$)| (?:please|pls|plz|now|right|asap|immediately|today|instead|who|that|about|regarding|for|on|in|at|from|with|to|as|because|and|or|but|not|so|if|thanks|thx|here|there|directly|over|via|by|this|i|we|can|is|any|rather|soon)\b)"
    };
}

/// Words for somebody, where the verb before them makes clear who is meant.
macro_rules! someone {
    () => {
        r"(?:some ?one|some ?body|sombody|anyone|anybody)(?: else| real| human| there| live)?"
    };
}

/// The desk instead of the person.
macro_rules! desk {
    () => {
        r"(?:(?:customer|custmer|client|tech|technical|human|live) (?:service|support|care)|(?:support|service|sales|billing)(?: team| department| staff)?)"
    };
}

/// What a bot is called by those who want it gone.
macro_rules! machine {
    () => {
        r"(?:(?:an?|the|this|your|some|any|stupid|dumb|useless|damn|automated) ){0,3}(?:chat ?)?(?:bots?|robots?|machines?|computers?|ai|assistant)"
    };
}

/// The `ask_for_human` patterns used unless an account sets its own; to be
/// compiled without regard to case.
pub fn default_human_patterns() -> &'static [&'static str] {
    PATTERNS
}

const PATTERNS: &[&str] = &[
    // The whole message: "agent", "no, a real person please", "get me a manager!!"
    concat!(
        r"^\W*(?:(?:hi|hello|hey|ok|okay|no|yes|sorry|please|pls|just|need|want|give me|gimme|get me|i said|can i have|can i get)\W+)*",
        a_real!(),
        "(?:",
        person!(),
        "|",
        desk!(),
        r"|live chat|someone real)(?:\W+(?:please|pls|plz|now|asap|thanks|thank you|agent|human|representative))*\W*$"
    ),
    // The last sentence of a message: "That's not what I asked. Human!"
    concat!(
        r"[.!?;,:] (?:(?:no|please|pls|just|get me|give me|i said) )*",
        a_real!(),
        person!(),
        r"(?: (?:please|pls|plz|now|asap|i mean))*\W*$"
    ),
    // A verb of contact: "speak with someone", "connect me to a live agent".
    concat!(
        r"\b(?:talk|tlak|speak|chat|connect(?:ed)?(?: me| us)?|(?:transfer|switch|put|pass|hand|route|redirect|refer|forward|direct) (?:me|us|this|it)(?: on| over| off| through)?|escalate(?: this| it| me)?|get (?:hold|a hold|ahold|in touch|through)|(?:i|we|to|please) (?:reach|contact)|hear from) (?:directly )?(?:to |2 |with |of |up with )?",
        a_real!(),
        "(?:",
        person!(),
        "|",
        someone!(),
        "|",
        desk!(),
        ")",
        end!()
    ),
    // A wish: "i want a human", "I need a live agent right now".
    concat!(
        r"\b(?:i|we|i'd|we'd) (?:(?:would|really|just|only|still|do) )*(?:want|need|demand|request|require|prefer|like) ",
        a_real!(),
        "(?:",
        person!(),
        "|human (?:help|support|assistance|contact))",
        end!()
    ),
    // A request: "can i get an agent", "useless, get me a person", "give me your manager".
    concat!(
        r"\b(?:(?:can|could|may) (?:i|we)(?: please)? (?:have|get|see|request)|(?:get|give|find|send|assign) me|gimme) ",
        a_real!(),
        person!(),
        end!()
    ),
    // Asking whether there is one: "is there someone I can talk to".
    concat!(
        r"\b(?:",
        person!(),
        "|",
        someone!(),
        r") (?:that |who |whom )?(?:i|we) (?:can|could|may|might) (?:\w+ )?(?:talk|speak|chat|call|reach|contact)\b"
    ),
    // Doubting it: "any real people working there?"
    r"\bany (?:real|actual|live|human) (?:people|persons?|humans?|agents?|beings?)\b",
    // A human as the one who acts: "can a human help me", "could a real person look at my case".
    concat!(
        r"\b(?:can|could|will|would) (?:an? |the |your )(?:real |live |actual )*",
        person!(),
        r" (?:please |pls )?(?:help|assist|look|check|answer|respond|reply|review|call|contact|take over|step in)\b"
    ),
    // A human as the source: "I need help from a real person".
    concat!(
        r"\b(?:help|answers?|reply|response|assistance|support) (?:from|by) ",
        a_real!(),
        person!(),
        end!()
    ),
    // A call, which no bot makes: "can someone call me", "please call me back".
    r"\b(?:can|could|will|would|please|pls|have) (?:(?:someone|somebody|anyone|you|u) )?(?:please )?(?:call|phone|ring) (?:me|us)\b",
    // Escalation without an addressee: "escalate this", "transfer me please".
    r"\bescalate (?:this|it|my (?:case|issue|complaint|ticket|problem))\b|\btransfer me(?: please| pls| now)?\W*$",
    // Sending the bot away: "stop bot", "I hate this bot". Not "robot", which shops sell.
    concat!(
        r"\b(?:stop|quit|exit|end|hate|enough of|sick of|tired of) (?:with )?(?:(?:the|this|your|stupid|dumb|useless|damn) ){0,3}(?:chat ?)?bot",
        end!()
    ),
    // Refusing to talk to it: "I don't want to talk to a bot".
    concat!(
        r"\b(?:don't|dont|do not|won't|not|stop|tired of|sick of|hate) (?:(?:want|wanna|like|going|gonna|to) )*(?:talk|speak|chat|deal|type|talking|speaking|chatting|dealing|typing) (?:to|with) ",
        machine!(),
        end!()
    ),
    // Choosing: "a human, not a bot".
    concat!(
        r"\b",
        person!(),
        r",? (?:and )?not an? (?:chat ?)?(?:bot|robot|machine|computer)\b"
    ),
];
