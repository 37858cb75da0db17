// Package s3rights knows which action of a policy each request of the drivers for S3 and MinIO needs, so that a denial can name the
// one that is missing.
package s3rights

import "strings"

// Of returns the action, or the actions, that an operation needs, as
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html names them; empty is that none is known.
func Of(op string) string {
	switch op {
	case "list", "check":
		return "s3:ListBucket"
	case "head", "open":
		return "s3:GetObject"
	case OpTags:
		return "s3:GetObjectTagging"
	case "put":
		return "s3:PutObject, or for what has tags or a lock s3:PutObjectTagging, s3:PutObjectRetention or s3:PutObjectLegalHold"
	case "copy":
		return "s3:GetObject at the source or s3:PutObject at the destination, or for what has tags those for tagging"
	case "delete", "mark as deleted":
		return "s3:DeleteObject"
	case "make":
		return "s3:CreateBucket"
	case "abort":
		return "s3:AbortMultipartUpload"
	case "list versions":
		return "s3:ListBucketVersions"
	case "delete version":
		return "s3:DeleteObjectVersion"
	case "ask for versioning":
		return "s3:GetBucketVersioning"
	case "turn on versioning":
		return "s3:PutBucketVersioning"
	case "ask for the object lock":
		return "s3:GetBucketObjectLockConfiguration"
	case "ask for the default encryption":
		return "s3:GetEncryptionConfiguration"
	}
	switch {
	case strings.HasPrefix(op, "list the parts"):
		return "s3:ListMultipartUploadParts"
	case strings.HasPrefix(op, "list the unfinished uploads"):
		return "s3:ListBucketMultipartUploads"
	}
	return ""
}

// OpTags is the operation that reads the tags of an object that was found.
const OpTags = "read the tags of"
