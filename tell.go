package crossfade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/notify"
)

// noteTold is kept when a receiver has taken an event.
const noteTold = "told"

// told is the note of one event that one receiver has taken.
type told struct {
	ID     string `json:"id"`
	Target string `json:"target"`
}

const (
	// tellWithin is how long the end of a verb waits for receivers.
	tellWithin = 20 * time.Second
	// tellFor is how long an event that no receiver has taken is tried again by later runs.
	tellFor = 7 * 24 * time.Hour
)

// teller tells receivers of events while the migration goes on. Nothing waits for it but the end of a verb, for a while.
type teller struct {
	mu    sync.Mutex
	begun map[string]bool          // what this process has begun to tell, by event and receiver
	last  map[string]chan struct{} // closed when the last event that was begun for a receiver is told, or given up
	stop  context.CancelFunc
	under sync.WaitGroup
}

// notify tells of what has happened and nobody was told of yet. Events follow from the journal alone, and each has an ID that
// follows from its record: whatever is killed, it is told again with the same ID until the receiver has taken it.
func (m *Migration) notify(ctx context.Context) {
	if len(m.file.Notifications) == 0 || !m.begun {
		return
	}
	var due []notify.Message
	taken := map[string]bool{}
	stages := m.pipeline() // it reads the journal, so not while that is viewed
	m.journal.View(func(log *journal.Log) {
		due = m.eventsOf(log, stages)
		for _, raw := range log.Noted(noteTold) {
			var t told
			if json.Unmarshal(raw, &t) == nil {
				taken[t.ID+" "+t.Target] = true
			}
		}
	})
	now := m.opts.Clock.Now()
	for _, message := range due {
		for _, n := range m.file.Notifications {
			key := message.ID + " " + n.Name
			if wants(n, message.Event) && !taken[key] && now.Sub(message.Time) < tellFor {
				m.tell(ctx, n, message, key)
			}
		}
	}
}

func wants(n migration.Notification, event string) bool {
	return len(n.Events) == 0 || slices.Contains(n.Events, event)
}

// tell sends one event to one receiver, beside what else goes on.
func (m *Migration) tell(ctx context.Context, n migration.Notification, message notify.Message, key string) {
	t := &m.teller
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun[key] {
		return
	}
	if t.begun == nil {
		t.begun, t.last = map[string]bool{}, map[string]chan struct{}{}
	}
	before, done := t.last[n.Name], make(chan struct{})
	t.begun[key], t.last[n.Name] = true, done
	// A signal ends the verb, and what it leaves is worth telling.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if others := t.stop; others != nil {
		t.stop = func() { others(); cancel() }
	} else {
		t.stop = cancel
	}
	t.under.Go(func() {
		defer close(done)
		if before != nil {
			<-before // each receiver gets its events in their order
		}
		err := m.send(sending, n, message)
		if err == nil {
			err = m.journal.Note(noteTold, told{ID: message.ID, Target: n.Name})
		}
		if err != nil {
			m.untold(sending, n, message, err)
		}
	})
}

func (m *Migration) send(ctx context.Context, n migration.Notification, message notify.Message) error {
	target := notify.Target{Name: n.Name, Command: n.Command, Dir: m.file.Dir, Timeout: n.Timeout.D(), Tool: m.opts.Tool, Clock: m.opts.Clock}
	if n.Webhook != nil {
		target.URL = n.Webhook.URL
		var err error
		if n.Webhook.URLFrom != nil {
			if target.URL, err = m.secret(ctx, n.Webhook.URLFrom, "notifications."+n.Name+".webhook.urlFrom"); err != nil {
				return err
			}
		}
		if target.Secret, err = m.secret(ctx, n.Webhook.Secret, "notifications."+n.Name+".webhook.secret"); err != nil {
			return err
		}
	}
	return target.Send(ctx, message)
}

// untold says that a receiver was not told. It fails nothing.
func (m *Migration) untold(ctx context.Context, n migration.Notification, message notify.Message, err error) {
	text := m.redact.Text(fmt.Sprintf("%s was not told of %s: %v; the next run tries again", n.Name, message.Event, err))
	m.opts.Log.WarnContext(ctx, "a notification was not taken", "because", text)
	w := Warning{Stage: "notifications", What: n.Name, Text: text}
	m.event(w.event(""))
	m.mu.Lock()
	m.warnings = append(m.warnings, w)
	m.mu.Unlock()
}

// told waits until receivers have taken what is being told, and ends that after a while.
func (m *Migration) told(ctx context.Context) {
	m.teller.mu.Lock()
	stop := m.teller.stop
	m.teller.mu.Unlock()
	if stop == nil {
		return
	}
	ended := make(chan struct{})
	go func() { m.teller.under.Wait(); close(ended) }()
	limit := time.NewTimer(tellWithin)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
		m.opts.Log.WarnContext(ctx, "receivers of notifications are not waited for any longer", "limit", tellWithin)
	}
	stop()
	<-ended
}

