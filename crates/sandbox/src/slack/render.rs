//! Block Kit as HTML. Everything that an app or a person wrote is escaped; nothing is fetched from elsewhere.

use std::fmt::Write;

use serde_json::Value;

use super::views::View;
use super::workspace::Workspace;
use crate::page::escape;

/// Emoji that apps write by name.
const EMOJI: [(&str, &str); 16] = [
    ("white_check_mark", "✅"),
    ("heavy_check_mark", "✔️"),
    ("x", "❌"),
    ("no_entry", "⛔"),
    ("tada", "🎉"),
    ("moneybag", "💰"),
    ("handshake", "🤝"),
    ("warning", "⚠️"),
    ("rotating_light", "🚨"),
    ("hourglass_flowing_sand", "⏳"),
    ("clipboard", "📋"),
    ("chart_with_upwards_trend", "📈"),
    ("trophy", "🏆"),
    ("eyes", "👀"),
    ("memo", "📝"),
    ("wave", "👋"),
];

/// Where the buttons of a message lead.
pub(crate) struct Buttons<'a> {
    /// The path of clicks.
    pub(crate) action: &'a str,
    /// Who clicks.
    pub(crate) user: &'a str,
    /// The message.
    pub(crate) ts: &'a str,
}

/// The blocks of a message.
pub(crate) fn blocks(workspace: &Workspace, blocks: &Value, buttons: &Buttons<'_>) -> String {
    let mut html = String::new();
    for block in blocks.as_array().into_iter().flatten() {
        block_html(&mut html, workspace, block, Some(buttons), &[]);
    }
    html
}

/// The dialog that somebody looks at.
pub(crate) fn dialog(workspace: &Workspace, view: &View, path: &str, user: &str) -> String {
    let label = |key: &str, default: &str| {
        let text = view.shape.get(key).map(|text| text["text"].as_str().unwrap_or_default());
        escape(text.unwrap_or(default))
    };
    let mut body = String::new();
    for block in view.blocks().as_array().into_iter().flatten() {
        block_html(&mut body, workspace, block, None, &view.errors);
    }
    for (_, trouble) in view.errors.iter().filter(|(block, _)| block.is_empty()) {
        let _ = write!(body, "<p class=\"wrong\" role=\"alert\">{}</p>", escape(trouble));
    }
    let hidden = format!(
        "<input type=\"hidden\" name=\"user\" value=\"{}\"><input type=\"hidden\" name=\"view_id\" value=\"{}\">",
        escape(user),
        escape(&view.id)
    );
    let submit = match view.shape.contains_key("submit") {
        true => format!(
            "<button class=\"primary\" form=\"dialog-form\" id=\"submit\">{}</button>",
            label("submit", "Submit")
        ),
        false => String::new(),
    };
    format!(
        "<div class=\"veil\"><div class=\"dialog\" role=\"dialog\" aria-modal=\"true\" aria-labelledby=\"dialog-title\">\
         <header><h2 id=\"dialog-title\">{title}</h2></header>\
         <form id=\"dialog-form\" method=\"post\" action=\"{path}/submit\">{hidden}{body}</form>\
         <footer><form method=\"post\" action=\"{path}/close\">{hidden}<button id=\"close\">{close}</button></form>{submit}</footer>\
         </div></div>",
        title = label("title", ""),
        close = label("close", "Cancel"),
    )
}

