//! Chromium: pages as people see them.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::application::program;

/// Chromium, once, with a profile of its own: what it writes, and what it complains about.
pub fn chromium(args: &[&str], url: &str) -> Result<(String, String)> {
    let program = program("/usr/bin/chromium", "chromium")?;
    let profile = tempfile::tempdir()?;
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--hide-scrollbars", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .context("running chromium")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&output.stdout), text(&output.stderr)))
}

/// What a picture is like.
#[derive(Debug)]
pub struct Picture {
    /// Different colours in it.
    pub colours: u32,
    /// Its mean lightness, 0 to 255.
    pub lightness: u32,
}

/// Takes a picture, and has the browser look at it: nothing here reads PNG.
pub fn picture(url: &str, directory: &Path, width: u32, scheme: u32) -> Result<Picture> {
    let name = format!("{width}-{scheme}.png");
    let file = directory.join(&name);
    let (_, said) = chromium(
        &[
            &format!("--screenshot={}", file.display()),
            &format!("--window-size={width},1400"),
            &format!("--blink-settings=preferredColorScheme={scheme}"),
        ],
        url,
    )?;
    ensure!(file.is_file(), "{said}");
    let page = directory.join(format!("{width}-{scheme}.html"));
    let script = include_str!("picture.html").replace("{name}", &name);
    std::fs::write(&page, script)?;
    let (dom, said) = chromium(
        &["--dump-dom", "--allow-file-access-from-files", "--virtual-time-budget=5000"],
        &format!("file://{}", page.display()),
    )?;
    let numbers = numbers(&dom).with_context(|| format!("{dom}{said}"))?;
    let [colours, lightness, seen] = numbers[..] else { bail!("{dom}{said}") };
    ensure!(seen == width, "the picture is {seen} wide");
    Ok(Picture { colours, lightness })
}

/// What a page of ours says that it found.
pub fn numbers(dom: &str) -> Option<Vec<u32>> {
    let words = dom.split("<body>").nth(1)?.split('<').next()?;
    words.split_whitespace().map(|word| word.parse().ok()).collect()
}
