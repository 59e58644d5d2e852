//! The language a customer writes in, when it can be told.
//!
//! Two witnesses: letter statistics, which need a sentence or two, and the
//! little words that a short message in a common language is full of. The
//! second is asked when the first is not sure.

mod common_words;

use whatlang::{Detector, Lang, Script};

/// The ISO 639-1 code of the language of `text`, or `None` if that can't be
/// told with confidence.
///
/// A wrong locale makes the bot answer in a language the customer may not
/// read, so very short texts give none, and neither do languages that
/// short texts are mistaken for more often than they are written in. What
/// looks the same in every language (addresses, numbers) does not count.
pub fn locale(text: &str) -> Option<&'static str> {
    let words = words_only(text);
    by_letters(&words).or_else(|| common_words::language(&words))
}

/// What the statistics of letters say, if they are sure.
fn by_letters(words: &str) -> Option<&'static str> {
    let info = Detector::new().detect(words)?;
    let letters = words
        .chars()
        .filter(|letter| letter.is_alphabetic())
        .count();
    let enough = letters >= fewest_letters(info.script());
    (enough && info.is_reliable())
        .then(|| code(info.lang()))
        .flatten()
}

/// The words of `text` that belong to a language.
fn words_only(text: &str) -> String {
    text.split_whitespace()
        .filter(|word| !word.contains(|c: char| "@/_#".contains(c) || c.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// How much text a script needs before it tells a language.
fn fewest_letters(script: Script) -> usize {
    match script {
        // Written by one language, of those told apart here.
        Script::Hangul
        | Script::Hiragana
        | Script::Katakana
        | Script::Greek
        | Script::Thai
        | Script::Georgian
        | Script::Armenian => 4,
        // A few of them may be a Japanese heading; a sentence without kana is not.
        Script::Mandarin => 8,
        _ => 20,
    }
}

/// The two-letter code of a language, if a customer is likely to mean it.
fn code(language: Lang) -> Option<&'static str> {
    Some(match language {
        Lang::Eng => "en",
        Lang::Rus => "ru",
        Lang::Cmn => "zh",
        Lang::Spa => "es",
        Lang::Por => "pt",
        Lang::Ita => "it",
        Lang::Ben => "bn",
        Lang::Fra => "fr",
        Lang::Deu => "de",
        Lang::Ukr => "uk",
        Lang::Kat => "ka",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Jpn => "ja",
        Lang::Heb => "he",
        Lang::Pol => "pl",
        Lang::Kor => "ko",
        Lang::Nob => "nb",
        Lang::Dan => "da",
        Lang::Swe => "sv",
        Lang::Fin => "fi",
        Lang::Tur => "tr",
        Lang::Nld => "nl",
        Lang::Hun => "hu",
        Lang::Ces => "cs",
        Lang::Ell => "el",
        Lang::Bul => "bg",
        Lang::Ron => "ro",
        Lang::Slv => "sl",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Lit => "lt",
        Lang::Lav => "lv",
        Lang::Est => "et",
        Lang::Tam => "ta",
        Lang::Vie => "vi",
        Lang::Urd => "ur",
        Lang::Tha => "th",
        Lang::Ind => "id",
        Lang::Pes => "fa",
        Lang::Slk => "sk",
        Lang::Cat => "ca",
        Lang::Hye => "hy",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOLD: &[(&str, &str)] = &[
        (
            "en",
            "Where is my order? It was due on Monday and I still have not received it.",
        ),
        ("en", "where is my order"),
        ("en", "can i get a refund for order #48213 please"),
        ("en", "hello there, do you ship to canada"),
        (
            "en",
            "My package never arrived, can you help me with that please?",
        ),
        ("en", "what is your return policy"),
        ("en", "i would like to cancel my subscription"),
        (
            "de",
            "Wo ist meine Bestellung? Sie sollte am Montag ankommen.",
        ),
        ("de", "Ich möchte diese Schuhe zurückgeben"),
        ("de", "ich habe mein paket nicht bekommen"),
        ("fr", "Où est ma commande ? Elle devait arriver lundi."),
        ("fr", "je n'ai pas reçu mon colis"),
        ("es", "¿Dónde está mi pedido? Tenía que llegar el lunes."),
        ("es", "hola, quiero cancelar mi suscripcion por favor"),
        ("it", "Dov'è il mio ordine? Doveva arrivare lunedì."),
        ("nl", "Waar is mijn bestelling? Die zou maandag komen."),
        (
            "pt",
            "Onde está a minha encomenda? Não chegou na segunda-feira.",
        ),
        ("sv", "Var är min beställning? Den skulle komma i måndags."),
        (
            "pl",
            "Gdzie jest moje zamówienie? Miało dojść w poniedziałek.",
        ),
        ("ja", "ご注文の商品がまだ届きません。いつ届きますか。"),
        ("zh", "我的订单在哪里？它应该星期一到。"),
        ("ru", "Где мой заказ? Он должен был прийти в понедельник."),
        ("ko", "주문한 상품이 아직 오지 않았어요"),
        ("ar", "أين طلبي؟ كان من المفترض أن يصل يوم الاثنين"),
        ("el", "Τι ώρα κλείνετε σήμερα;"),
        ("th", "สินค้าของฉันอยู่ที่ไหน"),
        (
            "de",
            "Siehe https://shop.example/en/where-is-my-order#the-faq, ich verstehe das leider nicht.",
        ),
    ];

    const NOT_TOLD: &[&str] = &[
        "",
        "hi",
        "ok",
        "ok danke",
        "no",
        "thanks!",
        "merci beaucoup",
        "48213",
        "iPhone 15 Pro Max 256GB",
        "Nike Air Max",
        "LG OLED Samsung QLED Sony Bravia Panasonic",
        "jane.doe@example.com",
        "https://acme.com/where-is-my-order",
        "asdfghjkl qwertyuiop zxcvbnm",
        "订单",
        "👍👍👍",
        "M, blue",
        "12 Elm Street, Springfield",
        "Jeg har ikke fået min pakke, kan I hjælpe med det",
    ];

    #[test]
    fn a_sentence_tells_its_language() {
        for (expected, text) in TOLD {
            assert_eq!(locale(text), Some(*expected), "{text}");
        }
    }

    #[test]
    fn short_and_ambiguous_texts_tell_none() {
        for text in NOT_TOLD {
            assert_eq!(locale(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked_about(text in any::<String>()) {
            let _ = locale(&text);
        }
    }
}
