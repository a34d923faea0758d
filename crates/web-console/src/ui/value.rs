use proto::v1::{Options, PicklistOption, Value, value::Kind};

use super::{Markup, escape};

/// A value as people read it.
pub(crate) fn show(value: &Option<Value>) -> Markup {
    let Some(Value { kind: Some(kind) }) = value else { return blank() };
    match kind {
        Kind::Null(_) => blank(),
        Kind::Text(text) if text.is_empty() => blank(),
        Kind::Text(text) => Markup(escape(text)),
        Kind::Number(number) => Markup(format!(r#"<span class="num">{}</span>"#, escape(&grouped(number)))),
        Kind::Boolean(yes) => Markup(if *yes { "Yes" } else { "No" }.to_owned()),
        Kind::Date(date) => Markup(format!(r#"<span class="num">{}</span>"#, escape(date))),
        Kind::DateTime(at) => Markup(escape(at.get(..16).unwrap_or(at).replace('T', " ").as_str())),
        Kind::Options(options) if options.values.is_empty() => blank(),
        Kind::Options(options) => {
            let tags =
                options.values.iter().map(|option| format!(r#"<span class="tag">{}</span>"#, escape(option)));
            Markup(tags.collect::<Vec<_>>().join(" "))
        }
    }
}

/// The same, with options of a picklist by their labels.
pub(crate) fn show_labelled(value: &Option<Value>, options: &[PicklistOption]) -> Markup {
    let label = |text: &String| {
        let option = options.iter().find(|option| option.value == *text && !option.label.is_empty());
        option.map_or_else(|| text.clone(), |option| option.label.clone())
    };
    let kind = value.as_ref().and_then(|value| value.kind.as_ref());
    let labelled = match kind {
        Some(Kind::Text(text)) => Kind::Text(label(text)),
        Some(Kind::Options(of)) => Kind::Options(Options { values: of.values.iter().map(label).collect() }),
        _ => return show(value),
    };
    show(&Some(Value { kind: Some(labelled) }))
}

fn blank() -> Markup {
    Markup(r#"<span class="muted" aria-label="blank">—</span>"#.to_owned())
}

/// A number with its whole part in groups of three: `1,250,000.50`. Four digits stand together, because a year does.
/// The `.0` of a float is left out.
fn grouped(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("−", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(whole, part)| (whole, Some(part)));
    let Ok(whole) = whole.parse::<u64>() else { return number.to_owned() };
    let whole = if whole < 10_000 { whole.to_string() } else { super::number(&whole) };
    let fraction = fraction.filter(|fraction| *fraction != "0");
    fraction.map_or_else(|| format!("{sign}{whole}"), |fraction| format!("{sign}{whole}.{fraction}"))
}

/// An amount of money as people read it, with the decimals that it was sent with: `1,250.00 EUR`, `−900.00 USD`.
pub(crate) fn amount(decimal: &str, currency: &str) -> String {
    let (sign, rest) = decimal.strip_prefix('-').map_or(("", decimal), |rest| ("−", rest));
    let (whole, point) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    let whole = whole.parse::<u64>().map_or_else(|_| whole.to_owned(), |whole| super::number(&whole));
    format!("{sign}{whole}{point} {currency}").trim_end().to_owned()
}

/// A value as a form field holds it; the room reads it back by the field's type.
pub(crate) fn plain(value: Option<&Value>) -> String {
    match value.and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::Null(_)) => String::new(),
        Some(Kind::Text(text) | Kind::Number(text) | Kind::Date(text) | Kind::DateTime(text)) => text.clone(),
        Some(Kind::Boolean(yes)) => yes.to_string(),
        Some(Kind::Options(options)) => options.values.join("; "),
    }
}

/// The `type` of the input for a field, and its `inputmode`.
pub(crate) fn input_type(field_type: &str) -> (&'static str, &'static str) {
    match field_type {
        "email" => ("email", "email"),
        "phone" => ("tel", "tel"),
        "url" => ("url", "url"),
        "number" | "currency" | "percent" => ("text", "decimal"),
        "date" => ("date", "text"),
        _ => ("text", "text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind) -> Option<Value> {
        Some(Value { kind: Some(kind) })
    }

    #[test]
    fn markup_in_a_value_stays_text() {
        let shown = show(&value(Kind::Text("<b>\"Tom & Co\"</b>".into())));
        assert_eq!(shown.0, "&lt;b&gt;&quot;Tom &amp; Co&quot;&lt;/b&gt;");
    }

    #[test]
    fn options_are_shown_by_their_labels_where_these_are_known() {
        let options = [("FOOD_BEVERAGES", "Food & Beverages"), ("BARE", "")]
            .map(|(value, label)| PicklistOption { value: value.into(), label: label.into() });
        for (stored, shown) in [
            ("FOOD_BEVERAGES", "Food &amp; Beverages"),
            ("BARE", "BARE"),
            ("SOMETHING_ELSE", "SOMETHING_ELSE"),
        ] {
            assert_eq!(show_labelled(&value(Kind::Text(stored.into())), &options).0, shown);
        }
        let both = Options { values: vec!["FOOD_BEVERAGES".into(), "BARE".into()] };
        let shown = show_labelled(&value(Kind::Options(both)), &options).0;
        assert_eq!(shown, r#"<span class="tag">Food &amp; Beverages</span> <span class="tag">BARE</span>"#);
        assert_eq!(show_labelled(&None, &options).0, blank().0);
    }

    #[test]
    fn numbers_are_grouped_and_stay_exact() {
        for (number, text) in
            [("1250000.50", "1,250,000.50"), ("1988", "1988"), ("-12", "−12"), ("0.1", "0.1"), ("2.0", "2")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
