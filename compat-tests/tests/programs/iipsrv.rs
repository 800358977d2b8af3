//! iipsrv, a C++ program that serves tiles of images.

use anyhow::{Result, ensure};
use compat_tests::application::program;
use compat_tests::site::Site;

use crate::life::Program;

const PROGRAM: Program = Program {
    conf: "FastCgiServer /usr/lib/iipimage-server/iipsrv.fcgi -initial-env VERBOSITY=0 \
        -initial-env LOGFILE={root}/tmp/iipsrv -initial-env FILESYSTEM_PREFIX={root}/images/ \
        {options}\n\
        ScriptAlias /iipsrv /usr/lib/iipimage-server/iipsrv.fcgi\n\
        <Directory /usr/lib/iipimage-server>\nSetHandler fastcgi-script\n\
        Require all granted\n</Directory>\n",
    target: "/iipsrv?FIF=grey.tif&obj=IIP,1.0&obj=Max-size",
    words: "Max-size:64 64",
    processes: 1,
};

/// The only kind of image that it takes is one in tiles: one tile of grey is enough.
fn tiff() -> Vec<u8> {
    const SIDE: u32 = 64;
    // Tag, type (3: two bytes, 4: four bytes), value, in the order of the tags.
    let entries: [(u16, u16, u32); 10] = [
        (256, 4, SIDE),
        (257, 4, SIDE),
        // Eight bits, no compression, 0 is black, one value for a dot.
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (277, 3, 1),
        (322, 4, SIDE),
        (323, 4, SIDE),
        // Where the tile is, and how long.
        (324, 4, 8),
        (325, 4, SIDE * SIDE),
    ];
    let mut file = b"II\x2a\0".to_vec();
    file.extend((8 + SIDE * SIDE).to_le_bytes());
    file.resize(file.len() + (SIDE * SIDE) as usize, 0x80);
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    file
}

#[test]
fn iipsrv() -> Result<()> {
    program("/usr/lib/iipimage-server/iipsrv.fcgi", "iipimage-server")?;
    let mut site = Site::new()?;
    site.root.write("images/grey.tif", &tiff())?;
    PROGRAM.lives(&mut site)?;

    site.serve(&PROGRAM.conf.replace("{options}", ""))?;
    let answer = site.get("/iipsrv?FIF=grey.tif&JTL=0,0")?;
    ensure!(answer.status == 200 && answer.body.starts_with(b"\xff\xd8\xff"), "{answer}");
    ensure!(answer.header("content-type") == Some("image/jpeg"), "{answer}");
    Ok(())
}
