//! Error responses: their code and message, and the error kind, the advice and the decision for them.
//!
//! The body may be Azure's XML, or HTML, JSON or a truncated document of a proxy. It is parsed as far as possible, and not trusted:
//! every text is truncated and sanitized.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes>

use sandbucket_plugin::contract::error::{Kind, MAX_MESSAGE, ServiceResponse, tidy};
use sandbucket_plugin::http::response::{Head, MAX_ERROR_BODY};
use sandbucket_plugin::retry::{self, Decision};
use sandbucket_plugin::service::{Classification, ErrorResponse};
use sandbucket_plugin::xml;

/// Maximum length of a code or request id, in bytes.
const MAX_NAME: usize = 256;

/// What authorizes the store's requests, as far as advice depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// A key of the account.
    SharedKey,
    /// A shared access signature.
    Sas,
    /// None.
    Anonymous,
}

/// What an error response means. `now` is the service's time in seconds since 1970.
pub fn error_response(head: &Head<'_>, body: &[u8], authorization: Authorization, now: u64) -> ErrorResponse {
    let response = parse(head, body);
    let classification = classify(head, &response, authorization);
    let decision = decide(head, &response, authorization, now);
    ErrorResponse::new(response, classification, decision)
}

/// Parses an error response from its head and the beginning of its body.
pub fn parse(head: &Head<'_>, body: &[u8]) -> ServiceResponse {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_ERROR_BODY)]);
    let (document, _) = xml::read(&text);
    let error = document.as_ref().map(|document| document.root()).filter(|root| root.name() == "Error");
    let element = |name| error.and_then(|error| error.raw_text(name)).map(str::trim).filter(|text| !text.is_empty());
    // The response to a HEAD has no body.
    let code = head.get("x-ms-error-code").or_else(|| element("Code"));
    // The message ends with the lines `RequestId:…` and `Time:…`.
    let message = element("Message").map(|message| match message.split_once("\nRequestId:") {
        Some((message, _)) => message,
        None => message,
    });
    let message = match (message, element("AuthenticationErrorDetail")) {
        // The detail of a wrong signature is the text that was signed.
        (Some(message), Some(detail)) if !detail.contains("string to sign") => {
            Some(format!("{} {detail}", message.trim()))
        }
        (message, _) => message.map(str::to_owned),
    };
    ServiceResponse {
        status: head.status,
        code: code.map(|code| tidy(code, MAX_NAME)).filter(|code| !code.is_empty()),
        message: message.map(|message| tidy(&message, MAX_MESSAGE)).filter(|message| !message.is_empty()),
        request_id: head.get("x-ms-request-id").map(|id| tidy(id, MAX_NAME)),
        region: None,
    }
}

/// Kind, subject and advice.
type Entry = (Kind, Option<&'static str>, &'static str);

const fn with_subject(kind: Kind, subject: &'static str, advice: &'static str) -> Entry {
    (kind, Some(subject), advice)
}

const DENIED: Entry = (Kind::AccessDenied, None, "check the credentials and what they permit on this container");

/// Without credentials, the advice is to set some.
const DENIED_ANONYMOUS: Entry = with_subject(
    Kind::AccessDenied,
    "access-key",
    "the request was anonymous, and the container has no public access: set account and access-key, or sas-token",
);

const DENIED_SAS: Entry = with_subject(
    Kind::AccessDenied,
    "sas-token",
    "the sas-token has expired, is not valid yet, is not for this container, or does not permit this operation",
);

const WRONG_KEY: Entry = with_subject(
    Kind::AccessDenied,
    "access-key",
    "the access-key does not belong to the account, or a proxy in between changed the request",
);

