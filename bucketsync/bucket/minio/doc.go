// Package minio is the driver of MinIO's servers, over minio-go.
//
//	List    ListObjectsV2 without owners
//	Head    HEAD, then the object's tags
//	Open    GET with If-Match, at most one range
//	Put     one PUT, or a multipart upload that is completed on the condition and aborted on any error
//	Delete  HEAD to see that it is still the one, then DELETE, which MinIO makes on no condition
//
// MinIO keeps objects under file names. It was seen to drop a leading slash of a key and a website redirect without a
// word, so both are refused here. It also stores a/b beside an object a, and then leaves a/b out of listings: who reads
// such a bucket can't see it, who writes one finds it missing when he lists.
//
// Bodies are protected by a Content-MD5 for each request. Retries are the SDK's. The two requests that a copy makes for each object go past
// the SDK as long as they succeed: see wire.go.
package minio
