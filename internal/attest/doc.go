// Package attest writes and checks what was proven of a place: a file with a line for each object, in the order of keys, under
// the root of a Merkle tree and a signature. Years later, and without either store, it shows that the list is the one that
// was signed; with a store, what has changed since.
//
//	proven objects, in order ─> Writer ─ a hash tree while they pass ─> FILE: header with the root, then the lines
//	                                                                     FILE.sig: SSH signature over FILE
//	FILE, FILE.sig, a public key ─> Read ─> entries, and what does not hold
//
// The tree is that of RFC 6962, section 2.1 (https://www.rfc-editor.org/rfc/rfc6962#section-2.1): a leaf is
// SHA-256(0x00, line), a node SHA-256(0x01, left, right), so that no line can pass for a node. The line counts as it stands
// in the file, without its end. A proof for one line (section 2.1.1) is as long as the logarithm of their number.
//
// The signature has the form that ssh-keygen writes and checks (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig):
//
//	ssh-keygen -Y check-novalidate -n crossfade-manifest -s FILE.sig < FILE
package attest
