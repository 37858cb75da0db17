package load

import (
	"context"
	"sync"
	"time"
)

// Load is one run. Report may be called at any time, while it runs too.
type Load struct {
	config    Config
	started   time.Time
	recorders []*recorder
	failures  failures
	users     []*user
}

// New makes a run ready. It sends nothing yet.
func New(c Config) (*Load, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Load{config: c, started: c.Now()}
	for _, t := range c.Targets {
		record := newRecorder(t, c, l.started, &l.failures)
		l.recorders = append(l.recorders, record)
		if t.Only != KindKeep {
			names := &cache{resolver: c.Resolver, host: t.Host, now: c.Now, looked: func() { record.lookedUp(KindTTL) }}
			l.addUser(KindTTL, t, record, newTTLSender(names, t.Port, c.Dial))
		}
		if t.Only != KindTTL {
			l.addUser(KindKeep, t, record, newKeepSender(c.Resolver, t.Host, t.Port, c.Dial, func() { record.lookedUp(KindKeep) }))
		}
	}
	return l, nil
}

func (l *Load) addUser(kind string, t Target, record *recorder, s sender) {
	l.users = append(l.users, &user{
		target: t, kind: kind, run: l.config.RunID, sender: s, record: record,
		timeout: l.config.Timeout, now: l.config.Now, logger: l.config.Logger,
	})
}

// Run plays all users until ctx ends and returns when each has the answer to its
// last request. It may be called once.
func (l *Load) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, u := range l.users {
		l.pace(ctx, &all, u.target.Reads, u.read)
		l.pace(ctx, &all, u.target.Writes, u.write)
	}
	all.Wait()
	for _, u := range l.users {
		u.sender.close()
	}
}

// pace calls act at a rate, one call after the other.
func (l *Load) pace(ctx context.Context, all *sync.WaitGroup, rate float64, act func(context.Context)) {
	if rate <= 0 {
		return
	}
	ticks, stop := l.config.Ticks(time.Duration(float64(time.Second) / rate))
	all.Go(func() {
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks:
				act(ctx)
			}
		}
	})
}

// Report is what the run has seen so far.
func (l *Load) Report() Report {
	report := Report{Started: l.started.UTC(), Ended: l.config.Now().UTC(), Failures: l.failures.all()}
	for _, r := range l.recorders {
		target := r.report()
		report.Totals.add(target.Totals)
		report.Targets = append(report.Targets, target)
	}
	return report
}
