//! The pages in a browser: their elements, and that there is something to see, in light and
//! dark, on a desk and on a telephone.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use compat_tests::application::program;

use crate::traffic::{Probed, probed};

/// Chromium, once, with a profile of its own: what it writes, and what it complains about.
fn chromium(args: &[&str], url: &str) -> Result<(String, String)> {
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

fn served() -> Result<Probed> {
    let probed = probed("")?;
    for path in ["/static", "/cgi/dynamic", "/external"] {
        for _ in 0..3 {
            ensure!(probed.site.get(&format!("{path}?text=x"))?.status == 200);
        }
    }
    ensure!(probed.site.get("/external?close")?.status == 500);
    Ok(probed)
}

#[test]
fn the_elements_of_the_pages() -> Result<()> {
    let probed = served()?;
    let url = |page| format!("http://127.0.0.1:{}/{page}", probed.site.root.port);
    let (dom, said) = chromium(&["--dump-dom"], &url("fastcgi-status"))?;
    ensure!(!said.contains("Content Security Policy"), "{said}");
    ensure!(dom.matches("<article").count() == 3, "{dom}");
    for name in ["static", "cgi/dynamic", "external"] {
        let title =
            format!("<h3>{}/htdocs/{name}</h3>", probed.site.root.path().display());
        ensure!(dom.contains(&title), "{title}\n{dom}");
    }
    // One chart for the server, and two for each application.
    ensure!(dom.matches("<svg").count() == 7, "{dom}");
    ensure!(dom.contains("<dt>failures</dt><dd>1</dd>"), "{dom}");
    let (dom, said) = chromium(&["--dump-dom"], &url("server-status"))?;
    ensure!(!said.contains("Content Security Policy"), "{said}");
    ensure!(dom.contains("GET /server-status HTTP/1.1</td>"), "{dom}");
    Ok(())
}

/// What a picture is like.
#[derive(Debug)]
struct Picture {
    /// Different colours in it.
    colours: u32,
    /// Its mean lightness, 0 to 255.
    lightness: u32,
}

/// Takes a picture, and has the browser look at it: nothing here reads PNG.
fn picture(url: &str, directory: &Path, width: u32, scheme: u32) -> Result<Picture> {
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
fn numbers(dom: &str) -> Option<Vec<u32>> {
    let words = dom.split("<body>").nth(1)?.split('<').next()?;
    words.split_whitespace().map(|word| word.parse().ok()).collect()
}

/// What is too wide has a scroll bar of its own.
#[test]
fn the_pages_fit_into_the_window() -> Result<()> {
    let probed = served()?;
    let root = &probed.site.root;
    for page in ["fastcgi-status", "server-status"] {
        for width in [1200, 400] {
            let text = include_str!("width.html")
                .replace("{page}", &format!("/{page}"))
                .replace("{width}", &width.to_string());
            root.write("htdocs/width.html", text.as_bytes())?;
            let url = format!("http://127.0.0.1:{}/width.html", root.port);
            let (dom, said) = chromium(&["--dump-dom", "--window-size=1400,1000"], &url)?;
            ensure!(numbers(&dom) == Some(vec![width]), "{page} {width}: {dom}{said}");
        }
    }
    Ok(())
}

#[test]
fn there_is_something_to_see() -> Result<()> {
    let probed = served()?;
    let directory = tempfile::tempdir()?;
    for page in ["fastcgi-status", "server-status"] {
        let url = format!("http://127.0.0.1:{}/{page}", probed.site.root.port);
        for width in [1200, 400] {
            let light = picture(&url, directory.path(), width, 1)?;
            let dark = picture(&url, directory.path(), width, 0)?;
            for picture in [&light, &dark] {
                // A blank page has one colour; text has shades of many.
                ensure!(picture.colours > 40, "{page} {width}: {picture:?}");
            }
            ensure!(light.lightness > 180, "{page} {width}: {light:?}");
            ensure!(dark.lightness < 75, "{page} {width}: {dark:?}");
        }
    }
    Ok(())
}
