//! `settings`: lists the settings that the plugin documents.

use sandbucket::{Setting, SettingKind};
use serde_json::{Value, json};

use crate::context::{self, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Tone;
use crate::text;

/// Needs no configuration; if there is one, its plugin is queried.
pub async fn run(context: &Context) -> Result<Exit, Failure> {
    let (engine, plugin) = context::plugin(context).await?;
    let settings = engine.settings_of(&plugin).await?;
    if context.output.json {
        context.output.value(&settings.iter().map(to_json).collect())?;
        return Ok(Exit::Success);
    }
    list(context, &settings)?;
    Ok(Exit::Success)
}

/// Two lines for each.
pub fn list(context: &Context, settings: &[Setting]) -> Result<(), Failure> {
    let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    for setting in settings {
        let name = context.output.paint(Tone::Strong, &format!("{:<width$}", text::plain(&setting.name)));
        let mut traits = vec![kind(setting.kind).to_owned()];
        if setting.required {
            traits.push("required".to_owned());
        }
        if setting.secret {
            traits.push("secret".to_owned());
        }
        if let Some(default) = &setting.default {
            traits.push(format!("default {default}"));
        }
        if !setting.aliases.is_empty() {
            traits.push(format!("also {}", setting.aliases.join(", ")));
        }
        let traits = context.output.paint(Tone::Quiet, &text::plain(&traits.join(", ")));
        context.output.line(format!("{name}  {traits}"))?;
        context.output.line(format!("{:width$}  {}", "", text::plain(&setting.help)))?;
    }
    Ok(())
}

pub fn to_json(setting: &Setting) -> Value {
    json!({
        "name": setting.name,
        "aliases": setting.aliases,
        "kind": kind(setting.kind),
        "default": setting.default,
        "required": setting.required,
        "secret": setting.secret,
        "help": setting.help,
    })
}

fn kind(kind: SettingKind) -> &'static str {
    match kind {
        SettingKind::Integer => "integer",
        SettingKind::Boolean => "boolean",
        SettingKind::Duration => "duration",
        SettingKind::Choice => "choice",
        SettingKind::Url => "url",
        _ => "text",
    }
}
