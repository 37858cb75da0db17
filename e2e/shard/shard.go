package shard

import (
	"errors"
	"fmt"
	"hash/fnv"
)

// A Shard is one part of a list that several runs share, written as 2/3. It is a flag.Value; the zero value is the whole.
type Shard struct{ part, parts int }

// Set reads a shard.
func (s *Shard) Set(text string) error {
	var part, parts int
	if n, err := fmt.Sscanf(text, "%d/%d", &part, &parts); n != 2 || err != nil || part < 1 || part > parts {
		return errors.New("it must be like 2/3")
	}
	*s = Shard{part, parts}
	return nil
}

func (s *Shard) String() string {
	if s.parts == 0 {
		return "1/1"
	}
	return fmt.Sprintf("%d/%d", s.part, s.parts)
}

// Has reports whether something of that name belongs to the shard. It belongs to one shard of each number of parts.
func (s Shard) Has(name string) bool {
	return s.parts == 0 || Spread(name, s.parts) == s.part-1
}

// Spread spreads texts evenly over the numbers below n.
func Spread(text string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text)) // a hash takes everything
	return int(h.Sum32() % uint32(n))
}
