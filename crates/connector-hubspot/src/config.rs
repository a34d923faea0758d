use secrecy::SecretString;
use url::Url;

/// Which spelling of HubSpot's paths is used; the bodies are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiVersion {
    /// `/crm/v3/objects/…`, as HubSpot has spelled them for years.
    #[default]
    Classic,
    /// `/crm/objects/2026-03/…`, the release of March 2026.
    March2026,
}

/// How this installation is known to HubSpot, and where HubSpot is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The client id of the HubSpot app.
    pub client_id: String,
    /// The client secret of the HubSpot app.
    pub client_secret: SecretString,
    /// The address of the API, `https://api.hubapi.com` for all regions.
    pub base_url: Url,
    /// The address of the pages that people see, where the consent page is: `https://app.hubspot.com`.
    pub app_url: Url,
    /// Which spelling of the API's paths is used.
    pub api_version: ApiVersion,
}

/// The paths of one version of the API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths(pub(crate) ApiVersion);

impl Paths {
    pub(crate) fn objects(self, object: &str) -> String {
        self.crm("objects", object)
    }

    pub(crate) fn properties(self, object: &str) -> String {
        self.crm("properties", object)
    }

    pub(crate) fn pipelines(self, object: &str) -> String {
        self.crm("pipelines", object)
    }

    pub(crate) const fn custom_objects(self) -> &'static str {
        match self.0 {
            ApiVersion::Classic => "/crm-object-schemas/v3/schemas",
            ApiVersion::March2026 => "/crm-object-schemas/2026-03/schemas",
        }
    }

    /// Associations of an object's records with those of another.
    pub(crate) fn associations(self, object: &str, with: &str) -> String {
        match self.0 {
            ApiVersion::Classic => format!("/crm/v4/associations/{object}/{with}"),
            ApiVersion::March2026 => format!("/crm/associations/2026-03/{object}/{with}"),
        }
    }

    pub(crate) const fn account_details(self) -> &'static str {
        match self.0 {
            ApiVersion::Classic => "/account-info/v3/details",
            ApiVersion::March2026 => "/account-info/2026-03/details",
        }
    }

    /// The token endpoint; v1 ends in February 2027, so the classic spelling takes v3.
    pub(crate) const fn token(self) -> &'static str {
        match self.0 {
            ApiVersion::Classic => "/oauth/v3/token",
            ApiVersion::March2026 => "/oauth/2026-03/token",
        }
    }

    fn crm(self, api: &str, object: &str) -> String {
        match self.0 {
            ApiVersion::Classic => format!("/crm/v3/{api}/{object}"),
            ApiVersion::March2026 => format!("/crm/{api}/2026-03/{object}"),
        }
    }
}
