//! What the consent pages of the simulated vendors share: their look, and text that is safe in HTML.

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#213343;--soft:#5b7083;--line:#d5dee6;--card:#fff;--page:#f3f6f9}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eef3;--soft:#9fb2c1;--line:#33475a;--card:#1b2733;--page:#121a22}}\
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:34rem;margin:8vh auto;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:14px}\
h1{font-size:1.4rem;margin:.2rem 0 1rem}p{color:var(--soft)}fieldset{border:1px solid var(--line);border-radius:10px;margin:1rem 0;min-width:0;padding:.6rem 1rem}\
legend{font-weight:600;padding:0 .4rem}label{display:block;padding:.35rem 0 .35rem 1.7rem;text-indent:-1.7rem}\
label input{width:1.1rem;height:1.1rem;margin:0 .3rem 0 0;vertical-align:-.15rem;accent-color:var(--accent)}ul{padding-left:1.1rem;margin:.3rem 0}\
code{font-size:.85em;color:var(--soft);overflow-wrap:anywhere}.sandbox{font-size:.8rem;letter-spacing:.06em;text-transform:uppercase;color:var(--accent)}\
.actions{display:flex;gap:.8rem;flex-wrap:wrap;margin-top:1.2rem}\
button{font:inherit;padding:.65rem 1.2rem;border-radius:8px;border:1px solid var(--line);background:none;color:inherit;cursor:pointer}\
button.main{background:var(--accent);border-color:var(--accent);color:#fff}button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}\
@media(max-width:38rem){main{margin:0;min-height:100vh;padding:1.4rem 1.1rem;border:0;border-radius:0}.actions button{flex:1}}";

/// A whole page. `accent` is the vendor's colour on light and on dark.
pub(crate) fn document(title: &str, body: &str, accent: [&str; 2]) -> String {
    let [light, dark] = accent;
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}:root{{--accent:{light}}}@media(prefers-color-scheme:dark){{:root{{--accent:{dark}}}}}</style>\
         </head><body><main>{body}</main></body></html>"
    )
}

/// Text as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