/// Classification of Azure's error codes.
const CODES: [(&[&str], Entry); 31] = [
    (&["BlobNotFound"], (Kind::NotFound, None, "there is no such key")),
    (
        &["ContainerNotFound"],
        with_subject(
            Kind::NotFound,
            "container",
            "there is no such container: make it, or check container and endpoint",
        ),
    ),
    (
        &["ResourceNotFound"],
        (Kind::NotFound, None, "there is no such key, version or account: check account and endpoint"),
    ),
    (&["CannotVerifyCopySource"], (Kind::NotFound, None, "there is no such source, or it may not be read")),
    (
        &["InvalidBlockList"],
        (
            Kind::NotFound,
            None,
            "a part of the upload is gone: another write of the key dropped it, it was never uploaded, or it is older than a week",
        ),
    ),
    (
        &["AccountIsDisabled", "AccountBeingCreated"],
        with_subject(Kind::AccessDenied, "account", "the account is not in use"),
    ),
    (&["PublicAccessNotPermitted", "NoAuthenticationInformation"], DENIED_ANONYMOUS),
    (
        &[
            "AuthorizationFailure",
            "AuthorizationPermissionMismatch",
            "AuthorizationProtocolMismatch",
            "AuthorizationResourceTypeMismatch",
            "AuthorizationServiceMismatch",
            "AuthorizationSourceIPMismatch",
            "InsufficientAccountPermissions",
            "UnauthorizedBlobOverwrite",
        ],
        DENIED,
    ),
    (
        &["KeyBasedAuthenticationNotPermitted"],
        with_subject(
            Kind::AccessDenied,
            "access-key",
            "the account permits no keys: use a sas-token of a user delegation",
        ),
    ),
    (
        &[
            "BlobAlreadyExists",
            "ConditionNotMet",
            "TargetConditionNotMet",
            "SourceConditionNotMet",
            "AppendPositionConditionNotMet",
        ],
        (Kind::PreconditionFailed, None, "the precondition does not hold for what is there"),
    ),
    (&["InvalidRange"], (Kind::InvalidRange, None, "no byte of the blob is in the range")),
    (&["ContainerAlreadyExists"], (Kind::Conflict, None, "there is a container of this name already")),
    (
        &["ContainerBeingDeleted"],
        (
            Kind::Conflict,
            None,
            "a container of this name is being deleted, which takes at least 30 seconds: try again then",
        ),
    ),
    (&["ContainerDisabled"], (Kind::AccessDenied, None, "an administrator has disabled the container")),
    (
        &[
            "LeaseIdMissing",
            "LeaseIdMismatchWithBlobOperation",
            "LeaseLost",
            "LeaseNotPresentWithBlobOperation",
            "LeaseIsBreakingAndCannotBeAcquired",
        ],
        with_subject(
            Kind::Conflict,
            "lease-id",
            "somebody has a lease on the blob: give its id as the attribute lease-id",
        ),
    ),
    (
        &["SnapshotsPresent"],
        with_subject(
            Kind::Conflict,
            "delete-snapshots",
            "the blob has snapshots: give the attribute delete-snapshots = include to delete them too",
        ),
    ),
    (&["PendingCopyOperation"], (Kind::Conflict, None, "a copy onto this key is in progress")),
    (
        &["BlobArchived", "BlobBeingRehydrated"],
        (
            Kind::Service,
            None,
            "the blob is archived (its access tier is Archive): set another tier, and read it once that is done",
        ),
    ),
    (
        &["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"],
        (Kind::AccessDenied, None, "a policy or a legal hold protects the blob against changes"),
    ),
    (
        &["InvalidBlobType"],
        (
            Kind::Unsupported,
            None,
            "what is there is an append or page blob, which can be read and deleted, not written",
        ),
    ),
    (
        &["InvalidBlobOrBlock"],
        (
            Kind::Conflict,
            None,
            "another client's upload to this key is in progress, with blocks whose ids are of another length: complete it, or \
             wait a week",
        ),
    ),
    (&["ServerBusy", "TooManyRequests"], (Kind::Throttled, None, "it asks for fewer requests")),
    (&["OperationTimedOut"], (Kind::Timeout, None, "it did not finish in time")),
    (
        &["RequestBodyTooLarge", "BlockListTooLong", "BlockCountExceedsLimit", "UncommittedBlockCountExceedsLimit"],
        (Kind::TooLarge, None, "the body, or the number of parts, is beyond its limits"),
    ),
    (
        &["Md5Mismatch", "Crc64Mismatch", "InvalidMd5"],
        (Kind::Integrity, None, "the body did not reach it as it was sent"),
    ),
    (
        &["MetadataTooLarge", "InvalidMetadata", "EmptyMetadataKey"],
        with_subject(Kind::InvalidArgument, "metadata", "it does not take this metadata"),
    ),
    (
        &["InvalidTagName", "InvalidTag", "TagsTooLarge"],
        with_subject(Kind::InvalidArgument, "tags", "it does not take these tags"),
    ),
    (&["InvalidResourceName", "InvalidUri"], with_subject(Kind::InvalidArgument, "key", "it does not take this name")),
    (
        &["EncryptionScopeNotFound", "RequestEncryptionScopeDoesNotMatch", "BlobDoesNotUseCustomerSpecifiedEncryption"],
        with_subject(Kind::InvalidArgument, "encryption-scope", "check encryption-scope"),
    ),
    (
        &["BlobAccessTierNotSupportedForAccountType", "InvalidBlobTier"],
        with_subject(Kind::InvalidArgument, "access-tier", "the account does not have this access-tier"),
    ),
    (
        &[
            "FeatureNotYetSupportedForHierarchicalNamespaceAccounts",
            "FeatureVersionMismatch",
            "UnsupportedHeader",
            "UnsupportedQueryParameter",
            "UnsupportedHttpVerb",
            "APINotImplemented",
            "InvalidOperation",
        ],
        (Kind::Unsupported, None, "it does not know this operation, or one of its arguments"),
    ),
];

