//! Whether a machine wrote an email, or a person merely passed one on.
//!
//! Gladly shows no mail headers, so sender, subject and text have to tell. A
//! bot that answers an auto-responder talks to a machine that answers back;
//! one that answers a bounce talks to nobody. But an ordinary customer may
//! write *about* such mail, so every pattern is tied to the place where
//! machines put it: the local part of the address, the subject's beginning, a
//! line's beginning.

use std::sync::LazyLock;

use regex::RegexSet;

use super::email;
use super::pattern::built_in;

/// Whether an email was written by a machine (a bounce, an out-of-office reply,
/// a receipt, anything from a no-reply address), or is a forwarded one.
///
/// `from` is an address, bare or with a name; quoted history in `text` does
/// not count.
pub fn is_automated_email(from: &str, subject: &str, text: &str) -> bool {
    let own_words = email::own_words(text);
    SENDERS.is_match(local_part(from))
        || SUBJECTS.is_match(without_tags(subject))
        || email::is_forwarded(text)
        || TEXTS.is_match(own_words)
        || (AWAY.is_match(own_words) && AWAY_PROMISES.is_match(own_words))
}

/// `jane` of `"Jane Doe" <jane@acme.com>`.
fn local_part(from: &str) -> &str {
    let address = from.rsplit_once('<').map_or(from, |(_, address)| address);
    address.split('@').next().unwrap_or_default().trim()
}

/// The subject without the marks that mail gateways put in front.
fn without_tags(subject: &str) -> &str {
    let mut subject = subject.trim();
    while let Some(rest) = GATEWAY_TAGS.iter().find_map(|tag| {
        subject
            .get(..tag.len())
            .filter(|start| start.eq_ignore_ascii_case(tag))
    }) {
        subject = subject[rest.len()..].trim_start();
    }
    subject
}

const GATEWAY_TAGS: &[&str] = &["[EXTERNAL]", "[EXT]", "EXTERNAL:", "[SPAM]", "***SPAM***"];

/// Local parts that no person reads.
static SENDERS: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        // Bounces.
        r"^(?:mailer-?daemon|postmaster|mail-?daemon|bounces?(?:[-+=_.].*)?|.+[-+]bounces?|prvs=.*)$",
        // "Do not answer", in several languages.
        r"^(?:.+[-+_.])?(?:no|do-?not|donot|do_not)[-_.]?(?:reply|respond)(?:[-+_.].*)?$",
        r"^(?:no-?responder|ne-?pas-?repondre|keine?-?antwort|nicht-?antworten|nao-?respond[ae]r?|non-?rispondere|niet-?beantwoorden)(?:[-+_.].*)?$",
        // Robots by name.
        r"^(?:auto-?(?:reply|responder|mailer|confirm)|notifications?|alerts?|system-?notification)(?:[-+_.].*)?$",
    ])
});

