//! The pages in a browser: their elements, and that there is something to see, in light and
//! dark, on a desk and on a telephone.

use anyhow::{Result, ensure};
use compat_tests::browser::{chromium, numbers, picture};

use crate::traffic::{Probed, probed};

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
