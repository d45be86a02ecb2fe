//! Which permission a refusal is about.
//!
//! By operation of the seam; where a store names the permission itself, its word counts. Names: as in `policy`.

use skyfresh_sky::{Kind, Scheme};
use skyfresh_store::Error;

/// The error, and which permission it is about.
pub(super) fn with_action(error: &Error, scheme: Scheme) -> String {
    if error.kind != Kind::Denied || !is_about_rights(error) {
        return error.to_string();
    }
    let action = match scheme {
        Scheme::S3 => of_s3(error.operation),
        Scheme::Gcs => match named(&error.context) {
            // The store has said it already.
            Some(_) => None,
            None => of_google(error.operation),
        },
        Scheme::Azure => of_azure(error.operation),
        Scheme::File | Scheme::Memory => None,
    };
    match action {
        Some(action) => format!("{error} (permission {action})"),
        None => error.to_string(),
    }
}

/// A refusal may also be about who asks; then no right is missing.
fn is_about_rights(error: &Error) -> bool {
    match error.code.as_deref() {
        None => true,
        Some(code) => [
            "AccessDenied",
            "forbidden",
            "PERMISSION_DENIED",
            "AuthorizationPermissionMismatch",
            "AuthorizationFailure",
            "InsufficientAccountPermissions",
        ]
        .contains(&code),
    }
}

/// `storage.objects.get` in "… does not have storage.objects.get access to …".
fn named(words: &str) -> Option<&str> {
    words
        .split_ascii_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .find(|word| is_permission(word))
}

fn is_permission(word: &str) -> bool {
    [
        "storage.objects.",
        "storage.buckets.",
        "storage.multipartUploads.",
    ]
    .iter()
    .any(|kind| word.starts_with(kind))
}

fn of_s3(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "check" | "list" => "s3:ListBucket",
        "get" | "head" => "s3:GetObject",
        "parts" => "s3:GetObjectAttributes",
        "tags" => "s3:GetObjectTagging",
        "set tags" => "s3:PutObjectTagging",
        "probe" | "put" | "create upload" | "upload part" | "complete upload" => "s3:PutObject",
        "delete" => "s3:DeleteObject",
        "abort upload" => "s3:AbortMultipartUpload",
        "list parts" => "s3:ListMultipartUploadParts",
        "list uploads" => "s3:ListBucketMultipartUploads",
        "read notification configuration" => "s3:GetBucketNotification",
        "write notification configuration" => "s3:PutBucketNotification",
        _ => return None,
    })
}

fn of_google(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "check" | "list" => "storage.objects.list",
        "get" | "head" => "storage.objects.get",
        "probe" | "put" | "complete upload" => "storage.objects.create",
        "create upload" | "upload part" => "storage.multipartUploads.create",
        "delete" => "storage.objects.delete",
        "abort upload" => "storage.multipartUploads.abort",
        "list uploads" => "storage.multipartUploads.list",
        "read bucket" | "read notification configurations" => "storage.buckets.get",
        _ => return None,
    })
}

fn of_azure(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "check" | "list" | "get" | "head" => {
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
        }
        "tags" => "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read",
        "set tags" => "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/write",
        "probe" | "put" | "create upload" | "upload part" | "complete upload" => {
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
        }
        "delete" => "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
        "read event subscriptions" => "Microsoft.EventGrid/eventSubscriptions/read",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(scheme: Scheme, operation: &'static str, code: Option<&str>, words: &str) -> String {
        let error = Error::new(Kind::Denied, operation, "bucket", words);
        match code {
            Some(code) => with_action(&error.with_code(code), scheme),
            None => with_action(&error, scheme),
        }
    }

    #[test]
    fn a_refusal_names_the_permission() {
        for (scheme, operation, permission) in [
            (Scheme::S3, "list", "s3:ListBucket"),
            (Scheme::S3, "probe", "s3:PutObject"),
            (Scheme::Gcs, "get", "storage.objects.get"),
            (
                Scheme::Gcs,
                "upload part",
                "storage.multipartUploads.create",
            ),
            (Scheme::Azure, "delete", "containers/blobs/delete"),
        ] {
            let told = told(scheme, operation, None, "no");
            assert!(told.ends_with(&format!("{permission})")), "{told}");
            assert!(told.contains("(permission "), "{told}");
        }
        let azure = told(
            Scheme::Azure,
            "put",
            Some("AuthorizationPermissionMismatch"),
            "no",
        );
        assert!(azure.ends_with("containers/blobs/write)"), "{azure}");
    }

    #[test]
    fn who_asks_is_another_matter() {
        for code in [
            "SignatureDoesNotMatch",
            "InvalidAccessKeyId",
            "AuthenticationFailed",
        ] {
            assert!(!told(Scheme::S3, "list", Some(code), "no").contains("permission"));
        }
    }

    #[test]
    fn what_the_store_says_is_not_said_twice() {
        let words =
            "a@b.iam.gserviceaccount.com does not have storage.objects.list access to the bucket.";
        assert_eq!(named(words), Some("storage.objects.list"));
        assert!(!told(Scheme::Gcs, "list", Some("forbidden"), words).contains("(permission"));
        assert_eq!(
            named("storage.googleapis.com refused"),
            None,
            "a host is no permission"
        );
    }
}
