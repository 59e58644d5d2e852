//! The built-in knowledge: a small web shop, for the demo. The entry with the
//! most keywords in the question answers; on a tie, the first.
//!
//! An order number on a thread that talked of an order is looked up, so that a
//! follow-up shows what a thread is for.

use super::options::{Answer, WhenUnknown};
use super::world::Question;

struct Entry {
    /// Words or their beginnings, in lower case.
    keywords: &'static [&'static str],
    answer: &'static str,
}

const ORDER: Entry = Entry {
    keywords: &["order", "track", "package", "parcel", "arrive", "delivered"],
    answer: "I can look that up. What is your **order number**? It has five digits and is in \
             your [confirmation email](https://shop.example.com/help/order-number).",
};

const ENTRIES: &[Entry] = &[
    ORDER,
    Entry {
        keywords: &["return", "refund", "exchange", "money", "back", "send"],
        answer: "You can return anything within **30 days**:\n\n\
                 1. Open [your orders](https://shop.example.com/orders) and pick *Return*.\n\
                 2. Print the label, or show the code at the counter.\n\
                 3. Drop the parcel off.\n\n\
                 The refund is on your account 3 to 5 working days after it reaches us.",
    },
    Entry {
        keywords: &[
            "shipping", "ship", "deliver", "postage", "cost", "long", "abroad",
        ],
        answer: "We ship to all of Europe:\n\n\
                 - **Standard**: 2 to 4 working days, €3.90, free from €50\n\
                 - **Express**: the next working day, €9.90\n\n\
                 See [shipping](https://shop.example.com/shipping) for other countries.",
    },
    Entry {
        keywords: &[
            "open", "opening", "hours", "store", "close", "sunday", "weekend",
        ],
        answer: "Our shop is open **Monday to Saturday, 9:00 to 18:00**, and closed on Sundays.",
    },
    Entry {
        keywords: &[
            "password", "login", "log", "sign", "account", "reset", "locked",
        ],
        answer: "To set a new password:\n\n\
                 1. Go to [Sign in](https://shop.example.com/login) and choose *Forgot password*.\n\
                 2. Open the link in the email. It works for **one hour**.",
    },
    Entry {
        keywords: &["gift", "card", "voucher", "present"],
        answer: "Gift cards come by email, from **€10 to €200**, and are good for three years. \
                 [Buy one here](https://shop.example.com/gift-cards).",
    },
    Entry {
        keywords: &[
            "warranty",
            "guarantee",
            "broken",
            "broke",
            "defect",
            "damaged",
            "repair",
        ],
        answer: "I'm sorry to hear that. Everything has a **two-year warranty**. Please send a \
                 photo and your order number through [this form](https://shop.example.com/warranty).",
    },
    Entry {
        keywords: &["pay", "payment", "paypal", "invoice", "visa", "mastercard"],
        answer: "You can pay by **card, PayPal or invoice**. An invoice is due after 14 days.",
    },
    Entry {
        keywords: &["size", "fit", "sizing", "small", "large"],
        answer: "Our sizes run true. The [size guide](https://shop.example.com/sizes) has all \
                 measures; if you are between two sizes, take the *larger* one.",
    },
    Entry {
        keywords: &["hello", "hi", "hey", "morning", "evening"],
        answer: "Hello! I can help with orders, shipping, returns and your account. What is it about?",
    },
    Entry {
        keywords: &["thanks", "thank", "bye", "great", "perfect"],
        answer: "You're welcome! Is there anything else I can do for you?",
    },
];

/// Answers from the shop's knowledge.
pub(crate) fn answer(question: &Question, when_unknown: WhenUnknown) -> Answer {
    let words = words_of(&question.text);
    if let Some(number) = order_number(&words)
        && question
            .before
            .iter()
            .chain([&question.text])
            .any(|text| score(&ORDER, &words_of(text)) > 0)
    {
        return Answer::Text(order_status(number));
    }
    let best = ENTRIES
        .iter()
        .rev()
        .max_by_key(|entry| score(entry, &words));
    match (best.filter(|entry| score(entry, &words) > 0), when_unknown) {
        (Some(entry), _) => Answer::Text(entry.answer.to_owned()),
        (None, WhenUnknown::HandOff) => Answer::HandOff("I'm sorry, I don't know that.".to_owned()),
        (None, WhenUnknown::Empty) => Answer::Text(String::new()),
    }
}

fn words_of(text: &str) -> Vec<String> {
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn score(entry: &Entry, words: &[String]) -> usize {
    let matches = |word: &&String| {
        entry.keywords.iter().any(|keyword| {
            // Plurals and the like; short keywords must match whole.
            word == keyword || (keyword.len() > 3 && word.starts_with(keyword))
        })
    };
    words.iter().filter(matches).count()
}

fn order_number(words: &[String]) -> Option<&str> {
    let is_number = |word: &&String| word.len() == 5 && word.bytes().all(|b| b.is_ascii_digit());
    words.iter().find(is_number).map(String::as_str)
}

/// The number's last digit decides, so that a demo can show each.
fn order_status(number: &str) -> String {
    let status = match number.as_bytes().last() {
        Some(b'0'..=b'3') => "is being packed and leaves our warehouse **today**",
        Some(b'4'..=b'7') => "is on its way and should arrive **tomorrow**",
        _ => "was delivered **yesterday**; please ask your neighbours, too",
    };
    format!(
        "Your order **{number}** {status}.\n\n[Track it](https://shop.example.com/orders/{number})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str, before: &[&str]) -> Answer {
        let before = before.iter().map(ToString::to_string).collect();
        let (thread_id, text) = (String::new(), text.to_owned());
        let question = Question {
            sequence: 1,
            call: 1,
            thread_id,
            text,
            locale: None,
            before,
        };
        answer(&question, WhenUnknown::HandOff)
    }

    #[test]
    fn each_entry_is_found_by_its_question() {
        for (text, part) in [
            ("Where is my order?", "order number"),
            ("How do I send it back for a refund?", "30 days"),
            ("How much does shipping to Spain cost?", "Express"),
            ("When are you open on Sundays?", "Monday"),
            ("I forgot my password", "Forgot password"),
            ("Do you have gift cards?", "three years"),
            ("The handle is broken", "two-year warranty"),
        ] {
            let Answer::Text(found) = ask(text, &[]) else {
                panic!("nothing for {text:?}")
            };
            assert!(found.contains(part), "{text:?}: {found}");
        }
    }

    #[test]
    fn a_bare_order_number_means_something_only_after_talk_of_an_order() {
        assert!(matches!(ask("12345", &[]), Answer::HandOff(_)));
        let Answer::Text(found) = ask("12345", &["where is my order"]) else {
            panic!()
        };
        assert!(found.contains("tomorrow"), "{found}");
    }
}
