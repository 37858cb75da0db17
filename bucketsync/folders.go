package bucketsync

import (
	"errors"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Some stores have directories of their own, which their listings show beside objects (bucket.Folder). What is done about one,
// where "bare" is without properties of its own, and "as recorded" that the manifest says that this migration made it, or found it
// equal:
//
//	source                   | destination        | what
//	-------------------------+--------------------+-------------------------------------------------------------
//	bare, something is in it | none, or bare      | nothing: the keys below it say the same
//	empty, or of properties  | none               | copied, as the marker of a folder that other stores have for it
//	an object with a slash   | bare, not recorded | copied: it makes the directory its own, and takes nothing away
//	none                     | bare, not recorded | nothing: it comes with keys, and stays when they are deleted
//	none                     | as recorded        | deleted, where copies are, after everything that lies in it
//	none                     | of properties      | it stays, also where foreign objects are deleted: it is no object, and others' keys may need it

// What stands under the empty key is the place itself, where a prefix names a directory. That is no object of it, unless the destination
// has room for one there, below a prefix of its own.

// underFolders is a pair without the directories that are nothing of themselves.
func underFolders(p pair) pair {
	if p.src != nil && p.src.Folder == bucket.FolderHolding && (p.dst == nil || p.dst.Folder.Bare() && !p.rec.knows(*p.dst)) {
		p.src = nil
	}
	if p.src == nil && p.dst != nil && p.dst.Folder.Bare() && !p.rec.knows(*p.dst) {
		p.dst = nil
	}
	return p
}

// isPlace reports whether the source's directory is the place itself, and no object there.
func (e *engine) isPlace(p pair) bool {
	return p.key == "" && p.src != nil && p.src.Folder != bucket.NotFolder && (p.src.Folder.Bare() || unfit(*p.src, e.toCaps) != "")
}

// folders is underFolders, and enters in the ledger what the place itself has, of which nothing is copied.
func (e *engine) folders(p pair) (pair, error) {
	p = underFolders(p)
	if !e.isPlace(p) {
		return p, nil
	}
	own := p.src.Folder == bucket.FolderOwn
	p.src = nil
	if !own {
		return p, nil
	}
	return p, e.ledger.add(p.key, []Entry{{
		Property: "directory", Fate: Lost, Detail: "what the source's place itself has as a directory: metadata, or an access control list",
	}})
}

// knows reports whether the record is of just this version at the destination.
func (r *Record) knows(dst bucket.Object) bool {
	return r != nil && r.State != StateForgotten && r.State != StateForeign && (r.Destination.is(dst) || r.owns(dst))
}

// dooms reports whether what only the destination has is to be deleted.
func (e *engine) dooms(p pair, v verdict) bool {
	return e.opts.deletes(v == extraOwn) && (v == extraOwn || p.dst.Folder == bucket.NotFolder) && p.dst.Irregular == ""
}

// deepestFirst orders directories so that what lies in one comes before it: UTF-8 has no byte that is greater.
func deepestFirst(o bucket.Object) string { return o.Key + "\xff" }

// deleteFolders removes the directories that a pass doomed, of which nothing is left but themselves.
func (e *engine) deleteFolders(remove func(bucket.Object) error, doomed *sorter[bucket.Object]) (err error) {
	folders := newSorter(e.opts.TempDir, deepestFirst)
	defer func() { err = errors.Join(err, folders.close()) }()
	for obj, err := range doomed.sorted() {
		if err != nil {
			return err
		}
		if obj.Folder == bucket.NotFolder {
			continue
		}
		if err := folders.add(obj); err != nil {
			return err
		}
	}
	for obj, err := range folders.sorted() {
		if err != nil {
			return err
		}
		if err := remove(obj); err != nil {
			return err
		}
	}
	return nil
}