fn block_html(
    html: &mut String,
    workspace: &Workspace,
    block: &Value,
    buttons: Option<&Buttons<'_>>,
    errors: &[(String, String)],
) {
    let _ = match block["type"].as_str().unwrap_or_default() {
        "section" => section(html, workspace, block, buttons),
        "header" => write!(html, "<h3>{}</h3>", text(workspace, &block["text"])),
        "divider" => write!(html, "<hr>"),
        "context" => {
            let parts = block["elements"].as_array().into_iter().flatten();
            let parts: Vec<String> = parts.map(|element| context_html(workspace, element)).collect();
            write!(html, "<p class=\"context\">{}</p>", parts.join(" "))
        }
        "actions" => {
            let elements = block["elements"].as_array().into_iter().flatten();
            let elements: String =
                elements.map(|element| element_html(workspace, block, element, buttons)).collect();
            write!(html, "<div class=\"actions\">{elements}</div>")
        }
        "image" => write!(html, "<p class=\"context\">{}</p>", context_html(workspace, block)),
        "input" => {
            let id = block["block_id"].as_str().unwrap_or_default();
            let label = text(workspace, &block["label"]);
            let optional = if block["optional"] == true { " <small>(optional)</small>" } else { "" };
            let hint = text(workspace, &block["hint"]);
            let wrong = errors.iter().find(|(block, _)| block == id).map(|(_, text)| escape(text));
            let wrong = wrong.map(|text| format!("<span class=\"wrong\" role=\"alert\">{text}</span>"));
            let field = element_html(workspace, block, &block["element"], buttons);
            write!(
                html,
                "<label class=\"input\"><b>{label}{optional}</b>{field}<small>{hint}</small>{}</label>",
                wrong.unwrap_or_default()
            )
        }
        other => write!(html, "<p class=\"context\">[{}]</p>", escape(other)),
    };
}

fn section(
    html: &mut String,
    workspace: &Workspace,
    block: &Value,
    buttons: Option<&Buttons<'_>>,
) -> std::fmt::Result {
    write!(html, "<div class=\"section\"><div>{}", text(workspace, &block["text"]))?;
    if let Some(fields) = block["fields"].as_array() {
        let fields: String =
            fields.iter().map(|field| format!("<div>{}</div>", text(workspace, field))).collect();
        write!(html, "<div class=\"fields\">{fields}</div>")?;
    }
    write!(html, "</div>")?;
    if block["accessory"].is_object() {
        write!(html, "{}", element_html(workspace, block, &block["accessory"], buttons))?;
    }
    write!(html, "</div>")
}

fn context_html(workspace: &Workspace, element: &Value) -> String {
    if element["type"] == "image" {
        return format!("[{}]", escape(element["alt_text"].as_str().unwrap_or("image")));
    }
    text(workspace, element)
}

fn element_html(
    workspace: &Workspace,
    block: &Value,
    element: &Value,
    buttons: Option<&Buttons<'_>>,
) -> String {
    let get = |key: &str| escape(element[key].as_str().unwrap_or_default());
    let block_id = escape(block["block_id"].as_str().unwrap_or_default());
    let name = format!("{block_id}/{}", get("action_id"));
    let placeholder = escape(element["placeholder"]["text"].as_str().unwrap_or_default());
    match element["type"].as_str().unwrap_or_default() {
        "button" => button(workspace, &block_id, element, buttons),
        "static_select" | "overflow" if buttons.is_some() => menu(workspace, &block_id, element, buttons),
        "plain_text_input" if element["multiline"] == true => format!(
            "<textarea name=\"{name}\" rows=\"4\" placeholder=\"{placeholder}\">{}</textarea>",
            get("initial_value")
        ),
        "static_select" => format!(
            "<select name=\"{name}\"><option value=\"\">{placeholder}</option>{}</select>",
            options(workspace, element, "initial_option")
        ),
        kind @ ("radio_buttons" | "checkboxes") => {
            let input = if kind == "checkboxes" { "checkbox" } else { "radio" };
            let list = element["options"].as_array().into_iter().flatten().map(|option| {
                let value = escape(option["value"].as_str().unwrap_or_default());
                let label = text(workspace, &option["text"]);
                format!("<label class=\"choice\"><input type=\"{input}\" name=\"{name}\" value=\"{value}\"> {label}</label>")
            });
            list.collect()
        }
        "users_select" => {
            let people = workspace.users.iter().filter(|user| user.is_human());
            let people: String = people
                .map(|user| format!("<option value=\"{}\">{}</option>", user.id, escape(&user.real_name)))
                .collect();
            format!("<select name=\"{name}\"><option value=\"\"></option>{people}</select>")
        }
        "datepicker" => format!("<input type=\"date\" name=\"{name}\" value=\"{}\">", get("initial_date")),
        "image" => format!("[{}]", get("alt_text")),
        _ => format!(
            "<input type=\"text\" name=\"{name}\" value=\"{}\" placeholder=\"{placeholder}\">",
            get("initial_value")
        ),
    }
}

