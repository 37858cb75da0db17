package bench

import (
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/e2e/score"
	"github.com/crossfade-project/crossfade/internal/cli"
)

// figure is what of a Measure a target is about.
type figure string

const (
	wallTime   figure = "wall"
	clientCPU  figure = "client CPU"
	peakMemory figure = "memory"
	pairRate   figure = "rate"
	growth     figure = "growth of memory"
)

// bestPeer stands for the peer with the least of a figure.
const bestPeer = "the best peer"

// A target says how much of a figure crossfade may take: a share of what a peer takes, or so much of it. Of a rate, it says how much it
// takes at least.
type target struct {
	figure  figure
	most    float64
	against string // a peer, bestPeer, or empty for none
}

func (t target) judge(w work, figures map[string]Measure) score.Verdict {
	mine := figures[ours].of(t.figure)
	switch t.figure {
	case pairRate:
		return score.Verdict{Work: w.name, Text: fmt.Sprintf("%.0f pairs a second, at least %.0f", mine, t.most), Met: mine >= t.most}
	case growth:
		return score.Verdict{Work: w.name, Text: fmt.Sprintf("memory grows by %.0f%%, at most %.0f%%", mine*100, t.most*100), Met: mine <= t.most}
	case wallTime, clientCPU, peakMemory:
	}
	if t.against == "" {
		return score.Verdict{Work: w.name, Text: fmt.Sprintf("%s %s, at most %s", t.figure, cli.Bytes(int64(mine)), cli.Bytes(int64(t.most))), Met: mine <= t.most}
	}
	peer, theirs := t.against, 0.0
	if t.against == bestPeer {
		for _, name := range w.peers {
			if value := figures[name].of(t.figure); theirs == 0 || value < theirs {
				peer, theirs = name, value
			}
		}
	} else {
		theirs = figures[peer].of(t.figure)
	}
	ratio := mine / theirs
	return score.Verdict{
		Work: w.name, Met: ratio <= t.most,
		Text: fmt.Sprintf("%s %.2f s, %s %.2f s: ratio %.2f, at most %.2f", t.figure, mine, peer, theirs, ratio, t.most),
	}
}

// of is one figure: seconds, or bytes.
func (m Measure) of(f figure) float64 {
	switch f {
	case wallTime:
		return m.Wall.Seconds()
	case clientCPU:
		return m.CPU.Seconds()
	case peakMemory:
		return float64(m.Memory)
	case pairRate:
		return m.Rate
	case growth:
		return m.Growth
	}
	return 0
}

// String is the measure in one line.
func (m Measure) String() string {
	if m.Rate > 0 {
		return fmt.Sprintf("wall %7.2f s  CPU %7.2f s  memory %s, %.0f%% more at the end  %.0f pairs a second",
			m.Wall.Seconds(), m.CPU.Seconds(), cli.Bytes(m.Memory), m.Growth*100, m.Rate)
	}
	return fmt.Sprintf("wall %7.2f s  CPU %7.2f s  memory %s", m.Wall.Seconds(), m.CPU.Round(10*time.Millisecond).Seconds(), cli.Bytes(m.Memory))
}
