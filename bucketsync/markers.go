package bucketsync

import (
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// asFolder is what a store can have of the properties of a folder's marker. Of servers that keep objects as files, some make of such a
// key a directory without a type; others keep it as it is written, so that only what is there afterwards tells. What is given up goes
// into the ledger.
func asFolder(key string, want, got bucket.Properties, caps bucket.Capabilities) (bucket.Properties, []Entry) {
	wanted, has := canonical(want, caps).ContentType, canonical(got, caps).ContentType
	if !takesForFolder(key, caps) || wanted == "" || has != "" {
		return want, nil
	}
	lost := Entry{Property: "Content-Type", Fate: Lost, Detail: fmt.Sprintf("%s, and the destination makes of the marker a folder, which has no type", want.ContentType)}
	want.ContentType = ""
	return want, []Entry{lost}
}

// takesForFolder reports whether a store may make a folder of its own of what is written under a key.
func takesForFolder(key string, caps bucket.Capabilities) bool {
	return caps.FoldersEmpty && strings.HasSuffix(key, "/")
}