fn classify(head: &Head<'_>, response: &ServiceResponse, authorization: Authorization) -> Classification {
    let code = response.code.as_deref().unwrap_or_default();
    let denied = || match authorization {
        Authorization::Anonymous => DENIED_ANONYMOUS,
        Authorization::Sas => DENIED_SAS,
        Authorization::SharedKey => DENIED,
    };
    if response.status == 304 {
        let (kind, advice) = Classification::by_status(304);
        return Classification::new(kind, advice);
    }
    let entry = match CODES.iter().find(|(codes, _)| codes.contains(&code)) {
        Some(&(_, DENIED)) => denied(),
        Some(&(_, entry)) => entry,
        None if matches!(code, "AuthenticationFailed" | "InvalidAuthenticationInfo") => match authorization {
            Authorization::SharedKey => WRONG_KEY,
            _ => denied(),
        },
        None if matches!(response.status, 401 | 403) => denied(),
        None if response.status == 404 => (Kind::NotFound, None, "there is no such key, or no such container"),
        None => {
            let (kind, advice) = Classification::by_status(response.status);
            if (300..=399).contains(&response.status) && response.status != 304 {
                let to = head.get("location").and_then(origin).map_or(String::new(), |to| format!(" to \"{to}\""));
                let advice =
                    format!("it redirects{to}, and redirects are not followed: set endpoint to where the account is");
                return Classification::new(kind, advice).with_subject("endpoint");
            }
            (kind, None, advice)
        }
    };
    let (kind, subject, advice) = entry;
    Classification::new(kind, advice).with_subject(subject)
}

/// Scheme and authority of a URL. The rest may repeat the request's, whose query is the secret of a store with a `sas-token`.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    (is_http && is_host).then(|| tidy(&format!("{scheme}://{host}"), MAX_NAME))
}