/// How the subject of a machine's email begins.
static SUBJECTS: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        // Bounces: Gmail, Exchange, Postfix, Exim, Yahoo, sendmail.
        r"^(?:re: )?(?:undeliverable|undelivered|non remis|unzustellbar|no se puede entregar|non recapitabile|onbestelbaar|não é possível entregar|nie można dostarczyć|kan inte levereras)\s?:",
        r"^undelivered mail returned to sender\b",
        r"^delivery status notification\b",
        r"^mail delivery (?:failed|failure|system|subsystem|status)\b",
        r"^(?:returned mail:|failure notice$|warning: (?:message|could not send)|message (?:you sent )?blocked|delivery has failed to|nondeliverable mail|unzustellbare nachricht)",
        r"^(?:delayed mail \(|delivery delayed:)",
        // Out of office. English needs its colon or an end: people write about doors and chairs.
        r"^(?:auto(?:matic)?[- ]?(?:reply|response|responder)|autoreply)\s*(?:[:\-–\]]|$)",
        r"^(?:(?:i am|i'm|am) )?(?:currently )?out of (?:the )?office(?:\s*[:\-–(\[!.]|$| (?:re|reply|auto|autoreply|message|notification|notice|response|until|from|today|alert)\b)",
        r"^ooo\s*[:\-–]",
        r"^on (?:vacation|annual leave|maternity leave|parental leave|leave)(?:\s*[:\-–(]|$| (?:until|re)\b)",
        r"^(?:abwesenheitsnotiz|automatische (?:antwort|abwesenheitsnotiz|abwesenheitsmeldung))\b",
        r"^(?:abwesenheit|abwesend|außer haus)(?:\s*[:\-–(]|$)",
        r"^(?:réponse automatique|reponse automatique|absence du bureau|absent du bureau|message d['’]absence)\b",
        r"^(?:respuesta automática|respuesta automatica|fuera de la oficina|ausente de la oficina|ausencia de la oficina)\b",
        r"^(?:risposta automatica|fuori ufficio|assente dall['’]ufficio)\b",
        r"^(?:automatisch antwoord|automatische reactie|afwezigheidsbericht)\b|^(?:afwezig|niet aanwezig)(?:\s*[:\-–(]|$)",
        r"^(?:resposta automática|resposta automatica|fora do escritório|ausência temporária)\b",
        r"^(?:autosvar|automatiskt svar|automatisk svar|frånvaromeddelande|automaattinen vastaus)\b|^(?:frånvaro|fravær|fraværende|ikke til stede|poissa)(?:\s*[:\-–(]|$)",
        r"^(?:automatyczna odpowiedź|odpowiedź automatyczna|poza biurem)\b|^nieobecność(?:\s*[:\-–(]|$)",
        r"^(?:自動応答|自動返信|不在通知|automatická odpověď|автоответ|自动回复|자동 회신)",
        // Receipts of other help desks.
        r"^(?:re: )?\[?(?:ticket|request|case|incident)(?: id| number| no\.?)?[ :#]*\w*\d\w*\]?\s*[:\-–]?(?: has been| was| is)? ?(?:received|created|opened|closed|resolved|updated|solved)\W*(?:$|[:\-–])",
        r"^\[?(?:ticket|request|case) (?:received|created)\W*(?:$|[:\-–])",
        r"^(?:we(?:'ve| have) received your|your (?:request|ticket|case|enquiry|inquiry|message|email) (?:#?\S+ )?(?:has been|was) (?:received|created|logged|closed|resolved))\b",
        r"^(?:thank you for contacting|thanks for contacting|ihre anfrage ist (?:bei uns )?eingegangen|eingangsbestätigung|accusé de réception)\b",
        r"^(?:read:|read receipt\b|gelesen:|lu :|leído:|not read:)",
        r"^\[?auto(?:matic|mated)?[- ]?(?:generated|confirmation|acknowledge?ment|message)\b",
        // Forwarded mail: English, German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Danish, Polish, Chinese, Japanese.
        r"^(?:fwd?|wg|tr|rv|renv|enc|i|doorst|vb|vs|pd|转发|轉寄|転送)\s?[:：]",
    ])
});

/// How a line of a machine's email begins.
static TEXTS: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        r"(?m)^\W*(?:note: |please note: |\*+)?(?:this is an? (?:automated|automatic|automatically generated|auto-generated|system[- ]generated) (?:e-?mail|message|reply|response|notification|acknowledge?ment)|this (?:e-?mail|message) (?:was|is|has been) (?:sent )?automatically|this (?:e-?mail|message) was created automatically by mail delivery software)\b",
        r"(?m)^\W*(?:please )?do not (?:reply|respond) to this (?:automated )?(?:e-?mail|message)\b",
        r"(?m)^\W*(?:this (?:mailbox|inbox|address|email address) is (?:not monitored|unmonitored|unattended))\b",
        r"(?m)^\W*(?:dies(?:e e-?mail|e nachricht)? (?:ist eine automatisch|wurde automatisch)|ceci est un (?:message|e-?mail|courriel) automatique|este es un mensaje automático|esta é uma mensagem automática|questo è un messaggio automatico|dit is een automatisch)",
        r"(?m)^\W*(?:your message to .{3,80} (?:couldn't be delivered|could not be delivered|was blocked)|delivery to the following recipients? failed|the following addresses had permanent fatal errors|your message wasn't delivered to|address not found$|i'm sorry to have to inform you that your message could not|diagnostic-code:|reporting-mta:)",
    ])
});

