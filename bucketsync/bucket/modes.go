package bucket

import (
	"context"
	"fmt"
	"io/fs"
)

// Modes say who may reach an object that is a file.
type Modes struct {
	// File are its permission bits, without those of whom a folder on its way keeps out: whoever writes a file with them shows it to nobody
	// who could not reach the source.
	File fs.FileMode
	// Folders are the permission bits of the folders that it lies in, the innermost first.
	Folders []fs.FileMode
}

const (
	usualFile   fs.FileMode = 0o644
	usualFolder fs.FileMode = 0o755
)

// FileMode is how to make a file, to which a umask applies as ever. Nil is the usual.
func (m *Modes) FileMode() fs.FileMode {
	if m == nil {
		return usualFile
	}
	return m.File.Perm()
}

// FolderMode is how to make the folder so many above the innermost. Its owner may always write in it.
func (m *Modes) FolderMode(above int) fs.FileMode {
	if m == nil || above >= len(m.Folders) {
		return usualFolder
	}
	return m.Folders[above].Perm() | 0o700
}

// Closed reports whether somebody is kept out, who may read what is made as usual.
func (m *Modes) Closed() bool {
	return m != nil && m.File&usualFile != usualFile
}

// String is the file's bits as chmod takes them.
func (m *Modes) String() string { return fmt.Sprintf("%04o", m.FileMode()) }

// LikeMaker is the optional ability to make the bucket no more open than another one of the same provider is.
type LikeMaker interface {
	MakeLike(ctx context.Context, like Capabilities) error
}
