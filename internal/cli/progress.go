package cli

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// plainEvery is how often a task that goes on says so where there is no terminal.
const plainEvery = 10 * time.Second

// Progress shows tasks: a bar with rate and time left for each on a terminal, lines elsewhere.
type Progress struct {
	out   io.Writer
	bars  *mpb.Progress // nil where there is no terminal
	clock func() time.Time

	mu    sync.Mutex
	tasks map[string]*task
}

type task struct {
	bar   *mpb.Bar
	bytes bool
	began time.Time
	said  time.Time
	done  int64
	total int64
	more  atomic.Pointer[string]
	left  atomic.Pointer[string] // how long it still takes
	phase string
	ahead Forecast
}

// NewProgress shows on out, with bars when terminal is true.
func NewProgress(out io.Writer, terminal bool) *Progress {
	p := &Progress{out: out, clock: time.Now, tasks: map[string]*task{}}
	if terminal {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithAutoRefresh())
	}
	return p
}

// Line writes one line, whatever it says, above the bars where there are some.
func (p *Progress) Line(format string, args ...any) {
	line := fmt.Sprintf("%s  %s\n", p.clock().Format("15:04:05"), OneLine(fmt.Sprintf(format, args...)))
	if p.bars != nil {
		_, _ = p.bars.Write([]byte(line)) // nothing can be done when the terminal is gone
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, line) // likewise
}

// Write lets logs appear above the bars.
func (p *Progress) Write(raw []byte) (int, error) {
	if p.bars != nil {
		return p.bars.Write(raw)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(raw)
}

// Set says how far a task has come; a total of 0 is not known. bytes says that its bytes are shown, and not its objects; more is said behind
// them. Another phase of the task is shown as another task.
func (p *Progress) Set(name string, at Amounts, bytes bool, more string) {
	done, total := at.Objects, at.TotalObjects
	if bytes {
		done, total = at.Bytes, at.TotalBytes
	}
	p.mu.Lock()
	now := p.clock()
	t, ok := p.tasks[name]
	if ok && t.phase != at.Phase {
		if t.bar != nil {
			t.bar.Abort(true)
		}
		ok = false
	}
	if !ok {
		t = &task{bytes: bytes, began: now, said: now, phase: at.Phase}
		if p.bars != nil {
			t.bar = p.bar(name, total, bytes, t)
		}
		p.tasks[name] = t
	}
	t.done, t.total = done, total
	t.more.Store(&more)
	t.ahead.Note(now, at)
	left := ""
	if d, known := t.ahead.Left(at); known && d > 0 {
		left = Duration(d.Round(time.Second)) + " left"
	}
	t.left.Store(&left)
	say := p.bars == nil && now.Sub(t.said) >= plainEvery
	if say {
		t.said = now
	}
	line := t.line(now)
	p.mu.Unlock()
	if t.bar != nil {
		if total > 0 {
			t.bar.SetTotal(max(total, done), false)
		}
		t.bar.SetCurrent(done)
	}
	if say {
		p.Line("%s: %s", name, line)
	}
}

func (p *Progress) bar(name string, total int64, bytes bool, t *task) *mpb.Bar {
	count := decor.CountersNoUnit("%d / %d", decor.WCSyncSpace)
	rate := decor.AverageSpeed(0, "%.0f/s", decor.WCSyncSpace)
	if bytes {
		count = decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace)
		rate = decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace)
	}
	if total == 0 {
		count = decor.CurrentNoUnit("%d", decor.WCSyncSpace)
		if bytes {
			count = decor.CurrentKibiByte("% .1f", decor.WCSyncSpace)
		}
		return p.bars.AddSpinner(0, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), count), mpb.AppendDecorators(rate, t.rest()))
	}
	return p.bars.AddBar(total, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), count),
		mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), rate, t.rest()))
}

// rest is what is said behind the numbers: the time left, where it is known, and more.
func (t *task) rest() decor.Decorator {
	return decor.Any(func(decor.Statistics) (text string) {
		for _, part := range []*string{t.left.Load(), t.more.Load()} {
			if part != nil && *part != "" {
				text += "  " + *part
			}
		}
		return text
	})
}

// line is the plain form: done, total, rate and the time that is left, where it is known.
func (t *task) line(now time.Time) string {
	took := now.Sub(t.began).Seconds()
	amount := func(n int64) string { return strconv.FormatInt(n, 10) }
	if t.bytes {
		amount = Bytes
	}
	text := amount(t.done)
	if t.total > 0 {
		text += " of " + amount(t.total)
	}
	more := ""
	if m := t.more.Load(); m != nil && *m != "" {
		more = ", " + *m
	}
	if took <= 0 || t.done == 0 {
		return text + more
	}
	rate := float64(t.done) / took
	if t.bytes {
		text += fmt.Sprintf(", %s/s", Bytes(int64(rate)))
	} else {
		text += fmt.Sprintf(", %.0f/s", rate)
	}
	if left := t.left.Load(); left != nil && *left != "" {
		text += ", " + *left
	}
	return text + more
}

// End takes a task's bar away.
func (p *Progress) End(name string) {
	p.mu.Lock()
	t, ok := p.tasks[name]
	delete(p.tasks, name)
	p.mu.Unlock()
	if ok && t.bar != nil {
		t.bar.Abort(true)
	}
}

// Close leaves the terminal as it was.
func (p *Progress) Close() {
	if p.bars == nil {
		return
	}
	p.mu.Lock()
	for _, t := range p.tasks {
		t.bar.Abort(true)
	}
	p.mu.Unlock()
	p.bars.Wait()
}