/// A person's notice of absence has to say both that they are away …
static AWAY: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        r"\b(?:i am|i'm|i will be|i'll be|am) (?:currently |now )?(?:out of (?:the )?office|away from (?:the office|my desk|work)|on (?:annual |parental |maternity |sick )?(?:leave|vacation|holiday))\b",
        r"\bich bin (?:derzeit|zur ?zeit|momentan|bis|ab|vom)\b.{0,60}\b(?:nicht (?:im büro|erreichbar|im hause)|abwesend|im urlaub)\b",
        r"\bje suis (?:actuellement )?(?:absente?|en congés?)\b",
        r"\b(?:estoy|estaré) (?:actualmente )?(?:fuera de la oficina|de vacaciones)\b",
    ])
});

/// … and what becomes of the sender's email, which nobody writes to a shop.
static AWAY_PROMISES: LazyLock<RegexSet> = LazyLock::new(|| {
    built_in(&[
        r"\b(?:limited|no|intermittent|sporadic) access to (?:my )?e-?mails?\b",
        r"\b(?:respond|reply|get back|return your (?:e-?mail|message|call)|answer)\b.{0,40}\b(?:when i (?:return|am back|get back)|upon my return|on my return|as soon as i (?:return|am back))\b",
        r"\b(?:for|in) (?:urgent|emergenc|immediate).{0,60}\b(?:contact|call|email|reach)\b",
        r"\bin dringenden fällen\b|\bwird nicht weitergeleitet\b|\bnach meiner rückkehr\b",
        r"\ben cas d['’]urgence\b|\bà mon retour\b",
        r"\ben caso de urgencia\b|\ba mi regreso\b|\bpara asuntos urgentes\b",
    ])
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Example {
        from: String,
        subject: String,
        text: String,
    }

    const AUTOMATED: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/automated_email.json"
    ));
    const ORDINARY: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/ordinary_email.json"
    ));

    fn examples(json: &str) -> Vec<Example> {
        let examples: Vec<Example> =
            serde_json::from_str(json).unwrap_or_else(|error| panic!("bad fixture: {error}"));
        assert!(examples.len() >= 40, "{} examples", examples.len());
        examples
    }

    /// The examples that are judged otherwise than `expected`.
    fn misjudged(json: &str, expected: bool) -> Vec<String> {
        examples(json)
            .iter()
            .filter(|email| {
                is_automated_email(&email.from, &email.subject, &email.text) != expected
            })
            .map(|email| format!("{}: {}", email.from, email.subject))
            .collect()
    }

    #[test]
    fn machines_and_forwarded_mail_are_recognised() {
        assert_eq!(misjudged(AUTOMATED, true), [""; 0]);
    }

    #[test]
    fn what_customers_write_is_not_taken_for_a_machines() {
        assert_eq!(misjudged(ORDINARY, false), [""; 0]);
    }

    #[test]
    fn quoted_history_does_not_make_an_email_automated() {
        let text = "Thanks, but it is still broken.\n\n\
            On Mon, Jan 5, 2026 at 10:00 AM Acme <no-reply@acme.com> wrote:\n\
            > This is an automated message.\n> Please do not reply to this email.\n";
        assert!(!is_automated_email("jane@doe.org", "Re: Your order", text));
    }

    proptest! {
        #[test]
        fn any_email_can_be_judged(from in any::<String>(), subject in any::<String>(), text in any::<String>()) {
            let _ = is_automated_email(&from, &subject, &text);
        }
    }
}
