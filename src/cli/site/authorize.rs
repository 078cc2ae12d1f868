//! `syncline site authorize`: a person consents in a browser, and the tokens that follow are kept.
//!
//! The code comes back on a loopback port, or by paste where the browser is on another machine. What must hold: only the
//! answer to our own question is taken (`state`), and tokens are stored encrypted before they are used.

mod callback;

use std::io::BufRead;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::super::{Context, Error};
use crate::config::secret;
use crate::jira::HttpPool;
use crate::jira::oauth::{self, OAuthClient, Resource};
use crate::store::health::Tried;
use crate::store::oauth::{Consent, SealedPair, consent};
use crate::store::site::Site;

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(600);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Create an app at https://developer.atlassian.com/console/myapps with the callback URL http://localhost:8976/callback
(or another port, see --port) and the scopes that you give here. A person who may read the projects opens the
printed address and consents. Syncline encrypts the tokens with the configured key (secrets.key), and the workers
refresh them from then on.

Examples:
  syncline site authorize acme --client-id abc123 --client-secret env:ATLASSIAN_SECRET
  syncline site authorize acme --client-id abc123 --client-secret env:ATLASSIAN_SECRET --paste")]
pub(super) struct AuthorizeArgs {
    /// The site's name
    site: String,
    /// The app's id
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// Reference to the app's secret: env:NAME or file:PATH; the workers need it too
    #[arg(long, value_name = "REFERENCE")]
    client_secret: String,
    /// Paste the browser's final address instead of receiving it on a local port
    #[arg(long)]
    paste: bool,
    /// The loopback port of the callback URL
    #[arg(long, default_value_t = 8976)]
    port: u16,
    /// Scopes to request, separated by spaces [default: those that reading needs]
    #[arg(long)]
    scopes: Option<String>,
    /// The site's cloud id, if its address does not identify it among the consented sites
    #[arg(long, value_name = "ID")]
    cloud_id: Option<String>,
    /// The address for consent and tokens
    #[arg(long, value_name = "URL", default_value = oauth::AUTH_URL)]
    auth_url: Url,
    /// The address of the API for these tokens
    #[arg(long, value_name = "URL", default_value = oauth::API_URL)]
    api_url: Url,
}

/// What came of it.
#[derive(Serialize)]
struct Authorized<'a> {
    site: &'a str,
    cloud_id: &'a str,
    scopes: &'a str,
}

pub(super) async fn run(args: AuthorizeArgs, context: &Context) -> Result<(), Error> {
    let site = super::find(context, &args.site).await?;
    if site.kind != "cloud" {
        return Err(Error::usage(format!("site {} is Data Center, which does not support OAuth 2.0 (3LO)", site.name))
            .help(
                "create a personal access token and store it: syncline site update NAME --auth bearer \
                --token-stdin",
            ));
    }
    secret::check_reference(&args.client_secret)
        .map_err(|problem| Error::usage(problem.to_string()).help(problem.help()))?;
    let client = OAuthClient {
        auth_url: args.auth_url.clone(),
        api_url: args.api_url.clone(),
        client_id: args.client_id.clone(),
        client_secret: secret::resolve(&args.client_secret, &site.name, &context.config.secrets)?,
        request_timeout: REQUEST_TIMEOUT,
    };
    // Before anybody consents: without a key the tokens could not be kept.
    seal(&SecretString::from("probe"), &site, context)?;
    let code = ask(&args, &client, context).await?;
    let http = HttpPool::new(context.clock.clone())?;
    let tokens = client.exchange(&http, &code.code, &code.redirect_uri, Some(&code.verifier)).await?;
    let Some(refresh_token) = &tokens.refresh_token else {
        return Err(Error::failure("Atlassian returned no refresh token, so the tokens would expire within an hour")
            .help("also request the scope offline_access, and check that the app may have it"));
    };
    let resources = client.resources(&http, &tokens.access_token).await?;
    let cloud_id = choose(&resources, &site, args.cloud_id.as_deref())?;
    let site_url = client.site_url(&cloud_id);
    let granted = Consent {
        client_id: &args.client_id,
        client_secret: &args.client_secret,
        scopes: &tokens.scope,
        auth_url: args.auth_url.as_str(),
        api_url: args.api_url.as_str(),
        site_url: site_url.as_str(),
        cloud_id: &cloud_id,
        pair: SealedPair {
            access_token: &seal(&tokens.access_token, &site, context)?,
            refresh_token: &seal(refresh_token, &site, context)?,
            lives_for: tokens.lives_for,
        },
    };
    consent(&context.pool, (site.id, &site.name), &granted, &context.actor()).await?;
    let result = Authorized { site: &site.name, cloud_id: &cloud_id, scopes: &tokens.scope };
    super::add::lift(&site, Tried::All, context).await?;
    context.output.result(&format!("site {} is authorized (cloud id {cloud_id})", site.name), &result)?;
    context.output.note(&format!("check what the account may see with `syncline site check {}`", site.name));
    Ok(())
}

