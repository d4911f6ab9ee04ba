//! `plugin inspect`: the exports, imports, settings and attributes of a component, without a service.

use std::path::PathBuf;

use sandbucket::{Attribute, BuiltIn, Engine, Limits};
use serde_json::{Value, json};

use crate::cli;
use crate::context::{self, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Tone;
use crate::{settings, text};

pub async fn run(context: &Context, arguments: cli::PluginCommand) -> Result<Exit, Failure> {
    match arguments {
        cli::PluginCommand::Inspect { plugin } => inspect(context, plugin).await,
    }
}

/// Inspects a built-in plugin or the component in a file; without either, the configured or the default one.
async fn inspect(context: &Context, plugin: Option<PathBuf>) -> Result<Exit, Failure> {
    let (engine, plugin) = match &plugin {
        Some(plugin) => {
            let builder = Engine::builder().limits(Limits::default());
            let engine = context::build(match plugin.to_str().and_then(BuiltIn::named) {
                Some(built_in) => builder.built_in(built_in),
                None => builder.plugin_file(plugin),
            })
            .await?;
            (engine.clone(), engine.plugin().clone())
        }
        None => context::plugin(context).await?,
    };
    let (settings, attributes) = (engine.settings_of(&plugin).await?, engine.attributes_of(&plugin).await?);
    if context.output.json {
        context.output.value(&json!({
            "exports": plugin.exports(),
            "imports": plugin.imports(),
            "sans-io": plugin.is_sans_io(),
            "settings": settings.iter().map(settings::to_json).collect::<Value>(),
            "attributes": attributes.iter().map(to_json).collect::<Value>(),
        }))?;
        return Ok(Exit::Success);
    }
    let title = |words: &str| context.output.line(context.output.paint(Tone::Strong, words));
    let driven = if plugin.is_sans_io() {
        "The host sends its requests (it exports sans-io): no instance is held while one is in flight."
    } else {
        "It sends its requests over wasi:http (it does not export sans-io): each call holds an instance."
    };
    context.output.line(driven)?;
    for (words, names) in [("Exports", plugin.exports()), ("Imports", plugin.imports())] {
        title(words)?;
        for name in names {
            context.output.line(format!("  {}", text::plain(name)))?;
        }
    }
    title("Settings")?;
    settings::list(context, &settings)?;
    title("Attributes")?;
    for attribute in &attributes {
        let secret = if attribute.secret { " (secret)" } else { "" };
        context.output.line(format!("  {}{secret}", text::plain(&attribute.name)))?;
        context.output.line(format!("    {}", text::plain(&attribute.help)))?;
    }
    Ok(Exit::Success)
}

fn to_json(attribute: &Attribute) -> Value {
    json!({ "name": attribute.name, "secret": attribute.secret, "help": attribute.help })
}
