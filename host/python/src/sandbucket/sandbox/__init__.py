"""The plugin: its compiled component, and instances of it with their limits. Only this package knows wasmtime."""