fn options(workspace: &Workspace, element: &Value, initial: &str) -> String {
    let list = element["options"].as_array().into_iter().flatten().map(|option| {
        let value = escape(option["value"].as_str().unwrap_or_default());
        let chosen = if element[initial]["value"] == option["value"] { " selected" } else { "" };
        format!("<option value=\"{value}\"{chosen}>{}</option>", text(workspace, &option["text"]))
    });
    list.collect()
}

fn hidden(block_id: &str, element: &Value, buttons: &Buttons<'_>) -> String {
    format!(
        "<input type=\"hidden\" name=\"user\" value=\"{}\"><input type=\"hidden\" name=\"ts\" value=\"{}\">\
         <input type=\"hidden\" name=\"block_id\" value=\"{block_id}\">\
         <input type=\"hidden\" name=\"action_id\" value=\"{}\">",
        escape(buttons.user),
        escape(buttons.ts),
        escape(element["action_id"].as_str().unwrap_or_default()),
    )
}

fn button(workspace: &Workspace, block_id: &str, element: &Value, buttons: Option<&Buttons<'_>>) -> String {
    let label = text(workspace, &element["text"]);
    let Some(buttons) = buttons else { return format!("<button type=\"button\" disabled>{label}</button>") };
    let style = match element["style"].as_str() {
        Some("primary") => " class=\"primary\"",
        Some("danger") => " class=\"danger\"",
        _ => "",
    };
    let confirm = element["confirm"]["text"]["text"].as_str();
    let confirm = confirm.map(|text| format!(" data-confirm=\"{}\"", escape(text))).unwrap_or_default();
    let url = element["url"].as_str().filter(|url| is_web_address(url));
    let link = url.map(|url| {
        format!(
            " <a href=\"{0}\" target=\"_blank\" rel=\"noopener noreferrer\" title=\"{0}\">↗</a>",
            escape(url)
        )
    });
    format!(
        "<form method=\"post\" action=\"{}\"{confirm}>{}<button{style} data-action=\"{}\">{label}</button>{}</form>",
        buttons.action,
        hidden(block_id, element, buttons),
        escape(element["action_id"].as_str().unwrap_or_default()),
        link.unwrap_or_default()
    )
}

fn menu(workspace: &Workspace, block_id: &str, element: &Value, buttons: Option<&Buttons<'_>>) -> String {
    let Some(buttons) = buttons else { return String::new() };
    format!(
        "<form method=\"post\" action=\"{}\">{}<select name=\"value\">{}</select> <button>Choose</button></form>",
        buttons.action,
        hidden(block_id, element, buttons),
        options(workspace, element, "initial_option")
    )
}

/// A text object.
fn text(workspace: &Workspace, object: &Value) -> String {
    let given = object["text"].as_str().unwrap_or_default();
    match object["type"].as_str() {
        Some("mrkdwn") => mrkdwn(workspace, given),
        _ => emoji(&escape(&plain(given))).replace('\n', "<br>"),
    }
}

/// Undoes the vendor's escaping of the three characters that it knows.
fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn is_web_address(text: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| text.starts_with(scheme))
}

