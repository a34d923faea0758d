use super::Markup;

/// A line drawing on a 20 by 20 grid, in the colour of the text. It says nothing to a screen reader: words stand
/// beside it.
pub(crate) fn icon(name: &str) -> Markup {
    let drawing = match name {
        "partner" => {
            r#"<circle cx="7" cy="7" r="3"/><circle cx="13.5" cy="8" r="2.3"/><path d="M1.8 16.5c.5-3.2 2.5-5 5.2-5s4.7 1.8 5.2 5M13 12.2c2.7-.2 4.6 1.3 5.2 4"/>"#
        }
        "company" => r#"<path d="M3.5 17V4.5L11 2.5V17M11 7.5l5.5 1.5v8M2 17h16M6 7h2M6 10h2M6 13h2"/>"#,
        "deal" => {
            r#"<path d="M3 7.5h14v9H3zM7 7.5V5c0-.8.7-1.5 1.5-1.5h3c.8 0 1.5.7 1.5 1.5v2.5M3 11.5c4.5 1.8 9.5 1.8 14 0"/>"#
        }
        "contact" => {
            r#"<rect x="2.5" y="4" width="15" height="12.5" rx="2"/><circle cx="7.5" cy="9" r="1.8"/><path d="M4.8 13.5c.4-1.5 1.4-2.2 2.7-2.2s2.3.7 2.7 2.2M12.5 8.5h2.5M12.5 11.5h2.5"/>"#
        }
        "lead" => r#"<path d="M10 2.5l2.2 5 5.3.6-4 3.6 1.2 5.3L10 14.3 5.3 17l1.2-5.3-4-3.6 5.3-.6z"/>"#,
        "flag" => r#"<path d="M4.5 17.5v-15M4.5 3.5h10l-2.2 3.7 2.2 3.8h-10"/>"#,
        "coins" => {
            r#"<ellipse cx="8" cy="6" rx="5" ry="2.5"/><path d="M3 6v4c0 1.4 2.2 2.5 5 2.5M3 10v4c0 1.4 2.2 2.5 5 2.5"/><ellipse cx="13" cy="12" rx="4.2" ry="2.2"/><path d="M8.8 12v3.4c0 1.2 1.9 2.1 4.2 2.1s4.2-.9 4.2-2.1V12"/>"#
        }
        "book" => {
            r#"<path d="M4 3.5h10.5a1.5 1.5 0 0 1 1.5 1.5v12H5.5A1.5 1.5 0 0 1 4 15.5zM4 15.5A1.5 1.5 0 0 1 5.5 14H16M7.5 7h5M7.5 10h5"/>"#
        }
        "bank" => r#"<path d="M2.5 8L10 3l7.5 5zM4.5 8v7M8.2 8v7M11.8 8v7M15.5 8v7M2.5 17h15"/>"#,
        "bell" => r#"<path d="M5 14.5V9a5 5 0 0 1 10 0v5.5l1.5 1.5h-13zM8.3 16.5a1.8 1.8 0 0 0 3.4 0"/>"#,
        "plug" => r#"<path d="M7 2.5v4M13 2.5v4M4.5 6.5h11V9a5.5 5.5 0 0 1-11 0zM10 14.5V18"/>"#,
        "pulse" => r#"<path d="M2 10.5h3.5l2-5.5 4 10.5 2.5-7 1.2 2H18"/>"#,
        "log" => r#"<path d="M5 2.5h7l3.5 3.5v11.5H5zM12 2.5V6h3.5M7.5 9.5h5M7.5 12h5M7.5 14.5h3"/>"#,
        "key" => {
            r#"<circle cx="6.5" cy="13.5" r="3.5"/><path d="M9 11l7.5-7.5M13.5 6.5l2.5 2.5M11.5 8.5l1.5 1.5"/>"#
        }
        "people" => r#"<circle cx="10" cy="6" r="3"/><path d="M4 17c.5-3.8 2.8-5.8 6-5.8s5.5 2 6 5.8z"/>"#,
        "menu" => r#"<path d="M3 5.5h14M3 10h14M3 14.5h14"/>"#,
        "cross" => r#"<path d="M5.5 5.5l9 9M14.5 5.5l-9 9"/>"#,
        "check" => r#"<path d="M4 10.5l4 4 8-9"/>"#,
        "dot" => r#"<circle cx="10" cy="10" r="3.5"/>"#,
        "alert" => r#"<path d="M10 3l7.5 13.5h-15zM10 8v4M10 14.2v.1"/>"#,
        "info" => r#"<circle cx="10" cy="10" r="7.5"/><path d="M10 9.2v4.6M10 6.4v.1"/>"#,
        "sync" => {
            r#"<path d="M3.5 9A6.7 6.7 0 0 1 15.5 6L17 7.5M17 3.5v4h-4M16.5 11a6.7 6.7 0 0 1-12 3L3 12.5M3 16.5v-4h4"/>"#
        }
        "play" => r#"<path d="M6 4l10 6-10 6z"/>"#,
        "pause" => r#"<path d="M7 4.5v11M13 4.5v11"/>"#,
        "right" => r#"<path d="M4 10h12M11.5 5.5L16 10l-4.5 4.5"/>"#,
        "left" => r#"<path d="M16 10H4M8.5 5.5L4 10l4.5 4.5"/>"#,
        "both" => r#"<path d="M3 7h13M12.5 3.5L16 7M17 13H4M7.5 16.5L4 13"/>"#,
        "clock" => r#"<circle cx="10" cy="10" r="7.5"/><path d="M10 5.5V10l3 2"/>"#,
        "search" => r#"<circle cx="8.7" cy="8.7" r="5.5"/><path d="M12.8 12.8L17 17"/>"#,
        "out" => r#"<path d="M8 3H4v14h4M8 10h9M13.5 6.5L17 10l-3.5 3.5"/>"#,
        "away" => r#"<path d="M11 3.5h5.5V9M16.5 3.5L9 11M8 4.5H3.5v12h12V12"/>"#,
        "download" => r#"<path d="M10 3v9.5M6 9l4 4 4-4M3.5 17h13"/>"#,
        "undo" => r#"<path d="M4 8h8a4.5 4.5 0 0 1 0 9H8M7.5 4L3.5 8l4 4"/>"#,
        "plus" => r#"<path d="M10 4v12M4 10h12"/>"#,
        "spark" => {
            r#"<path d="M9 3l1.6 4.4L15 9l-4.4 1.6L9 15l-1.6-4.4L3 9l4.4-1.6zM15.5 13l.7 1.8 1.8.7-1.8.7-.7 1.8-.7-1.8-1.8-.7 1.8-.7z"/>"#
        }
        "shield" => {
            r#"<path d="M10 2.5l6.5 2.5v4.5c0 4-2.7 6.7-6.5 8-3.8-1.3-6.5-4-6.5-8V5zM7 10l2.2 2.2L13 8.3"/>"#
        }
        "link" => {
            r#"<path d="M8.5 11.5a3.5 3.5 0 0 0 5 0l3-3a3.5 3.5 0 0 0-5-5l-1 1M11.5 8.5a3.5 3.5 0 0 0-5 0l-3 3a3.5 3.5 0 0 0 5 5l1-1"/>"#
        }
        other => of_activity(other),
    };
    Markup(format!(
        r#"<svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">{drawing}</svg>"#
    ))
}

/// The drawings of what people do with records; of anything else a dot.
fn of_activity(name: &str) -> &'static str {
    match name {
        "mail" => r#"<rect x="2.5" y="4.5" width="15" height="11" rx="2"/><path d="M3 6l7 5 7-5"/>"#,
        "phone" => {
            r#"<path d="M4 3.5h3l1.5 4-2 1.5a10 10 0 0 0 4.5 4.5l1.5-2 4 1.5v3a1 1 0 0 1-1 1A13.5 13.5 0 0 1 3 4.5a1 1 0 0 1 1-1z"/>"#
        }
        "calendar" => {
            r#"<rect x="3" y="4.5" width="14" height="12.5" rx="2"/><path d="M3 8.5h14M7 2.5v4M13 2.5v4"/>"#
        }
        "ticket" => {
            r#"<path d="M2.5 6h15v2.5a1.5 1.5 0 0 0 0 3V14h-15v-2.5a1.5 1.5 0 0 0 0-3zM12 6.5v1M12 9.5v1M12 12.5v1"/>"#
        }
        _ => r#"<circle cx="10" cy="10" r="1.5"/>"#,
    }
}
