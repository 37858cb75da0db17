package rig

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestInfoIsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadInfo(dir); !errors.Is(err, ErrNone) {
		t.Fatalf("an empty folder: %v, want %v", err, ErrNone)
	}
	info := &Info{PID: 7, Subnet: "10.213.4.0/24", Host: "10.213.4.1", Resolver: "10.213.4.55:53", Sides: []SideInfo{{Name: "blue", Version: "v1.28.15"}}}
	if err := info.write(filepath.Join(dir, infoFile)); err != nil {
		t.Fatal(err)
	}
	got, err := ReadInfo(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.PID != 7 || got.Resolver != info.Resolver || len(got.Sides) != 1 || got.Sides[0].Version != "v1.28.15" {
		t.Errorf("read %+v", got)
	}
	if text := got.Text(); !strings.Contains(text, "v1.28.15") || !strings.Contains(text, "10.213.4.55:53") {
		t.Errorf("for people it says %q", text)
	}
	file := got.Localize("endpoint: http://10.213.0.1:7070, cidr: 10.213.0.1/32, other: 192.0.2.1")
	if want := "endpoint: http://10.213.4.1:7070, cidr: 10.213.4.1/32, other: 192.0.2.1"; file != want {
		t.Errorf("localized to %q, want %q", file, want)
	}
}