/// A code, with what is needed to exchange it.
struct Code {
    code: SecretString,
    redirect_uri: String,
    verifier: SecretString,
}

/// Shows the address and waits for its answer.
async fn ask(args: &AuthorizeArgs, client: &OAuthClient, context: &Context) -> Result<Code, Error> {
    let random = |bytes: &mut [u8]| context.clock.fill_random(bytes);
    let (state, verifier) = (token(random), SecretString::from(token(random)));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret().as_bytes()));
    // Bound before the address is shown: a port that is taken is told at once.
    let listener = if args.paste { None } else { Some(callback::bind(args.port).await?) };
    let port = listener.as_ref().map_or(args.port, |listener| listener.port);
    let redirect_uri = format!("http://localhost:{port}/callback");
    let scopes = args.scopes.as_deref().unwrap_or(oauth::SCOPES);
    let address = client.authorize_url(&redirect_uri, scopes, &state, Some(&challenge));
    context.output.warn(&format!("Open this address in a browser, and consent:\n\n  {address}\n"));
    let answer = match listener {
        Some(listener) => tokio::time::timeout(PATIENCE, listener.answer()).await.map_err(|_| {
            Error::failure("nobody consented within ten minutes")
                .help("try again; use --paste if the browser is on another machine")
        })??,
        None => {
            context
                .output
                .warn("Then paste the browser's final address (the page may show an error), and press Enter:");
            pasted().await?
        }
    };
    let code = callback::code(&answer, &state)?;
    Ok(Code { code: SecretString::from(code), redirect_uri, verifier })
}

async fn pasted() -> Result<Url, Error> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = read.await.map_err(|problem| Error::failure(format!("standard input cannot be read: {problem}")))??;
    Url::parse(line.trim()).map_err(|problem| {
        Error::usage(format!(
            "the pasted text ({} characters) is not an address: \
            {problem}",
            line.trim().chars().count()
        ))
        .help("paste the whole address, which begins with http://localhost and holds code= and state=")
    })
}

/// 32 bytes of chance, fit for an address.
fn token(random: impl Fn(&mut [u8])) -> String {
    let mut bytes = [0u8; 32];
    random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn seal(token: &SecretString, site: &Site, context: &Context) -> Result<String, Error> {
    let clock = &context.clock;
    Ok(secret::encrypt(token, &site.name, &context.config.secrets, |nonce| clock.fill_random(nonce))?)
}

/// The cloud id of the site, among those that were consented to.
fn choose(resources: &[Resource], site: &Site, named: Option<&str>) -> Result<String, Error> {
    let url = Url::parse(&site.base_url).ok();
    let found = match named {
        Some(id) => resources.iter().find(|resource| resource.id == id),
        None => url.as_ref().and_then(|url| oauth::resource_of(resources, url)),
    };
    if let Some(found) = found {
        return Ok(found.id.clone());
    }
    let seen: Vec<String> = resources.iter().map(|resource| format!("{} ({})", resource.url, resource.id)).collect();
    let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
    Err(Error::failure(format!("the consent is not for {}; it is for: {seen}", site.base_url))
        .help("consent again and choose that site, or name the right one with --cloud-id"))
}
