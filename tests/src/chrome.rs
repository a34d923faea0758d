use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use testkit::{TestDirectory, eventually, free_port};

/// How long a page may take to show what is expected of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A headless Chromium that a chromedriver drives. Both end when it is dropped.
#[derive(Debug)]
pub struct Chrome {
    page: Client,
    driver: Child,
    profile: TestDirectory,
}

impl Chrome {
    /// Starts it with an empty profile.
    ///
    /// # Panics
    /// When Chromium or its driver is not installed.
    pub async fn start() -> Self {
        let profile = TestDirectory::create();
        let port = free_port().expect("a free port");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (Debian: chromium-driver)");
        let capabilities = capabilities(&profile);
        let url = format!("http://127.0.0.1:{port}");
        let page = eventually(PATIENCE, "chromedriver to start Chromium", || async {
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities.clone())
                .connect(&url)
                .await
                .ok()
        })
        .await;
        Self { page, driver, profile }
    }

    /// Closes the browser.
    pub async fn close(self) {
        // Whatever is left ends with the driver.
        let _ = self.page.clone().close().await;
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.page.goto(url).await.expect("the page opens");
    }

    /// The address of the page.
    pub async fn url(&self) -> String {
        self.page.current_url().await.expect("there is a page").to_string()
    }

    /// Waits until the address contains a text.
    pub async fn wait_for_url(&self, part: &str) {
        eventually(PATIENCE, &format!("an address with {part}"), || async {
            self.url().await.contains(part).then_some(())
        })
        .await;
    }

    /// Waits for an element. The page that never has it is kept as the picture `missing`.
    pub async fn find(&self, css: &str) -> Element {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Ok(element) = self.page.find(Locator::Css(css)).await {
                return element;
            }
            if tokio::time::Instant::now() > end {
                self.shoot("missing").await;
                panic!("{} has no {css}; see target/screenshots/missing.png", self.url().await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether there is such an element now.
    pub async fn has(&self, css: &str) -> bool {
        self.page.find(Locator::Css(css)).await.is_ok()
    }

    /// Waits until there is no such element.
    pub async fn wait_until_gone(&self, css: &str) {
        let what = format!("{css} to be gone");
        eventually(PATIENCE, &what, || async { (!self.has(css).await).then_some(()) }).await;
    }

    /// Clicks. Parts of a page are replaced while it lives: a click that missed is tried again, one that made
    /// its own element go away did not miss.
    pub async fn click(&self, css: &str) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let error = match self.page.find(Locator::Css(css)).await {
                Ok(element) => match self.scroll_and_click(&element).await {
                    Ok(()) => return,
                    Err(_) if !self.has(css).await => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            assert!(tokio::time::Instant::now() < end, "{css} cannot be clicked: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The driver does not wait for a page that scrolls smoothly.
    async fn scroll_and_click(&self, element: &Element) -> Result<(), CmdError> {
        let script = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        let element_json = serde_json::to_value(element.clone()).unwrap_or_default();
        self.page.execute(script, vec![element_json]).await?;
        element.click().await
    }

    /// Replaces the text of an input as a person does: select all, type, leave by Tab. In one go, because a page may
    /// replace the input as soon as it was left.
    pub async fn fill(&self, css: &str, text: &str) {
        let (control, release, tab) = ('\u{e009}', '\u{e000}', '\u{e004}');
        let keys = format!("{control}a{release}{text}{tab}");
        self.find(css).await.send_keys(&keys).await.expect("the input takes text");
    }

    /// Chooses an option of a select.
    pub async fn choose(&self, css: &str, value: &str) {
        let select = self.find(css).await;
        select.select_by_value(value).await.expect("the select has the option");
    }

    /// The text of an element as a person sees it.
    pub async fn text(&self, css: &str) -> String {
        eventually(PATIENCE, &format!("the text of {css}"), || async {
            self.page.find(Locator::Css(css)).await.ok()?.text().await.ok()
        })
        .await
    }

    /// Waits until the text of an element contains another.
    pub async fn wait_for_text(&self, css: &str, part: &str) {
        eventually(PATIENCE, &format!("{css} to show {part}"), || async {
            let element = self.page.find(Locator::Css(css)).await.ok()?;
            element.text().await.is_ok_and(|text| text.contains(part)).then_some(())
        })
        .await;
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.expect("the script runs")
    }

    /// Forgets who is signed in.
    pub async fn forget(&self) {
        self.page.delete_all_cookies().await.expect("cookies can be deleted");
    }

    /// Makes the window so wide and high, in pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        self.page.set_window_size(width, height).await.expect("the window can be resized");
    }

    /// Keeps a picture of the page in `target/screenshots`.
    pub async fn shoot(&self, name: &str) {
        let test = std::env::current_exe().expect("a test knows where it is");
        let target = test.ancestors().nth(3).map_or_else(PathBuf::new, PathBuf::from);
        let directory = target.join("screenshots");
        std::fs::create_dir_all(&directory).expect("the target directory is ours");
        let picture = self.page.screenshot().await.expect("the page can be seen");
        std::fs::write(directory.join(format!("{name}.png")), picture).expect("the target directory is ours");
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // A story that failed has not closed the browser, and it outlives its driver. Chromium writes its process id
        // into its profile: `SingletonLock -> host-pid`.
        let lock = std::fs::read_link(self.profile.path().join("chromium/SingletonLock"));
        if let Some(pid) = lock.ok().and_then(|lock| lock.to_str()?.rsplit_once('-')?.1.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(profile: &TestDirectory) -> Capabilities {
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,1400",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--user-data-dir={}", profile.path().join("chromium").display()));
    let options = json!({ "goog:chromeOptions": { "args": arguments } });
    options.as_object().cloned().unwrap_or_default()
}
