package shard

import (
	"fmt"
	"testing"
)

func TestEverythingIsInOneShard(t *testing.T) {
	counts := map[string]int{}
	for i := range 300 {
		name, in := fmt.Sprint("thing ", i), 0
		for _, text := range []string{"1/3", "2/3", "3/3"} {
			var s Shard
			if err := s.Set(text); err != nil || s.String() != text {
				t.Fatalf("%s is read as %s: %v", text, s.String(), err)
			}
			if s.Has(name) {
				counts[text]++
				in++
			}
		}
		if in != 1 || !(Shard{}).Has(name) {
			t.Errorf("%s is in %d of three shards", name, in)
		}
	}
	if len(counts) != 3 || min(counts["1/3"], counts["2/3"], counts["3/3"]) < 60 {
		t.Errorf("the shards hold %v of 300 things", counts)
	}
}

func TestAShardThatIsNoneIsRefused(t *testing.T) {
	for _, text := range []string{"", "2", "0/3", "4/3", "1/0", "-1/3", "a/b"} {
		if err := new(Shard).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
