// Credentials, region, endpoint and certificate authorities outside the section, in AWS's variables and shared files: in the order of
// the Rust host (host/sandbucket/src/credentials/discovery.rs).

import { shown } from '../text.js';
import { variable } from './input.js';
import { Profiles, expandHome } from './profiles.js';

/** Kinds of credentials in a profile that are not supported. */
const UNSUPPORTED = ['role_arn', 'sso_session', 'sso_start_url', 'web_identity_token_file', 'credential_source', 'credential_process'];
/** Keys that show that a profile is meant to supply credentials. */
const INTENT = ['aws_access_key_id', 'aws_secret_access_key', 'aws_session_token', 'aws_security_token'];
const OWN = ['access-key', 'secret-key', 'security-token', 'session-token'];
const HOW_ANONYMOUS = 'for anonymous requests, set AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE to /dev/null';

/**
 * Completes settings. Returns a file with certificate authorities, if one is named.
 * @param {Map<string, string>} settings
 * @param {string | undefined} profile that the section names
 */
export async function complete(settings, profile, environment) {
  const of = (name) => variable(environment, name);
  const hasKeys = OWN.some((name) => settings.has(name));
  const selected = ['AWS_DEFAULT_PROFILE', 'AWS_PROFILE'].find((name) => of(name) !== undefined);
  // Which profile: that of the section, none beside keys of its own, that of a variable, or the default one.
  const choice = profile !== undefined ? 'section' : hasKeys ? 'none' : selected ? 'variable' : 'default';
  const name = profile ?? (selected ? of(selected) : 'default');
  const fromVariables = !hasKeys && (choice === 'variable' || choice === 'default') && addVariables(settings, of);
  const needsKeys = !hasKeys && !fromVariables;
  const profiles = choice === 'none' ? new Profiles() : await readProfiles(environment, choice, !needsKeys);
  let found = new Map();
  if (choice === 'section' || choice === 'variable') {
    try {
      found = profiles.named(name);
      if (needsKeys) addKeys(settings, profiles, found, name);
    } catch (error) {
      throw choice === 'variable' ? new Error(`${selected}: ${error.message}`) : error;
    }
  } else if (choice === 'default') {
    found = profiles.get('default') ?? found;
    if (needsKeys) {
      if ([...INTENT, ...UNSUPPORTED].some((key) => found.has(key))) {
        try {
          addKeys(settings, profiles, found, 'default');
        } catch (error) {
          throw new Error(`${error.message}; ${HOW_ANONYMOUS}`);
        }
      } else {
        checkAnonymous(profiles, of);
      }
    }
  }

  if (!settings.has('region')) {
    const region = (choice === 'section' ? found.get('region') : undefined) ?? of('AWS_REGION') ?? of('AWS_DEFAULT_REGION') ??
      ((choice === 'variable' || choice === 'default') && !fromVariables ? found.get('region') : undefined);
    if (region !== undefined) settings.set('region', region);
  }
  if (!settings.has('endpoint')) {
    const endpoint = endpointOf(profiles, found, name, of);
    if (endpoint !== undefined) settings.set('endpoint', endpoint);
  }
  const bundle = of('AWS_CA_BUNDLE') ?? found.get('ca_bundle');
  return bundle === undefined ? undefined : expandHome(bundle.trim(), environment);
}

function addVariables(settings, of) {
  const key = of('AWS_ACCESS_KEY_ID');
  if (key === undefined) return false;
  const secret = of('AWS_SECRET_ACCESS_KEY');
  if (secret === undefined) throw new Error('AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not');
  settings.set('access-key', key).set('secret-key', secret);
  const token = of('AWS_SESSION_TOKEN');
  if (token !== undefined) settings.set('security-token', token);
  return true;
}

async function readProfiles(environment, choice, hasCredentials) {
  try {
    return await Profiles.read(environment);
  } catch (error) {
    // A file in its default place that nobody asked for: no regular file, or not needed.
    const absent = choice === 'default' && !error.isNamed && (error.code === 'KIND' || (hasCredentials && !['LONG', 'TEXT'].includes(error.code)));
    if (!absent) throw error;
    return new Profiles();
  }
}

function checkAnonymous(profiles, of) {
  const alone = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'].find((name) => of(name) !== undefined);
  if (alone) throw new Error(`${alone} is set, but AWS_ACCESS_KEY_ID is not`);
  if (profiles.fault()) throw new Error(`no credentials were found, and ${profiles.fault()}; ${HOW_ANONYMOUS}`);
}

function addKeys(settings, profiles, profile, name) {
  const fault = profiles.fault() ? ` (${profiles.fault()})` : '';
  const [key, secret] = [profile.get('aws_access_key_id'), profile.get('aws_secret_access_key')];
  const unsupported = UNSUPPORTED.find((way) => profile.has(way));
  // AWS's tools assume the role even if there are keys beside it, which then are the keys to assume it with.
  if (unsupported !== 'role_arn') {
    if (key !== undefined && secret !== undefined) {
      settings.set('access-key', key).set('secret-key', secret);
      const token = profile.get('aws_session_token') ?? profile.get('aws_security_token');
      if (token !== undefined) settings.set('security-token', token);
      return;
    }
    if (key !== undefined) throw new Error(`the profile "${shown(name)}" has aws_access_key_id but no aws_secret_access_key${fault}`);
    if (secret !== undefined) throw new Error(`the profile "${shown(name)}" has aws_secret_access_key but no aws_access_key_id${fault}`);
  }
  if (unsupported) {
    throw new Error(
      `the profile "${shown(name)}" gets its credentials by way of ${unsupported}, which this package does not support: ` +
        `\`aws configure export-credentials --profile ${shown(name)}\` gives a key, secret and token to use`,
    );
  }
  throw new Error(`the profile "${shown(name)}" has no aws_access_key_id and aws_secret_access_key${fault}`);
}

function endpointOf(profiles, profile, name, of) {
  const ignored = of('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS') ?? profile.get('ignore_configured_endpoint_urls');
  if (ignored?.trim().toLowerCase() === 'true') return undefined;
  const named = of('AWS_ENDPOINT_URL_S3') ?? of('AWS_ENDPOINT_URL');
  if (named !== undefined) return named;
  const services = profile.get('services');
  if (services !== undefined) {
    const section = profiles.services(services);
    if (!section) {
      const [of, what] = [shown(name), shown(services)];
      throw new Error(`the profile "${of}" has services = ${what}, but the config file has no [services ${what}]`);
    }
    if (section.has('s3.endpoint_url')) return section.get('s3.endpoint_url');
  }
  return profile.get('endpoint_url');
}