// eventsOf are the events of a journal, oldest first, without those that are not true any more: a wait that is over, and what was done
// and went back since. A receiver that was not there, or did not answer, would take them for news.
func (m *Migration) eventsOf(log *journal.Log, stages []stage) []notify.Message {
	left := map[string]bool{}
	for _, s := range stages {
		left[s.name] = true
	}
	var list []notify.Message
	waits := waitingIn(log)
	for i, r := range log.Records {
		message := notify.Message{Version: notify.Version, Time: r.Time, Migration: m.file.Name, Rehearsal: m.file.Rehearsal != nil, Stage: r.Stage}
		var found []notify.Message
		switch r.Kind {
		case journal.KindFinished:
			found = m.ended(r.Stage, stages, left, message)
		case journal.KindReset:
			if _, known := left[r.Stage]; known {
				left[r.Stage] = true
				list = slices.DeleteFunc(list, func(n notify.Message) bool { return undone(n, r.Stage, stages) })
			}
		case journal.KindNoted:
			if n, err := m.noted(log.Records[:i+1], message); err == nil && stillTrue(n, waits) {
				found = append(found, n)
			}
		}
		for _, n := range found {
			sum := sha256.Sum256([]byte(log.HashOf(i+1) + " " + n.Event))
			n.ID, n.Text = hex.EncodeToString(sum[:16]), m.redact.Text(n.Text)
			list = append(list, n)
		}
	}
	return list
}

// undone reports whether an event tells that something is done to which a stage belongs that is to be done again.
func undone(n notify.Message, again string, stages []stage) bool {
	return n.Event == migration.EventDone || n.Event == migration.EventWave && slices.ContainsFunc(stages, func(s stage) bool {
		return s.name == again && s.turn != "" && s.wave == n.Wave
	})
}

// stillTrue reports whether an event that tells of a wait is one of those that are not over.
func stillTrue(n notify.Message, waits []Waiting) bool {
	if n.Event != migration.EventApproval && n.Event != migration.EventWindow {
		return true
	}
	return slices.ContainsFunc(waits, func(w Waiting) bool {
		return w.Stage == n.Stage && w.Plan == n.Plan && (w.Until == nil) == (n.Until == nil) && (w.Until == nil || w.Until.Equal(*n.Until))
	})
}

// ended are the events of the end of a stage: of its wave, if it was the last of it, and of the migration.
func (m *Migration) ended(name string, stages []stage, left map[string]bool, message notify.Message) []notify.Message {
	i := slices.IndexFunc(stages, func(s stage) bool { return s.name == name })
	if i < 0 || !left[name] {
		return nil
	}
	left[name] = false
	var list []notify.Message
	open := func(of func(stage) bool) bool {
		return slices.ContainsFunc(stages, func(s stage) bool { return of(s) && left[s.name] })
	}
	if wave := stages[i].wave; stages[i].turn != "" && !open(func(s stage) bool { return s.turn != "" && s.wave == wave }) {
		done := message
		done.Event, done.Wave, done.Applications = migration.EventWave, wave, m.appsOf(wave)
		done.Text = fmt.Sprintf("wave %d is done: %s on green", wave, strings.Join(done.Applications, ", "))
		list = append(list, done)
	}
	if !open(func(stage) bool { return true }) {
		message.Event, message.Text = migration.EventDone, "every stage of the migration is done"
		if m.file.Retirement != nil {
			message.Text += fmt.Sprintf("; blue can be retired: `crossfade retire --confirm %s`", m.file.Name)
		}
		list = append(list, message)
	}
	return list
}

var errNoEvent = errors.New("the note tells of no event")

// noted is the event of a note, which is the last of these records.
func (m *Migration) noted(records []journal.Record, message notify.Message) (notify.Message, error) {
	r := records[len(records)-1]
	switch r.Stage {
	case noteWaiting:
		var w Waiting
		if err := json.Unmarshal(r.Data, &w); err != nil {
			return message, err
		}
		message.Wave, message.Applications, message.Until, message.Plan, message.Stage = w.Wave, w.Applications, w.Until, w.Plan, w.Stage
		message.Text = (&PausedError{w}).Error()
		switch w.For {
		case WaitsForApproval:
			message.Event = migration.EventApproval
			return message, nil
		case WaitsForWindow:
			message.Event, message.Text = migration.EventWindow, "waits for "+w.String()
			return message, nil
		}
	case noteBreach:
		var b breach
		if err := json.Unmarshal(r.Data, &b); err != nil {
			return message, err
		}
		message.Event, message.Wave, message.Applications, message.Stage, message.Text = migration.EventBreach, b.Wave, b.Apps, b.Stage, b.Cause
		if b.Held {
			message.Text += "; " + strings.Join(b.Apps, ", ") + " stays on green, for a person to decide"
		}
		return message, nil
	case noteReturned:
		var back returned
		if err := json.Unmarshal(r.Data, &back); err != nil {
			return message, err
		}
		for _, t := range m.turns() {
			if t.apps[0].Name == back.App { // whose note ends the return
				message.Event, message.Wave, message.Applications, message.Stage = migration.EventReturned, t.wave, t.names(), "return/"+back.App
				message.Text = fmt.Sprintf("%s went back to blue: %s", strings.Join(t.names(), ", "), back.Why)
				for _, w := range t.cachesNoted(records) {
					message.Text += "; " + mayLead(w)
				}
				return message, nil
			}
		}
	}
	return message, errNoEvent
}

// cachesNoted are how long caches may lead to green after the last return of a turn, for each application of it whose names went back. The
// note of the first application ends a return, so those of the others stand before it.
func (t turn) cachesNoted(records []journal.Record) []cutover.Wait {
	of := map[string]*cutover.Wait{}
	for i, r := range slices.Backward(records) {
		var back returned
		if r.Kind != journal.KindNoted || r.Stage != noteReturned || json.Unmarshal(r.Data, &back) != nil {
			continue
		}
		if back.App == t.apps[0].Name && i < len(records)-1 {
			break // the return before
		}
		if slices.Contains(t.names(), back.App) {
			of[back.App] = back.Caches
		}
	}
	var waits []cutover.Wait
	for _, name := range t.names() {
		if w := of[name]; w != nil {
			waits = append(waits, *w)
		}
	}
	return waits
}