/// The vendor's markup: what stands between angle brackets is a link or a mention, the rest is text.
pub(crate) fn mrkdwn(workspace: &Workspace, text: &str) -> String {
    let (mut html, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('<') {
        html.push_str(&styled(before));
        let Some((token, after)) = after.split_once('>') else {
            html.push_str(&styled(&format!("<{after}")));
            return html;
        };
        html.push_str(&reference(workspace, token));
        rest = after;
    }
    html.push_str(&styled(rest));
    html
}

fn reference(workspace: &Workspace, token: &str) -> String {
    let (target, label) =
        token.split_once('|').map_or((token, None), |(target, label)| (target, Some(label)));
    let mention = |sign: &str, name: &str| format!("<span class=\"mention\">{sign}{}</span>", escape(name));
    match target.split_at_checked(1) {
        Some(("@", id)) => {
            mention("@", workspace.user(id).map_or(label.unwrap_or(id), |user| &user.real_name))
        }
        Some(("#", id)) => {
            let known = workspace.channels.iter().find(|channel| channel.id == id);
            mention("#", known.map_or(label.unwrap_or(id), |channel| &channel.name))
        }
        Some(("!", word)) => match label {
            Some(label) => escape(&plain(label)),
            None => mention("@", word.split('^').next().unwrap_or_default()),
        },
        _ if is_web_address(target) => format!(
            "<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">{}</a>",
            escape(&plain(target)),
            escape(&plain(label.unwrap_or(target)))
        ),
        _ => escape(&plain(token)),
    }
}

/// Bold, italic, struck and code, lines and emoji.
fn styled(text: &str) -> String {
    let safe = escape(&plain(text));
    let mut html = safe;
    for (mark, tag) in [('`', "code"), ('*', "b"), ('_', "i"), ('~', "s")] {
        html = wrap(&html, mark, tag);
    }
    emoji(&html).replace('\n', "<br>")
}

/// Puts what stands between two marks into a tag; marks inside words are just letters.
fn wrap(text: &str, mark: char, tag: &str) -> String {
    let (mut html, mut rest, mut is_at_edge) = (String::new(), text, true);
    while let Some(at) = rest.find(mark) {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        html.push_str(before);
        is_at_edge = before.chars().next_back().map_or(is_at_edge, |last| !last.is_alphanumeric());
        let inner = after.find(mark).map(|end| &after[..end]).filter(|inner| {
            let follows = after[inner.len() + 1..].chars().next();
            !inner.is_empty()
                && inner.trim() == *inner
                && !inner.contains(['\n', '<'])
                && follows.is_none_or(|next| !next.is_alphanumeric())
        });
        match inner.filter(|_| is_at_edge) {
            Some(inner) => {
                let _ = write!(html, "<{tag}>{inner}</{tag}>");
                rest = &after[inner.len() + 1..];
            }
            None => {
                html.push(mark);
                rest = after;
            }
        }
        is_at_edge = true;
    }
    html.push_str(rest);
    html
}

fn emoji(html: &str) -> String {
    EMOJI.iter().fold(html.to_owned(), |html, (name, sign)| match html.contains(':') {
        true => html.replace(&format!(":{name}:"), sign),
        false => html,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        mrkdwn(&Workspace::fresh("T0NWIND001", "Northwind", "northwind"), text)
    }

    #[test]
    fn markup_is_shown_and_what_came_from_outside_is_only_text() {
        assert_eq!(
            shown("*Acme* &amp; _Söhne_ ~gone~ `code`"),
            "<b>Acme</b> &amp; <i>Söhne</i> <s>gone</s> <code>code</code>"
        );
        assert_eq!(shown("&lt;script&gt;alert(1)&lt;/script&gt;"), "&lt;script&gt;alert(1)&lt;/script&gt;");
        assert_eq!(shown("<javascript:alert(1)|click>"), "javascript:alert(1)|click");
        assert_eq!(shown("<img src=x onerror=alert(1)>"), "img src=x onerror=alert(1)");
        assert_eq!(shown("a_snake_case 2*3*4"), "a_snake_case 2*3*4");
        assert_eq!(
            shown("<@U0NW0000001> :tada:\n<!here>"),
            "<span class=\"mention\">@Olivia Owner</span> 🎉<br><span class=\"mention\">@here</span>"
        );
    }

    #[test]
    fn a_link_shows_its_label_and_cannot_leave_its_attribute() {
        let html = shown("<https://a.example/?x=1&amp;y=\"onmouseover=alert(1)|Deal &lt;1&gt;>");
        assert!(html.contains("href=\"https://a.example/?x=1&amp;y=&quot;onmouseover=alert(1)\""), "{html}");
        assert!(html.contains(">Deal &lt;1&gt;</a>"), "{html}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_renderer_panic_or_open_a_tag_of_its_own(text in ".{0,60}") {
            let html = shown(&text);
            proptest::prop_assert!(!html.contains("<script") && !html.contains("<img"));
        }
    }
}