/// Decides on an error response.
fn decide(head: &Head<'_>, response: &ServiceResponse, authorization: Authorization, now: u64) -> Decision {
    let code = response.code.as_deref();
    // A signature that is too old and one that is wrong have the same code: the service's clock distinguishes them.
    if authorization == Authorization::SharedKey
        && matches!(code, None | Some("AuthenticationFailed"))
        && let Some(date) = retry::skewed(head, now)
    {
        return Decision::CorrectClock(date);
    }
    match code {
        Some("ServerBusy" | "TooManyRequests") => retry::again(head, now, true),
        Some("InternalError" | "OperationTimedOut") => retry::again(head, now, false),
        // The upload of the same body again would fail as well, unless it was changed on its way.
        Some("Md5Mismatch" | "Crc64Mismatch") => retry::again(head, now, true),
        _ => retry::by_status(head, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: u64 = 1_700_000_000;

    fn head(status: u16, headers: &[(&str, &str)]) -> Head<'static> {
        let headers = headers.iter().map(|(name, value)| (name.to_string().into(), value.to_string().into())).collect();
        Head { status, headers }
    }

    fn coded(status: u16, code: &str, authorization: Authorization) -> ErrorResponse {
        error_response(&head(status, &[("x-ms-error-code", code)]), b"", authorization, NOW)
    }

    #[test]
    fn document_of_an_error_is_parsed_without_its_trailer() {
        let body = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>ContainerNotFound</Code><Message>The specified \
                    container does not exist.\nRequestId:1-2\nTime:2023-11-14T22:13:20Z</Message></Error>";
        let response = parse(&head(404, &[("x-ms-request-id", "1-2")]), body.as_bytes());
        assert_eq!(
            response,
            ServiceResponse {
                status: 404,
                code: Some("ContainerNotFound".into()),
                message: Some("The specified container does not exist.".into()),
                request_id: Some("1-2".into()),
                region: None
            }
        );
        let html = parse(&head(503, &[]), b"<html><Code>x</Code></html>");
        assert_eq!((html.code, html.message), (None, None));
    }

    #[test]
    fn details_of_authentication_are_shown_but_for_the_text_that_is_signed() {
        let body = |detail: &str| {
            let body = format!(
                "<Error><Code>AuthenticationFailed</Code><Message>Denied.</Message><AuthenticationErrorDetail>{detail}\
                 </AuthenticationErrorDetail></Error>"
            );
            parse(&head(403, &[]), body.as_bytes()).message.unwrap()
        };
        assert_eq!(
            body("Signature not valid in the specified time frame"),
            "Denied. Signature not valid in the specified time frame"
        );
        assert_eq!(body("The MAC signature ... Server used following string to sign: 'GET"), "Denied.");
    }

    #[test]
    fn control_characters_and_length_of_texts_are_limited() {
        let long = "m".repeat(5000);
        let body = format!("<Error><Code>A\u{7f}B</Code><Message>{long}</Message></Error>");
        let response = parse(&head(400, &[]), body.as_bytes());
        assert_eq!(response.code.as_deref(), Some("A B"));
        assert_eq!(response.message.unwrap().len(), MAX_MESSAGE);
    }

    #[test]
    fn codes_have_kinds_and_subjects() {
        use Authorization::{Anonymous, Sas, SharedKey};
        for (status, code, authorization, kind, subject) in [
            (404, "BlobNotFound", SharedKey, Kind::NotFound, None),
            (404, "ContainerNotFound", SharedKey, Kind::NotFound, Some("container")),
            (409, "BlobAlreadyExists", SharedKey, Kind::PreconditionFailed, None),
            (412, "ConditionNotMet", SharedKey, Kind::PreconditionFailed, None),
            (409, "ContainerAlreadyExists", SharedKey, Kind::Conflict, None),
            (409, "SnapshotsPresent", SharedKey, Kind::Conflict, Some("delete-snapshots")),
            (412, "LeaseIdMissing", SharedKey, Kind::Conflict, Some("lease-id")),
            (409, "PublicAccessNotPermitted", Anonymous, Kind::AccessDenied, Some("access-key")),
            (403, "AuthenticationFailed", SharedKey, Kind::AccessDenied, Some("access-key")),
            (403, "AuthenticationFailed", Sas, Kind::AccessDenied, Some("sas-token")),
            (403, "AuthorizationPermissionMismatch", Sas, Kind::AccessDenied, Some("sas-token")),
            (403, "AuthorizationFailure", SharedKey, Kind::AccessDenied, None),
            (400, "Md5Mismatch", SharedKey, Kind::Integrity, None),
            (413, "RequestBodyTooLarge", SharedKey, Kind::TooLarge, None),
            (416, "InvalidRange", SharedKey, Kind::InvalidRange, None),
            (503, "ServerBusy", SharedKey, Kind::Throttled, None),
            (500, "OperationTimedOut", SharedKey, Kind::Timeout, None),
            (409, "BlobArchived", SharedKey, Kind::Service, None),
            (400, "InvalidBlockList", SharedKey, Kind::NotFound, None),
            (500, "InternalError", SharedKey, Kind::Service, None),
            (304, "", SharedKey, Kind::NotModified, None),
            (304, "ConditionNotMet", SharedKey, Kind::NotModified, None),
            (404, "", Anonymous, Kind::NotFound, None),
            (403, "", Anonymous, Kind::AccessDenied, Some("access-key")),
        ] {
            let class = coded(status, code, authorization).classification;
            assert_eq!((class.kind, class.subject), (kind, subject), "{status} {code}");
        }
        let moved = error_response(&head(307, &[("location", "https://h/")]), b"", SharedKey, NOW).classification;
        assert_eq!((moved.kind, moved.subject), (Kind::InvalidSettings, Some("endpoint")));
    }

    #[test]
    fn redirect_shows_scheme_and_host_alone() {
        let advice = |location| {
            let refused = error_response(&head(301, &[("location", location)]), b"", Authorization::Sas, NOW);
            refused.classification.advice.into_owned()
        };
        for location in [
            "https://h.example:8443/c/k?sv=1&sig=SECRET",
            "https://h.example:8443?sig=SECRET",
            "https://h.example:8443#SECRET",
            "https://SECRET:SECRET@h.example:8443/",
        ] {
            let advice = advice(location);
            assert!(advice.contains("it redirects to \"https://h.example:8443\", "), "{advice}");
            assert!(!advice.contains("SECRET"), "{advice}");
        }
        for location in ["/c/k?sig=SECRET", "https://SECRET\u{1b}/", "SECRET://h/", "https:///SECRET", ""] {
            let advice = advice(location);
            assert!(advice.contains("it redirects, ") && !advice.contains("SECRET"), "{advice}");
        }
    }

    #[test]
    fn error_body_that_repeats_the_url_does_not_show_its_signature() {
        let body = "<Error><Code>AuthenticationFailed ?sig=SECRET</Code><Message>No: https://h/c/k?sp=r&amp;sig=SECRET&amp;se=1</Message>\
                    <AuthenticationErrorDetail>sig=SECRET%3D is not valid</AuthenticationErrorDetail></Error>";
        let head = head(403, &[("x-ms-request-id", "sig=SECRET")]);
        let refused = error_response(&head, body.as_bytes(), Authorization::Sas, NOW);
        assert!(!format!("{refused:?}").contains("SECRET"), "{refused:?}");
        let message = refused.response.message.unwrap();
        assert_eq!(message, "No: https://h/c/k?sp=r&sig=…&se=1 sig=… is not valid");
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<&str> = CODES.iter().flat_map(|(codes, _)| codes.iter().copied()).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn transient_errors_are_retried() {
        let next = |status, code| coded(status, code, Authorization::SharedKey).decision;
        let retried = |not_applied| Decision::Retry { after: None, not_applied };
        assert_eq!(next(503, "ServerBusy"), retried(true));
        assert_eq!(next(429, ""), retried(true));
        assert_eq!(next(400, "Md5Mismatch"), retried(true));
        for (status, code) in
            [(500, "InternalError"), (500, "OperationTimedOut"), (502, ""), (503, ""), (504, ""), (408, "")]
        {
            assert_eq!(next(status, code), retried(false), "{status} {code}");
        }
        for (status, code) in [
            (404, "BlobNotFound"),
            (409, "BlobAlreadyExists"),
            (403, "AuthenticationFailed"),
            (400, "InvalidHeaderValue"),
            (501, ""),
        ] {
            assert_eq!(next(status, code), Decision::Fail, "{status} {code}");
        }
        let busy = error_response(
            &head(503, &[("x-ms-error-code", "ServerBusy"), ("retry-after", "7")]),
            b"",
            Authorization::Sas,
            NOW,
        );
        assert_eq!(busy.decision, Decision::Retry { after: Some(Duration::from_secs(7)), not_applied: true });
    }

    #[test]
    fn rejected_signature_corrects_the_clock_if_it_differs() {
        let far = [("date", "Tue, 14 Nov 2023 23:13:20 GMT"), ("x-ms-error-code", "AuthenticationFailed")];
        let next = |headers: &[(&str, &str)], authorization| {
            error_response(&head(403, headers), b"", authorization, NOW).decision
        };
        assert_eq!(next(&far, Authorization::SharedKey), Decision::CorrectClock(NOW + 3600));
        assert_eq!(next(&far[..1], Authorization::SharedKey), Decision::CorrectClock(NOW + 3600));
        assert_eq!(next(&far, Authorization::Sas), Decision::Fail);
        let near = [("date", "Tue, 14 Nov 2023 22:13:21 GMT"), ("x-ms-error-code", "AuthenticationFailed")];
        assert_eq!(next(&near, Authorization::SharedKey), Decision::Fail);
        let other = [far[0], ("x-ms-error-code", "AuthorizationFailure")];
        assert_eq!(next(&other, Authorization::SharedKey), Decision::Fail);
    }
}
