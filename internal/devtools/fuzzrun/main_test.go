package main

import (
	"path/filepath"
	"slices"
	"testing"
)

// A fuzz target that nobody runs guards nothing: those of the whole module are found, in sub-packages too.
func TestTheTargetsOfSubPackagesAreFound(t *testing.T) {
	found, err := find("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []target{
		{"../../migration", "FuzzParse"}, {"../../journal", "FuzzRead"}, {"../../archive", "FuzzBlob"}, {"../../plan", "FuzzPlan"},
		{"../../../bucketsync", "FuzzManifest"}, {"../../../bucketsync/bucket/internal/headertext", "FuzzEncode"}, {"../../../ports", "FuzzRange"},
	} {
		if !slices.ContainsFunc(found, func(t target) bool { return t.name == want.name && same(t.dir, want.dir) }) {
			t.Errorf("%s in %s is not found among %v", want.name, want.dir, found)
		}
	}
}

func same(a, b string) bool {
	x, xerr := filepath.Abs(a)
	y, yerr := filepath.Abs(b)
	return xerr == nil && yerr == nil && x == y
}
