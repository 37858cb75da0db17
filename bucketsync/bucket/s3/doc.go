// Package s3 is the driver of Amazon S3, and of servers that speak its protocol, over aws-sdk-go-v2.
//
//	List    ListObjectsV2, keys URL-encoded on the wire, so that control characters pass
//	Head    HeadObject with checksums, then GetObjectTagging
//	Open    GetObject with If-Match, at most one range
//	Put     one PutObject, or a multipart upload that is completed on the condition; it is aborted on any error, or where it is
//	        remembered, gone on with from what ListParts shows
//	CopyFrom  CopyObject, or an upload of UploadPartCopies, both with If-Match on the source and the condition on the destination
//	Delete  HeadObject to see that it is still the one, then DeleteObject with If-Match
//
// The SDK's checksums are asked for only where S3 requires them: since 2025 they are trailers by default, which other
// servers refuse (B7). Bodies are protected by a Content-MD5 for each request instead, which every server checks.
//
// Other servers than Amazon's were seen to change some keys and to drop website redirects without a word. At an
// Endpoint these are refused, unless Options.Complete says that the server keeps them.
//
// Retries are the SDK's, with the delays that the server asks for. Metadata values that no header can carry are encoded
// as RFC 2047 says, which is how S3 shows them itself.
package s3
