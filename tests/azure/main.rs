//! The plugin for Azure Blob Storage on Azurite, which verifies signatures.
