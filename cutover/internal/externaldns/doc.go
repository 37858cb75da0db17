// Package externaldns knows how external-dns says that a record is its own, and with which arguments it was told to.
//
//	Affix.Names   where the ownership TXT of a record stands, in every form that a version has written
//	Parse         whose it is; anything but the documented plain text is not understood
//	WithOwner     the same text, byte for byte, with another owner
//	FromContainer what an installation was told: owner, names, policy, registry, sources
//
// Facts are those of external-dns's documentation: "The TXT registry", "Registries", "Flags", and, for the names of the
// first format, "TXT Registry migration to a new format".
package externaldns
