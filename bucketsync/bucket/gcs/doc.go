// Package gcs is the driver of Google Cloud Storage, over its JSON API.
//
//	List    objects.list with the range's ends
//	Head    objects.get
//	Open    objects.get of the media at one generation, compressed as it is stored
//	Put     one upload request up to a chunk, made here (wire.go), a resumable upload of the SDK's above, on ifGenerationMatch
//	CopyFrom  objects.rewrite on the generations of both sides
//	Delete  on ifGenerationMatch
//
// An object's Version is its generation, its ETag the generation with the metageneration, which changes with its
// metadata alone: so a changed property is noticed as a changed byte is. The generation of a read is a condition and
// not a choice, so that an object that was overwritten is refused, versioned bucket or not.
//
// The service never inflates what it sends and this package asks for no compression on the way (B8). Tags, website
// redirects and Expires headers have no place here and are refused. An upload that fails is left to the service, which
// drops it after a week: it is no object and costs nothing.
//
// An upload that was cut off by a kill begins anew. The SDK does not give away the address of its resumable sessions, which
// is also all that one needs to write there, and so no thing to keep on a disk; the multipart uploads of the XML API, which need
// credentials, take no conditions (https://cloud.google.com/storage/docs/multipart-uploads), and B5 asks for them.
package gcs
