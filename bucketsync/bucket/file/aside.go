package file

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// moved lies in .crossfade/aside for a file that moved aside: its new name has changed the time that is part of its ETag, and it is
// the same object all the same. It holds as long as the file is what it was right after the move.
type moved struct {
	Is  string `json:"is"`
	Was string `json:"was"`
}

func movedPath(rel string) string {
	sum := sha256.Sum256([]byte(rel))
	return path.Join(privateDir, "aside", hex.EncodeToString(sum[:20])+".json")
}

// moveAside gives a file the name beside the directory that needs its own. A kill before it is noted has the object compared anew.
func moveAside(root *os.Root, plain string) error {
	before, err := root.Lstat(plain)
	if err != nil {
		return err
	}
	rel := aside(plain)
	if err := root.Rename(plain, rel); err != nil {
		return err
	}
	after, err := root.Lstat(rel)
	if err != nil || stampOf(before) != stampOf(after) {
		return err // another program was faster: it is another object
	}
	content, err := json.Marshal(moved{Is: etag(after), Was: etag(before)})
	if err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(movedPath(rel)), 0o755); err != nil {
		return err
	}
	return root.WriteFile(movedPath(rel), content, 0o644)
}

// tagOf is the ETag of the file at a path.
func tagOf(root *os.Root, rel string, info fs.FileInfo) (string, error) {
	now := etag(info)
	if !strings.HasSuffix(rel, markAside) {
		return now, nil
	}
	content, err := root.ReadFile(movedPath(rel))
	if errors.Is(err, fs.ErrNotExist) {
		return now, nil
	}
	if err != nil {
		return "", fmt.Errorf("read what moved aside: %w", err)
	}
	var m moved
	if err := json.Unmarshal(content, &m); err != nil || m.Is != now {
		return now, nil //nolint:nilerr // half written, or of another file: the object is compared anew
	}
	return m.Was, nil
}

// forgetAside removes the note of a file that is no longer there.
func forgetAside(root *os.Root, rel string) error {
	if !strings.HasSuffix(rel, markAside) {
		return nil
	}
	if err := root.Remove(movedPath(rel)); !absent(err) {
		return err
	}
	return nil
}
