//! The contract as a WIT package: the binary that `wkg wit build` makes, which `wkg publish` and bindings generators read, and its text.

use std::path::Path;

use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::Resolve;

pub(super) const DESCRIPTION: &str = "Contract of blob store plugins: a store with all operations, as blocking methods and as state machines without I/O";

/// An encoded WIT package.
pub(super) struct Contract {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: String,
    /// The binary, with all documentation. Of WASI's packages it has what the contract uses.
    pub(super) component: Vec<u8>,
    /// The same as text, in one file.
    pub(super) text: String,
}

/// Encodes the package of a folder, whose dependencies are in `deps`.
pub(super) fn package(folder: &Path) -> Result<Contract, String> {
    encode(folder).map_err(|error| format!("the WIT package in {}: {error:#}", folder.display()))
}

fn encode(path: &Path) -> anyhow::Result<Contract> {
    let mut resolve = Resolve::default();
    let (id, _) = resolve.push_path(path)?;
    let component = wit_component::encode(&resolve, id)?;
    let name = resolve.packages[id].name.clone();

    let DecodedWasm::WitPackage(decoded, main) = wit_component::decode(&component)? else {
        anyhow::bail!("it was encoded as a component")
    };
    let nested: Vec<_> = decoded.packages.iter().map(|(id, _)| id).filter(|&id| id != main).collect();
    let mut printer = WitPrinter::default();
    printer.print(&decoded, main, &nested)?;
    Ok(Contract {
        namespace: name.namespace,
        name: name.name,
        version: name.version.map(|version| version.to_string()).unwrap_or_default(),
        component,
        text: printer.output.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_binary_of_the_contract_are_the_same_package_with_its_documentation() {
        let contract = package(&crate::root().join("wit")).unwrap();
        assert_eq!((&contract.namespace[..], &contract.name[..]), ("sandbucket", "blob"));
        assert!(contract.text.starts_with("package sandbucket:blob@"), "{}", &contract.text[..80]);
        assert!(contract.text.contains("/// Parses the settings. Sends no request"));

        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("a.wit", contract.text.as_bytes()), ("a.wasm", &contract.component)] {
            let file = folder.path().join(name);
            std::fs::write(&file, content).unwrap();
            assert!(package(&file).unwrap().text == contract.text, "{name} is another package");
        }

        let mut lines = 0;
        for entry in std::fs::read_dir(crate::root().join("wit")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "wit") {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for line in source.lines().map(str::trim).filter(|line| line.starts_with("/// ")) {
                assert!(contract.text.contains(line), "{}: {line}", path.display());
                lines += 1;
            }
        }
        assert!(lines > 300, "only {lines} lines of documentation were found");
    }

    #[test]
    fn package_that_does_not_resolve_is_an_error_with_the_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wit"), "package a:b@1.0.0;\ninterface c { use d.{e}; }").unwrap();
        let error = package(folder.path()).err().unwrap();
        assert!(error.contains("`d` does not exist"), "{error}");
    }
}
