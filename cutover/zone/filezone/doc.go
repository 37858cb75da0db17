// Package filezone changes records in a zone file (RFC 1035 section 5), for trying a migration out, and for name servers
// that load a zone from a file and are told to load it again by other means. It tells nobody itself.
//
//	lock   beside the file: one writer of this driver at a time
//	read   the whole file, entry by entry
//	judge  does the name hold exactly what was expected, and the fence our token? Nothing is written before
//	edit   only the lines of the change and the serial; every other line stays as it is, with its comment
//	check  read the new text: all other records are as before
//	write  beside the file, flushed to disk; if the file is still what was read, it is replaced in one step (rename)
//
// The file goes from old to new in one step, with the conditions judged under the lock. Who serves it loads it later, each
// server at once: so the strength is transactional. Another program that writes the file takes no part in the lock; one
// that has written since the file was read is noticed just before the replacement, and the change is refused.
//
// Files that include others ($INCLUDE, $GENERATE) or are signed are refused.
package filezone
