package main

import "testing"

func TestB19_ObjectsHaveAShareOfWhatTheContainerGives(t *testing.T) {
	for limit, want := range map[uint64]int64{8 << 20: leastMemory, 64 << 20: 16 << 20, 128 << 20: 32 << 20, 16 << 30: usualMemory} {
		if got := objectsOf(limit); got != want {
			t.Errorf("of %d bytes objects may have %d, want %d", limit, got, want)
		}
	}
}
