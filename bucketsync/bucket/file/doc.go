// Package file is a directory as a bucket.
//
// An object is a plain file at the path that its key says, as long as a file can be there. The rest is escaped
// reversibly (B12), in forms that are rare in names that people give:
//
//	key                      path
//	a/b.txt, 100%.txt        a/b.txt, 100%.txt
//	a beside a/b             a%= and a/b
//	a//b, /a, a/             a/%_/b, %_/a, a/%_
//	a/../b, ./a              a/%2E%2E/b, %2E/a
//	control characters       %00 to %1F, %7F
//	%1F as it stands         %251F
//	a segment over 250 bytes its pieces as directories, all but the last with %+ at their ends
//
// Links, pipes, sockets and devices are no objects: nothing follows or opens them, and a listing shows them to who asks for it.
//
// Properties lie beside the objects, in a sidecar each under .crossfade/objects, where an object has any. The sidecar's
// name holds what of its file's ETag stays when that gets its name, and it is written before the file gets its name: so a reader, or a run
// that was killed between the two, never sees one object's bytes with another's properties.
//
// A file is made with the Modes that it is given, and is never more open while it is written, nor is its sidecar: see modes.go.
//
// A write goes to .crossfade/tmp, or where it is to be gone on with after a kill, to .crossfade/uploads, and is renamed under
// a lock, so readers see the old object or the new one. The lock makes conditions hold among all that use this package;
// programs that write into the directory on their own are seen by the ETag, which is made of the file's number, size and time, and of when the system
// says that it was changed last. An object that moves aside keeps its ETag, by a note under .crossfade/aside.
package file
