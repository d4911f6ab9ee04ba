//! `xtask dist` makes the files of a release in `target/dist`; `xtask dist --check` makes them twice and compares them;
//! `xtask push REGISTRY` pushes the component and the WIT package to an OCI registry. See `docs/releasing.md`.

mod check;
mod files;
mod metadata;
mod oci;
mod packages;
mod push;
mod release;
mod sbom;
mod wit;

use std::fs;
use std::path::Path;

pub(crate) use check::check;
pub(crate) use push::push;

use release::Release;

/// Makes the release of a checkout in a folder, which it replaces. What builds the packages keeps its tools in `tools`.
pub(crate) fn build(root: &Path, folder: &Path, tools: &Path) -> Result<String, String> {
    let release = Release::of(root)?;
    if release.source.is_none() {
        eprintln!("dist: LEFT OUT: the URL of the sources, which no manifest has: set DIST_SOURCE");
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut artifacts = Vec::new();
    for plugin in release::plugins(root)? {
        let component = metadata::component(&release, &plugin)?;
        let stem = format!("{}-{}", plugin.name, plugin.version);
        files::write(&folder.join(format!("{stem}.wasm")), &component)?;
        let sbom = sbom::cyclonedx(root, &release, &plugin, &component)?;
        files::write(&folder.join(format!("{stem}.cdx.json")), sbom.as_bytes())?;
        artifacts.push(oci::Artifact::of_component(&plugin, component)?);
    }

    let contract = wit::package(&root.join("wit"))?;
    let component = metadata::contract(&release, &contract)?;
    let stem = format!("{}-{}-{}", contract.namespace, contract.name, contract.version);
    files::write(&folder.join(format!("{stem}.wasm")), &component)?;
    files::write(&folder.join(format!("{stem}.wit")), contract.text.as_bytes())?;
    artifacts.push(oci::Artifact::of_contract(&contract, &release, component)?);
    oci::write_layout(&folder.join("oci"), &release, &artifacts)?;

    packages::build(root, folder, tools, &release)?;
    let sums = files::sums(folder)?;
    files::write(&folder.join(files::SUMS), sums.as_bytes())?;
    Ok(format!("{}: {} files of revision {}", folder.display(), sums.lines().count(), release.revision))
}
