// Package archive keeps what export read: canonical JSON, addressed by content, in a folder, a single .tar.zst or an
// object store.
//
//	index/000002-SHA256.json      what a revision holds; written last, names the one before
//	blobs/ab/SHA256               one object, canonical JSON
//	secrets/ab/HMAC.age           one Secret, or a piece of a payload, encrypted with age
//	keys/ID.age                   the key of those HMACs, encrypted to the same recipients
//
//	objects ── Writer.Put ──> blobs ── Writer.Commit ──> index ── Open ──> Reader.Object, Reader.Verify
//
// A revision is complete or absent: its index is written after all that it names is durable, and its name holds its hash.
// A later revision writes only what changed. The same objects give the same bytes, but for what is encrypted and for the
// keyed hashes, which depend on the archive's own random key.
//
// Secrets are in clear in memory only. Their hash has a key, so that nobody can guess a password by its hash.
//
// An archive is outside data: names, sizes, hashes and the depth of paths are checked before anything is believed.
package archive
