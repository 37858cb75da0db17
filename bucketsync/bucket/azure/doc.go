// Package azure is the driver of Azure Blob Storage, over azblob.
//
//	List    List Blobs, flat; its order is nobody's promise, so the driver claims none and cuts ranges out itself
//	Head    Get Blob Properties, then the tags where there are any
//	Open    Get Blob with If-Match
//	Put     one Put Blob, made here (wire.go), or blocks and their list, which carries the condition, by the SDK
//	Delete  Delete Blob with If-Match
//
// An account with a hierarchical namespace has directories too, which stand under keys that end with a slash; see namespace.go.
//
// Azure checks the MD5 of each request, and neither computes nor checks one over a list of blocks. So every block is
// sent with its own, and Content-MD5 is set to the MD5 of all bytes that went through here (B3). For the same reason a
// Content-MD5 that is read proves nothing, and is given as no digest.
//
// Keys of metadata must be identifiers there and lose their case. Others are kept as Metadata.Name says: each character
// that does not fit becomes _xHHHH_, as .NET's XmlConvert writes names (content-owner is content_x002d_owner), and
// turns back when it is read. Values that no header can carry are encoded as RFC 2047 says.
//
// A block's name holds its upload's, which is random, its number and the MD5 with which the service took it: a write that was
// cut off goes on from what Get Block List shows. Blocks of one that fails are left to the service, which drops them after
// a week or with the next write of that blob: it knows no request that would abort them.
package azure
